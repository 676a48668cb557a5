"""Error rates of all transcripts together, errors of each, and rates in the form in which they are kept."""

import math
from collections.abc import Sequence

import jiwer
import pandas as pd

from asr.text import normalize, orthographic, whisper_basic

DECIMALS = 2  # of a rate in percent
RATES = {  # of which columns of `score_utterances` each is the ratio
    "wer": ("errors", "reference_words"),
    "cer": ("char_errors", "reference_chars"),
}


def error_rates(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float | int]:
    """Compute error rates over all words or characters of the references.

    An utterance without reference counts: every word of its hypothesis is an insertion. Only
    `wer_whisper_basic` leaves it out, as those do whose figures it is to be compared with.

    Returns
    -------
    wer: of the words of `normalize`d text (asr/text.py)
    wer_ortho: of the words of the text as it stands
    wer_whisper_basic: after Whisper's normaliser, of the references that it leaves something of
    cer: of the characters (code points, the spaces between words included) of `normalize`d text
    substitutions, deletions, insertions, reference_words: the counts behind `wer`
    utterances, empty_references, empty_hypotheses: counts; empty means empty once `normalize`d

    Rates are percent, not rounded, and exceed 100 where a model says more than was said.

    Raises
    ------
    ValueError: every reference is empty, so that there is nothing to divide by.
    """
    normal_references = [normalize(text) for text in references]
    normal_hypotheses = [normalize(text) for text in hypotheses]
    _require_words(normal_references, "normalize")
    words = jiwer.process_words(normal_references, normal_hypotheses)
    return {
        "wer": 100 * words.wer,
        "wer_ortho": 100 * jiwer.wer(*([orthographic(t) for t in x] for x in (references, hypotheses))),
        "wer_whisper_basic": _whisper_basic_wer(references, hypotheses),
        "cer": 100 * jiwer.cer(normal_references, normal_hypotheses),
        "substitutions": words.substitutions,
        "deletions": words.deletions,
        "insertions": words.insertions,
        "reference_words": words.hits + words.substitutions + words.deletions,
        "utterances": len(references),
        "empty_references": normal_references.count(""),
        "empty_hypotheses": normal_hypotheses.count(""),
    }


def score_utterances(references: Sequence[str], hypotheses: Sequence[str]) -> pd.DataFrame:
    """Count the errors of each utterance, in words and in characters of `normalize`d text.

    The counts of all rows add up to those of `error_rates`.

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


def _whisper_basic_wer(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Compute WER as published for Whisper fine-tunes: pairs with an empty reference are left out."""
    pairs = [(whisper_basic(r), whisper_basic(h)) for r, h in zip(references, hypotheses, strict=True)]
    _require_words([reference for reference, _ in pairs], "whisper_basic")
    kept = [pair for pair in pairs if pair[0]]
    return 100 * jiwer.wer([reference for reference, _ in kept], [hypothesis for _, hypothesis in kept])


def _require_words(references: list[str], normaliser: str) -> None:
    """Raise ValueError unless a reference has a word; jiwer would return a count in place of a rate."""
    if not any(references):
        raise ValueError(
            f"an error rate needs at least one reference with a word in it: all {len(references)} references"
            f" are empty after asr.text.{normaliser}; look at the corpus' sentences"
        )
