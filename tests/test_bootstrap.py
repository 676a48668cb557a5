"""Intervals against what statistics knows in closed form."""

import math

import numpy as np
import pandas as pd
import pytest

from asr.evaluation.bootstrap import WIDEST, interval, rate_interval, resample, student_quantile, units


def totals(errors: list[int], words: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"errors": errors, "reference_words": words})


def wer_interval(errors: list[int], words: list[int], samples: int = 10_000) -> tuple[float, float]:
    table = totals(errors, words)
    return rate_interval(table, resample(table, samples, seed=1), "errors", "reference_words")


@pytest.mark.parametrize(
    ("speakers", "expected"),
    [
        (["a", "b", "a"], ["a", "b", "a"]),
        (["a", "a", "a"], ["1", "2", "3"]),  # one speaker: by clip
        (["", "", ""], ["clip 1", "clip 2", "clip 3"]),  # nobody known: by clip
        (["a", "a", ""], ["a", "a", "clip 3"]),
    ],
)
def test_units(speakers, expected) -> None:
    assert list(units(pd.DataFrame({"id": ["1", "2", "3"], "speaker": speakers}))) == expected


def test_resamples_are_sums_of_as_many_units() -> None:
    sums = resample(totals([1, 0, 0], [10, 100, 1000]), samples=500, seed=1)
    drawn = sums.reference_words.map(lambda x: [int(digit) for digit in f"{x:04}"])
    assert {sum(digits) for digits in drawn} == {3}  # "0210": twice the second, once the first
    assert (sums.errors == sums.reference_words // 10 % 10).all()  # the same units for both counts
    assert np.mean([digits[2] for digits in drawn]) == pytest.approx(1, abs=0.15)


def test_resamples_repeat_for_a_seed() -> None:
    table = totals([1, 2, 3], [4, 5, 6])
    assert resample(table, 300, seed=1).equals(resample(table, 300, seed=1))
    assert not resample(table, 300, seed=1).equals(resample(table, 300, seed=2))


def test_many_units_are_drawn_in_blocks() -> None:
    n = 30_000
    sums = resample(totals([1] * n, [2] * n), samples=300, seed=1)  # 9 million draws
    assert sums.shape == (300, 2)
    assert (sums.errors == n).all() and (sums.reference_words == 2 * n).all()


def test_interval_of_a_mean_is_that_of_student() -> None:
    errors = [3, 5, 2, 8, 4, 4, 6, 1, 7, 5]
    low, high = wer_interval(errors, [10] * 10)
    error = np.std(errors, ddof=1) / math.sqrt(10) * 10  # percent
    assert (low + high) / 2 == pytest.approx(45)
    assert (high - low) / 2 == pytest.approx(2.2622 * error, rel=0.03)


def test_few_speakers_and_few_big_ones_make_it_wider() -> None:
    resampled, equal, unequal = np.array([40.0, 50.0]), np.ones(8), np.array([93.0] + [1.0] * 7)
    widths = [np.diff(interval(45, resampled, weights))[0] for weights in (equal, np.ones(3), unequal)]
    assert widths[0] < widths[1] < widths[2]


def test_one_unit_tells_nothing() -> None:
    assert wer_interval([3], [10]) == (0, 30 + WIDEST)
    assert wer_interval([3, 0], [10, 0]) == (0, 30 + WIDEST)  # the second speaker said nothing


def test_resamples_without_a_word_are_left_out() -> None:
    low, high = wer_interval([1, 2, 0, 3], [5, 5, 0, 0], samples=2000)
    assert 0 <= low < 60 < high and math.isfinite(high)


@pytest.mark.parametrize(
    ("probability", "degrees_of_freedom", "expected"),
    [  # any statistics table
        (0.975, 1, 12.7062),
        (0.975, 2, 4.3027),
        (0.975, 11, 2.2010),
        (0.975, 1000, 1.9623),
        (0.95, 5, 2.0150),
        (0.5, 3, 0),
        (0.975, 0.1, 100),  # as far as it goes
    ],
)
def test_student_quantile(probability, degrees_of_freedom, expected) -> None:
    assert student_quantile(probability, degrees_of_freedom) == pytest.approx(expected, abs=2e-4)
