"""What a run ends with on the terminal: error rates, warnings, and where to go on."""

from pathlib import Path

import pandas as pd

from asr.evaluation.breakdown import looping

WIDE = 10.0  # points between the ends of a WER's 95 % interval
MOST = 0.5  # of all word errors
NAMED = 5  # looping clips


def summary(
    metrics: dict[str, dict[str, float | int]], table: pd.DataFrame, doubts: list[str], report: Path
) -> str:
    """Lay out the error rates of both models, what limits them, and the next commands.

    Parameters
    ----------
    metrics: as in metrics/evaluate.json
    table: as asr/evaluation/utterance_table.py has it
    doubts: what limits the figures: the filter's warnings, and those of `warnings`
    """
    before, after = metrics["pretrained"], metrics["finetuned"]
    size = f"{len(table)} clips, {after['reference_words']} words, {_speakers(table)} speakers"
    lines = [
        "",
        f"test set: {size}; pretrained → fine-tuned, with 95 % intervals:",
        *(f"  {rate.upper()}  {_rate(before, rate)} → {_rate(after, rate)}" for rate in ("wer", "cer")),
        *(
            f"  WER of {name}  {_rate(before['corpora'][name], 'wer')} → {_rate(rates, 'wer')}"
            for name, rates in after.get("corpora", {}).items()
        ),
        *(f"warning: {text}" for text in doubts),
        f"report: {report.resolve()} (open it in a browser)",
        "next: `git add . && git commit` keeps the figures; `asr demo` tries the model; after another run,"
        " `asr compare HEAD` tells whether it is better",
    ]
    return "\n".join(lines)


def warnings(metrics: dict[str, dict[str, float | int]], table: pd.DataFrame) -> list[str]:
    """List what limits the figures: wide intervals, loops, and a single clip that decides."""
    after, found = metrics["finetuned"], []
    low, high = after["wer_ci95_low"], after["wer_ci95_high"]
    if high - low > WIDE:
        found.append(
            f"the test set is small: the fine-tuned WER may be anything from {low:.1f} to {high:.1f} %;"
            " a smaller difference between two models cannot be told from chance"
        )
    if _speakers(table) < 2:
        found.append(
            "fewer than two speakers are known: the intervals are drawn from utterances, and too narrow"
        )
    loops = list(table.id[looping(table, "finetuned")])
    if loops:
        named = ", ".join([*loops[:NAMED], *["…"] * (len(loops) > NAMED)])
        text = f"the fine-tuned model repeats itself in {len(loops)} of {len(table)} clips: {named}"
        if "wer_without_loops" in after:
            text += f"; without them its WER is {after['wer_without_loops']:.2f} %"
        found.append(text)
    errors = table.errors_finetuned
    if errors.sum() and errors.max() > MOST * errors.sum():
        found.append(
            f"clip {table.id[errors.idxmax()]} makes {errors.max()} of {errors.sum()} word errors of the"
            " fine-tuned model: listen to it in the report"
        )
    return found


def _rate(metrics: dict[str, float | int], rate: str) -> str:
    low, high = metrics[f"{rate}_ci95_low"], metrics[f"{rate}_ci95_high"]
    return f"{metrics[rate]:.2f} % ({low:.2f} to {high:.2f})"


def _speakers(table: pd.DataFrame) -> int:
    return table.speaker[table.speaker != ""].nunique()
