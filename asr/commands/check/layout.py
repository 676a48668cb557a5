"""An examination as text and as Markdown: tables, and what to look at."""

import html
import math
import unicodedata
from collections.abc import Sequence
from functools import partial

from tabulate import tabulate

from asr.commands.check.examination import ENOUGH, LONGEST_WINDOW_S
from asr.commands.check.faults import faults, in_order, plural, quoted

SHOWN = 60  # letters of a script
CONTROL = dict.fromkeys(map(ord, "`|\n\r\t"), " ")


def as_text(title: str, found: dict) -> str:
    parts = [title]
    for name, lines in sections(found, "simple").items():
        parts += ["", name.upper(), *lines]
    return "\n".join(parts) + "\n"


def page(title: str, sections: dict[str, Sequence[str]]) -> str:
    """Join sections under their headings; empty ones are left out."""
    parts = ["\n".join([f"## {name}", "", *lines]) for name, lines in sections.items() if lines]
    return "\n\n".join([f"# {title}", *parts]) + "\n"


def sections(found: dict, style: str) -> dict[str, list[str]]:
    """Lay an examination out; `style` is one of tabulate's."""
    as_is = partial(html.escape, quote=False) if style == "github" else str
    return {
        "Clips": [clips(found, style)],
        "Sound": [_kinds(found["sound"], style), "", *lengths(found["window"]), rates(found)],
        "Transcripts": [*_transcripts(found["transcripts"], style), "", _sentences(found["sentences"])],
        "Test": _test(found["test"]),
        "Look at": [f"- {as_is(fault)}" for fault in faults(found)] or ["Nothing odd was found."],
    }


def clips(found: dict, style: str) -> str:
    """Lay out clips, hours, speakers and sentences of each corpus and split."""
    sizes = found["corpora"] | ({"all corpora": found["all"]} if len(found["corpora"]) > 1 else {})
    rows = [
        (
            name if split == first else "",
            split,
            of["clips"],
            f"{of['hours']:.2f}",
            of["speakers"],
            of["sentences"],
        )
        for name, splits in sizes.items()
        for first in [next(iter(splits))]
        for split, of in splits.items()
    ]
    return _table(rows, ("corpus", "split", "clips", "hours", "speakers", "sentences"), style, 2)


def _kinds(kinds: list[dict], style: str) -> str:
    rows = [
        (
            kind["format"], f"{kind['rate']:,} Hz", kind["channels"], kind["clips"], f"{kind['hours']:.2f}",
            _conversion(kind),
        )
        for kind in kinds
    ]  # fmt: skip
    return _table(rows, ("format", "rate", "channels", "clips", "hours", "conversion"), style, 1)


def _conversion(kind: dict) -> str:
    steps = {"resampled": kind["resampled"], "mixed": kind["channels"] > 1}
    return " and ".join(step for step, is_needed in steps.items() if is_needed) or "none"


def lengths(window: dict) -> list[str]:
    """Name the longest clips, and the windows that fit."""
    longest = ", ".join(f"{clip} {seconds:.1f} s" for clip, seconds in window["longest"].items())
    every, most = window["fits_all_s"], window["fits_99_percent_s"]
    lines = [
        f"The longest: {longest or 'none'}.",
        f"`model.audio_window_s` is {window['audio_window_s']}; {most} fits 99 % of the clips"
        + (f", {every} all of them." if every < LONGEST_WINDOW_S else "."),
    ]
    return lines


def rates(found: dict) -> str:
    """Name the clips with most text for their length."""
    rates = found["characters_per_s"]
    highest = ", ".join(f"{clip} {rate:,.1f}" for clip, rate in rates["highest"].items())
    return f"Characters a second: {rates['median']} in the middle; the most: {highest or 'none'}."


def _transcripts(found: dict, style: str) -> list[str]:
    rows = [
        (code, sum(letters.values()), len(letters), _letters([*letters]))
        for code, letters in found["scripts"].items()
    ]
    lines = [_table(rows, ("script", "letters", "different", "by frequency"), style, 1)]
    for kind in ("digits", "others"):
        counts = found[kind]["characters"] if kind == "digits" else found[kind]
        lines += ["", f"{kind}: {in_order(counts)}"] if counts else []
    return lines


def _sentences(found: dict) -> str:
    again = [
        f"{quoted(each['sentence'])} ({plural(each['clips'], 'clip')}, {plural(each['speakers'], 'speaker')})"
        for each in found["most"]
    ]
    most = f", most often {', '.join(again)}" if again else ""
    return f"{plural(found['spoken_once'], 'sentence')} spoken once, {found['spoken_again']:,} again{most}."


def _test(found: dict) -> list[str]:
    """Say how wide the interval of a WER will be."""
    sets = {"": found["all"]} if len(found["corpora"]) < 2 else {"": found["all"], **found["corpora"]}
    lines = []
    for name, of in sets.items():
        if of:
            size = f"{of['clips']:,} test clips, {of['words']:,} words, {plural(of['speakers'], 'speaker')}"
            lines.append(
                f"{name and name + ': '}{size}: a WER of {100 * found['wer']:.0f} % will have a 95 % interval"
                f" of about {of['points']:.1f} points to either side (docs/metrics.md). {_verdict(of)}"
            )
    return lines or ["No test clip can be used."]


def _verdict(test: dict) -> str:
    if test["speakers"] < 2:
        return "Fewer than two speakers are known, so it says nothing of other voices."
    if test["points"] <= ENOUGH:
        return "That is enough."
    needed = math.ceil(test["speakers"] * (test["points"] / ENOUGH) ** 2)
    return f"That is much: some {needed:,} such speakers would make it {ENOUGH:g}."


def _table(rows: Sequence[tuple], headers: tuple[str, ...], style: str, texts: int) -> str:
    aligned = ["left"] * texts + ["right"] * (len(headers) - texts - 1) + ["left" if texts == 1 else "right"]
    cells = [
        [f"{cell:,}" if isinstance(cell, int) else str(cell).translate(CONTROL) for cell in row]
        for row in rows
    ]
    return tabulate(cells, headers, tablefmt=style, colalign=aligned if rows else None, disable_numparse=True)


def _letters(letters: list[str]) -> str:
    shown = (f"◌{c}" if unicodedata.category(c).startswith("M") else c for c in letters[:SHOWN])
    return " ".join(shown) + " …" * (len(letters) > SHOWN)
