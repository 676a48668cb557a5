"""N-grams of token ids, counted in a text, and the probabilities of the next id.

Interpolated Kneser-Ney with one discount for each order (Chen and Goodman 1998, section 2.7): below the
highest order, an n-gram counts as often as there are different ids before it. What begins a line counts as
often as it occurs, because nothing is before it.

The ids below `size` are text; `size` stands for the beginning of a line. An n-gram is numbered by its place
among the sorted keys of its order. Its key is `size` * (the number of the n-gram without its last id) + its
last id, so the continuations of one are neighbours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np


@dataclass(frozen=True)
class NGrams:
    """Counts of the n-grams of a text."""

    unigrams: np.ndarray  # counts, shape = (size,)
    keys: list[np.ndarray]  # of orders 2, 3, …: int64, sorted
    counts: list[np.ndarray]  # of the same n-grams

    @property
    def size(self) -> int:
        return len(self.unigrams)

    @property
    def order(self) -> int:
        return len(self.keys) + 1

    @cached_property
    def unigram(self) -> np.ndarray:
        """Probabilities without context, shape = (size,); ids that the text lacks get of the discount."""
        n_all, n_types = self.unigrams.sum(), np.count_nonzero(self.unigrams)
        discount = _discount(self.unigrams)
        return (np.maximum(self.unigrams - discount, 0) + discount * n_types / self.size) / n_all

    @cached_property
    def _orders(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each order above 1, the discounted shares of its n-grams, and what their contexts leave over."""
        found, n_contexts = [], self.size + 1
        for keys, counts in zip(self.keys, self.counts, strict=True):
            contexts, discount = keys // self.size, _discount(counts)
            totals = np.bincount(contexts, counts, n_contexts)
            n_types = np.bincount(contexts, minlength=n_contexts)
            left = np.where(totals > 0, discount * n_types / np.maximum(totals, 1), 1.0)
            found.append(((counts - discount) / totals[contexts], left))
            n_contexts = len(keys)
        return found

    def following(self, contexts: np.ndarray) -> list[tuple[float, np.ndarray, np.ndarray]]:
        """Compute the probabilities of the next id.

        Parameters
        ----------
        contexts: ids before it, the nearest last; shape = (rows, any number)

        Returns
        -------
        of each row: a factor, ids, and their probabilities. Those of all other ids are `unigram` times the
        factor.
        """
        contexts = contexts[:, max(contexts.shape[1] - self.order + 1, 0) :].astype(np.int64)
        numbers = [self._numbers(contexts[:, -n:]) for n in range(1, contexts.shape[1] + 1)]
        return [self._following([int(of_order[row]) for of_order in numbers]) for row in range(len(contexts))]

    def _numbers(self, grams: np.ndarray) -> np.ndarray:
        """Look n-grams up, one a row; -1: it is not in the text."""
        numbers = grams[:, 0]
        for keys, ids in zip(self.keys, grams.T[1:], strict=False):
            wanted = np.where((numbers < 0) | (ids >= self.size), -1, numbers * self.size + ids)
            places = np.searchsorted(keys, wanted)
            numbers = np.where(keys.take(places, mode="clip") == wanted, places, -1)
        return numbers

    def _following(self, numbers: list[int]) -> tuple[float, np.ndarray, np.ndarray]:
        factor, ids, p = 1.0, np.zeros(0, np.int64), np.zeros(0)
        for number, keys, (shares, left) in zip(numbers, self.keys, self._orders, strict=False):
            if number < 0:
                break
            first, last = np.searchsorted(keys, (number * self.size, (number + 1) * self.size))
            longer = keys[first:last] - number * self.size
            factor, p = factor * left[number], p * left[number]
            if not len(ids):  # the bigrams: what follows a longer context follows its last id, too
                ids, p = longer, self.unigram[longer] * factor
            p[np.searchsorted(ids, longer)] += shares[first:last]
        return factor, ids, p


def count(lines: Iterable[Sequence[int]], order: int, size: int) -> NGrams:
    """Count the n-grams of lines, each a sequence of ids below `size`."""
    ids = np.fromiter(chain.from_iterable((size, *line) for line in lines), np.int64)
    begins = np.flatnonzero(ids == size)
    place = np.arange(len(ids)) - np.repeat(begins, np.diff(begins, append=len(ids)))  # in its line
    numbers = ids  # of the n-grams of one order that end at each place
    n_numbers, occurrences = size + 1, np.bincount(ids[place > 0], minlength=size + 1)
    all_keys, all_counts = [], []
    for n in range(2, order + 1):
        ends = np.flatnonzero(place >= n - 1)
        if not len(ends):
            break  # all lines are shorter
        at_begin = np.bincount(numbers[place == n - 2], minlength=n_numbers) if n > 2 else 0
        keys = numbers[ends - 1] * size + ids[ends]
        by_key = np.argsort(keys)
        keys, ends = keys[by_key], ends[by_key]
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        all_counts.append(np.bincount(numbers[ends[first]], minlength=n_numbers) + at_begin)
        all_keys.append(keys[first])
        n_numbers, occurrences = len(first), np.diff(first, append=len(keys))
        numbers = np.zeros_like(ids)
        numbers[ends] = np.repeat(np.arange(n_numbers), occurrences)
    unigrams, *counts = [*all_counts, occurrences]
    return NGrams(unigrams[:size], all_keys, counts)


def _discount(counts: np.ndarray) -> float:
    """Estimate what to take off each count; a half where the text is too small to tell."""
    once, twice = (np.count_nonzero(counts == n) for n in (1, 2))
    return once / (once + 2 * twice) if once and twice else 0.5
