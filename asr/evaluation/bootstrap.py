"""How sure an error rate is: bootstrap intervals, resampled by speaker.

Clips of one speaker succeed and fail together, so what varies from test set to test set is the speakers:
each resample draws as many speakers as there are, with replacement, and takes all clips of each
(Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation",
ICASSP 2004, with speakers for their segments).

The interval says how far a rate depends on who was recorded for the test set. It knows nothing of how
far it depends on the seed of a training run; only training again tells.
"""

import math

import numpy as np
import pandas as pd

CONFIDENCE = 0.95
WIDEST = 100.0  # percentage points to either side, where there is nothing to tell from
_BLOCK = 2**22  # drawn units held in memory at a time


def units(table: pd.DataFrame) -> pd.Series:
    """Name the unit that each clip is resampled with: its speaker.

    A clip of unknown speaker is a unit of its own. If all clips have one speaker, each is: the interval
    then covers other sentences of this speaker, not other speakers, and is too narrow for those.

    Parameters
    ----------
    table: columns id and speaker ("" if unknown)
    """
    named = table.speaker.where(table.speaker != "", "clip " + table.id)
    return named if named.nunique() > 1 else table.id


def resample(totals: pd.DataFrame, samples: int, seed: int) -> pd.DataFrame:
    """Sum up counts over units drawn with replacement.

    Parameters
    ----------
    totals: a row per unit, a column per count

    Returns
    -------
    int64, a row per sample, the same columns; the same for the same totals, samples and seed
    """
    rng = np.random.default_rng(seed)
    counts = totals.to_numpy(dtype=np.int64).T  # (n_counts, n_units)
    n_units = counts.shape[1]
    block = max(1, _BLOCK // n_units)
    sums = []
    for start in range(0, samples, block):
        drawn = rng.integers(n_units, size=(min(block, samples - start), n_units))
        sums.append(np.stack([count[drawn].sum(axis=1) for count in counts], axis=1))
    return pd.DataFrame(np.concatenate(sums), columns=totals.columns)


def interval(estimate: float, resampled: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of a rate, or of a difference of rates, in percentage points.

    The bootstrap's standard error times Student's quantile. Percentiles of the resamples are too narrow
    where speakers are few, or where few of them own most of the words. So speakers count by their
    effective number (Kish, Survey Sampling, 1965), (sum of weights)² / sum of squared weights. Never
    wider than WIDEST to either side, which is also the answer for a single unit.

    Parameters
    ----------
    resampled: the same rate in each resample, shape = (samples,)
    weights: reference words (or characters) of each unit, shape = (n_units,)
    """
    n = weights.sum() ** 2 / (weights**2).sum()
    if n <= 1:
        half = WIDEST
    else:
        error = resampled.std() * math.sqrt(n / (n - 1))  # a resample's spread is that of divisor n
        half = min(error * student_quantile((1 + CONFIDENCE) / 2, n - 1), WIDEST)
    return estimate - half, estimate + half


def rate_interval(totals: pd.DataFrame, sums: pd.DataFrame, errors: str, lengths: str) -> tuple[float, float]:
    """Return the 95 % interval of an error rate in percent, no lower than 0.

    Resamples in which nothing was said have no rate and are left out.

    Parameters
    ----------
    totals, sums: what went into `resample` and what came out
    errors, lengths: the columns whose ratio the rate is
    """
    said = sums[sums[lengths] > 0]
    estimate = 100 * totals[errors].sum() / totals[lengths].sum()
    resampled = 100 * (said[errors] / said[lengths]).to_numpy()
    low, high = interval(estimate, resampled, totals[lengths].to_numpy())
    return max(low, 0.0), high


def student_quantile(probability: float, degrees_of_freedom: float) -> float:
    """Invert Student's t distribution for a probability of 0.5 and more; 100 where it is larger still."""
    x = np.linspace(0, 100, 20_001)
    n = degrees_of_freedom
    log_scale = math.lgamma((n + 1) / 2) - math.lgamma(n / 2) - 0.5 * math.log(n * math.pi)
    density = np.exp(log_scale - (n + 1) / 2 * np.log1p(x**2 / n))
    cumulated = 0.5 + np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(x))])
    return float(np.interp(probability, cumulated, x))
