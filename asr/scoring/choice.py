"""Which of two ways of transcribing the same clips is better, and of which clips."""

import numpy as np

from asr.scoring.rates import counts, error_rates

CLIPS = 200  # at most; padded to 30 s, each takes a processor a second and more


def spread(number: int, most: int = CLIPS) -> np.ndarray:
    """Return the indices of at most so many of `number` clips, evenly spaced; shape = (n_chosen,)."""
    return np.unique(np.linspace(0, number - 1, most).astype(int))


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
        np.array([counts("cer", *pair)[0] for pair in zip(references, heard, strict=True)])
        for heard in ways.values()
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
