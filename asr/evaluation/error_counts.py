"""Errors of each transcript, and rates in the form in which they are kept.

Apart from asr/scoring/rates.py, so that a change here reruns `evaluate` and no training.
"""

import math
from collections.abc import Sequence

import jiwer
import pandas as pd

from asr.scoring.text import normalize

DECIMALS = 2  # of a rate in percent
RATES = {  # of which columns of `score_utterances` each is the ratio
    "wer": ("errors", "reference_words"),
    "cer": ("char_errors", "reference_chars"),
}


def score_utterances(references: Sequence[str], hypotheses: Sequence[str]) -> pd.DataFrame:
    """Count the errors of each utterance, in words and in characters of `normalize`d text.

    The counts of all rows add up to those of asr/scoring/rates.py.

    Returns
    -------
    int64, a row per utterance: errors, substitutions, deletions, insertions, reference_words,
    char_errors, reference_chars (code points, the spaces between words included)

    Raises
    ------
    ValueError: there are not as many hypotheses as references.
    """
    rows = []
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        pair = normalize(reference), normalize(hypothesis)
        words, chars = jiwer.process_words(*pair), jiwer.process_characters(*pair)
        rows.append(
            {
                "errors": words.substitutions + words.deletions + words.insertions,
                "substitutions": words.substitutions,
                "deletions": words.deletions,
                "insertions": words.insertions,
                "reference_words": words.hits + words.substitutions + words.deletions,
                "char_errors": chars.substitutions + chars.deletions + chars.insertions,
                "reference_chars": chars.hits + chars.substitutions + chars.deletions,
            }
        )
    return pd.DataFrame(rows, dtype="int64")


def rounded(rates: dict[str, float | int]) -> dict[str, float | int]:
    """Round what is no count to two decimals, so that a metrics file stays readable in a diff.

    Raises
    ------
    ValueError: a rate is not finite; JSON has no way to write it.
    """
    wrong = [f"{name} = {value}" for name, value in rates.items() if not math.isfinite(value)]
    if wrong:
        raise ValueError(f"metrics have to be finite numbers, found {', '.join(wrong)}")
    return {k: round(float(v), DECIMALS) if isinstance(v, float) else int(v) for k, v in rates.items()}
