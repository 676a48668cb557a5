"""What an examination found odd, in a sentence each."""

from collections.abc import Sequence

from asr.audio.log_mel import SAMPLE_RATE
from asr.commands.check.transcripts import name_of
from asr.runtime.terminal import visible

EXAMPLES = 30  # counts in a line
DROPPED = {
    "too_long": "as long as filter.max_duration_s or longer",
    "over_window": "longer than model.audio_window_s",
    "too_fast": "of more characters a second than filter.max_characters_per_s",
    "other_text": "whose recording has another text too, which fits it",
    "empty_sentence": "without a word",
    "speaker_in_test": "of speakers that test has too",
    "sentence_in_test": "of sentences that test has too",
}
PROBLEMS = {
    "no_audio": "missing or empty files",
    "outside_folder": "files outside of the folder, which are not read",
    "too_large": "too large or too long for a clip",
    "undecodable": "no sound that can be decoded",
    "cut_off": "cut off",
    "decoder_died": "files that crash their decoder",
}


def faults(found: dict) -> list[str]:
    """Say in a sentence each what is odd, and what to do."""
    lines = [*found["warnings"]]
    for problem, of in found["problems"].items():
        what = PROBLEMS[problem] + (f" ({of['detail']})" if of["detail"] else "")
        tried = f"; tried: {of['tried']}" if "tried" in of else ""
        lines.append(f"{plural(of['clips'], 'clip')}: {what}: {_some(of['some'], of['clips'])}{tried}")
    for reason, what in DROPPED.items():
        if number := found["dropped"].get(reason):
            lines.append(f"{plural(number, 'clip')} not trained on: {what} (`{reason}`)")
    for name, of in found["without_row"].items():
        some = _some(of["some"], of["recordings"])
        lines.append(f"{plural(of['recordings'], 'recording')} of {name} in no row that is read: {some}")
    if (same := found["same_audio"])["clips"]:
        names = "; ".join(" = ".join(group) for group in same["some"])
        lines.append(
            f"{plural(same['clips'], 'clip')} that are {plural(same['recordings'], 'recording')} under"
            f" several names ({same['in_test_and_elsewhere']:,} of them in test and elsewhere,"
            f" {same['with_several_texts']:,} with different texts): {names}"
        )
    for kind, number in found["leaks"].items():
        if number:
            noun = kind.removesuffix("s")
            lines.append(f"{plural(number, noun)} in test and in other splits: training leaves them out")
    for kind, of in found["transcripts"]["odd"].items():
        examples = ", ".join(f"{quoted(example)} {number:,}×" for example, number in of["examples"].items())
        lines.append(
            f"{plural(of['clips'], 'clip')} with {kind}: {examples}; in {_some(of['some'], of['clips'])}"
        )
    if (digits := found["transcripts"]["digits"])["clips"]:
        lines.append(
            f"{plural(digits['clips'], 'clip')} with digits, which do not say how they are spoken: write them"
            f" as words; in {_some(digits['some'], digits['clips'])}"
        )
    if tags := found["transcripts"]["tags"]:
        lines.append("tags, which are words unless docs/corpora.md names them: " + in_order(tags))
    if slow := [kind for kind in found["sound"] if kind["rate"] < SAMPLE_RATE]:
        number = sum(kind["clips"] for kind in slow)
        lines.append(
            f"{plural(number, 'clip')} recorded at less than 16 kHz: they lack what Whisper hears above"
        )
    return [visible(" ".join(line.split("\n"))) for line in lines]


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _some(names: Sequence[str], number: int) -> str:
    return ", ".join(names) + ", …" * (number > len(names))


def in_order(counts: dict[str, int]) -> str:
    shown = [f"{quoted(text)} {number:,}×" for text, number in counts.items()][:EXAMPLES]
    return ", ".join(shown) + ", …" * (len(counts) > len(shown))


def quoted(text: str) -> str:
    if len(text) == 1:
        return text if text.isprintable() else name_of(text)
    return text if text.startswith("U+") else f"“{text}”"
