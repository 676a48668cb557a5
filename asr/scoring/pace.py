"""How fast anybody speaks: a text with more characters a second is not that of its clip."""

import numpy as np
import pandas as pd

FAST = 25.0  # characters a second that speech may have, also in clips of single words with pauses around them
TIMES_MEDIAN = 2.0  # or so many times the corpus' median, if that is more. Thaana's vowel signs count too


def most_characters_per_s(median: float | pd.Series) -> float | pd.Series:
    """Return the characters a second that no speech exceeds; FAST where the corpus' median is NaN."""
    return np.fmax(FAST, TIMES_MEDIAN * median)
