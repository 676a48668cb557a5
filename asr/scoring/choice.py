"""Which of two ways of transcribing the same clips is better, and of which clips."""

from collections.abc import Callable, Sequence

import jiwer
import numpy as np

from asr.scoring.rates import error_rates
from asr.scoring.text import normalize

CLIPS = 200  # at most; padded to 30 s, each takes a processor a second and more
GROUPS = 20  # of clips, to estimate a standard error


def spread(number: int) -> np.ndarray:
    """Return the indices of at most CLIPS of `number` clips, evenly spaced; shape = (n_chosen,)."""
    return np.unique(np.linspace(0, number - 1, CLIPS).astype(int))


def better_of(ways: dict[str, list[str]], references: list[str]) -> dict:
    """Compare two ways of hearing the same: the second is chosen only if it has fewer errors.

    Fewer by more than the standard error of the difference, paired by clip. So a tie goes to the first, and
    one clip alone, such as a loop, decides nothing. Errors are of characters, because some languages write
    no spaces.

    Returns
    -------
    chosen: a way's name
    compared: number of references
    and for each way's name its `wer` and `cer`, in percent
    """
    first, second = ways
    before, after = (
        np.array([_errors(*pair) for pair in zip(references, heard, strict=True)]) for heard in ways.values()
    )
    fewer = before - after
    # n differences d have the sum S and the standard error sqrt((n Σd² - S²) / (n - 1)), which S exceeds
    # exactly if S² > Σd².
    chosen = second if fewer.sum() > np.linalg.norm(fewer) else first
    rates = {way: error_rates(references, heard) for way, heard in ways.items()}
    return {
        "chosen": chosen,
        "compared": len(references),
        **{way: {name: round(rates[way][name], 2) for name in ("wer", "cer")} for way in ways},
    }


def standard_error(items: Sequence, figure: Callable[[list], float]) -> float:
    """Estimate the standard error of a figure of items, by leaving out one group of them at a time.

    The delete-a-group jackknife (Kott 2001) with GROUPS groups, or as many as there are items; 0.0 of one.
    Too small where some items are alike, as the clips of a speaker are.
    """
    groups = min(GROUPS, len(items))
    if groups < 2:
        return 0.0
    without = [
        figure([item for place, item in enumerate(items) if place % groups != group])
        for group in range(groups)
    ]
    return float(np.sqrt((groups - 1) * np.var(without)))


def _errors(reference: str, hypothesis: str) -> int:
    counted = jiwer.process_characters(normalize(reference), normalize(hypothesis))
    return counted.substitutions + counted.deletions + counted.insertions
