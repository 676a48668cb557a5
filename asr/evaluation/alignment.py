"""Which word, and which letter, was taken for which: jiwer's alignments, readable."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jiwer
import pandas as pd

from asr.scoring.text import normalize

NOTHING = ""  # what a deletion became, and what an insertion comes from


@dataclass(frozen=True)
class Step:
    """A word or character of the reference beside that of the hypothesis."""

    kind: str  # equal, substitute, delete, insert
    reference: str
    hypothesis: str


def align(reference: str, hypothesis: str, process: Callable = jiwer.process_words) -> list[Step]:
    """Align two texts, once `normalize`d, word by word.

    Parameters
    ----------
    process: `jiwer.process_characters` aligns them character by character
    """
    aligned = process(normalize(reference), normalize(hypothesis))
    left, right = aligned.references[0], aligned.hypotheses[0]
    steps = []
    for chunk in aligned.alignments[0]:
        units = left[chunk.ref_start_idx : chunk.ref_end_idx], right[chunk.hyp_start_idx : chunk.hyp_end_idx]
        length = max(len(unit) for unit in units)
        padded = ([*unit, *[NOTHING] * (length - len(unit))] for unit in units)
        steps += [Step(chunk.type, *pair) for pair in zip(*padded, strict=True)]
    return steps


def confusions(
    references: Sequence[str], hypotheses: Sequence[str], count: int, process: Callable = jiwer.process_words
) -> pd.DataFrame:
    """Count what was taken for what, most frequent first.

    Returns
    -------
    At most `count` rows: reference, hypothesis ("" for nothing), times
    """
    found = Counter(
        (step.reference, step.hypothesis)
        for reference, hypothesis in zip(references, hypotheses, strict=True)
        for step in align(reference, hypothesis, process)
        if step.kind != "equal"
    )
    rows = [(*pair, times) for pair, times in found.items()]
    table = pd.DataFrame(rows, columns=["reference", "hypothesis", "times"])
    ordered = table.sort_values(["times", "reference", "hypothesis"], ascending=[False, True, True])
    return ordered.head(count).reset_index(drop=True)


def readable(character: str) -> str:
    """Write a character so that it can be seen alone: a mark on a dotted circle, a space as ␣."""
    if character == " ":
        return "␣"
    return f"◌{character}" if unicodedata.category(character).startswith("M") else character


def character_name(character: str) -> str:
    """Name a character as Unicode does, in lower case and without the script's name."""
    name = unicodedata.name(character, "unnamed").lower()
    return name.split(" ", 1)[1] if name.startswith("thaana ") else name
