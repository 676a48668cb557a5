"""Error rates of all transcripts together: the definitions, which training selects by too."""

from collections.abc import Sequence

import jiwer
import numpy as np

from asr.scoring.text import normalize, orthographic, whisper_basic, without_tags


def error_rates(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float | int]:
    """Compute error rates over all words or characters of the references.

    An utterance without reference counts: every word of its hypothesis is an insertion. Only
    `wer_whisper_basic` leaves it out, as those do whose figures it is to be compared with.

    Returns
    -------
    wer: of the words of `normalize`d text (asr/scoring/text.py)
    wer_ortho: of the words of the text as it stands, without tags
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
        "wer_ortho": 100 * jiwer.wer(*(list(map(_written, texts)) for texts in (references, hypotheses))),
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


def counts(rate: str, reference: str, hypothesis: str) -> tuple[int, int]:
    """Count the errors of one text and the words or characters of its reference, as a rate does."""
    process, form = _COUNTED[rate]
    found = process(form(reference), form(hypothesis))
    wrong = found.substitutions + found.deletions
    return wrong + found.insertions, wrong + found.hits


def standard_error(rate: str, references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Estimate the standard error of one of the rates, in percent, as that of a ratio of two sums.

    Too small where some utterances are alike, as those of a speaker are.
    """
    errors, lengths = np.array([counts(rate, *pair) for pair in zip(references, hypotheses, strict=True)]).T
    if rate == "wer_whisper_basic":
        errors, lengths = errors[lengths > 0], lengths[lengths > 0]
    residuals, n = errors - lengths * errors.sum() / lengths.sum(), len(errors)
    return float(100 * np.sqrt(n / max(n - 1, 1) * np.square(residuals).sum()) / lengths.sum())


def _written(text: str) -> str:
    return orthographic(without_tags(text))


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
            f" are empty after asr.scoring.text.{normaliser}; look at the corpus' sentences"
        )


_COUNTED = {
    "wer": (jiwer.process_words, normalize),
    "wer_ortho": (jiwer.process_words, _written),
    "wer_whisper_basic": (jiwer.process_words, whisper_basic),
    "cer": (jiwer.process_characters, normalize),
}
