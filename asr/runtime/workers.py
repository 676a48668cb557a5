"""Rows through a function in several processes, in order; a row that kills its process kills nothing else.

Clips are decoded in C, out of files that anybody may have made. Where a decoder crashes, or does not come
to an end, its process goes, and with it the whole pool. The rows that are outstanding are then computed one
at a time, until the row is found at which it happens again.
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

CHUNK = 8  # rows handed to a process in one piece
AHEAD = 3  # pieces for each process whose results are not taken yet: bounds the memory
LIMIT_S = 120  # of processor time for a row; ten minutes of audio take a few seconds


class Died(str):
    """What stands in place of the result of a row that killed its process."""


def n_workers() -> int:
    """Return how many processes there will be: one for each core that this one may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux: Slurm gives a job some of a machine's cores
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(compute: Callable[[int], Any], n_rows: int, start: Callable, args: tuple) -> Iterator:
    """Yield `compute(0)`, `compute(1)`, … up to `n_rows`, or a `Died` in the place of one.

    Parameters
    ----------
    compute: of this module's caller, not a closure: it goes to other processes by its name
    start: called with `args` once in each process

    Raises
    ------
    ChildProcessError: processes die whatever they compute.
    """
    outstanding = n_workers() * AHEAD
    done = 0
    while done < n_rows:
        try:
            with ProcessPoolExecutor(n_workers(), initializer=start, initargs=args) as pool:
                for row in _in_pieces(pool, _Limited(compute), range(done, n_rows), outstanding):
                    yield row
                    done += 1
        except BrokenProcessPool:
            for row in _one_by_one(compute, range(n_rows)[done : done + outstanding * CHUNK], start, args):
                yield row
                done += 1


def _in_pieces(pool: ProcessPoolExecutor, compute: Callable, rows: range, outstanding: int) -> Iterator:
    """Yield results in order, with at most so many pieces computed whose results are not taken."""
    waiting = deque()
    for first in range(0, len(rows), CHUNK):
        if len(waiting) == outstanding:
            yield from waiting.popleft().result()
        waiting.append(pool.submit(_piece, compute, rows[first : first + CHUNK]))
    while waiting:
        yield from waiting.popleft().result()


def _piece(compute: Callable, rows: range) -> list:
    return [compute(row) for row in rows]


def _one_by_one(compute: Callable, rows: range, start: Callable, args: tuple) -> Iterator:
    """Yield results up to that of the first row that kills its process, included."""
    with ProcessPoolExecutor(1, initializer=start, initargs=args) as pool:
        try:
            pool.submit(int).result()
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "processes die before they have computed anything: is there enough memory?"
            ) from error
        for row in rows:
            try:
                result = pool.submit(_Limited(compute), row).result()
            except BrokenProcessPool:
                yield Died(f"its process crashed, or took more than {LIMIT_S} s")
                return
            yield result


class _Limited:
    """A function of a row that ends its process if it takes more than LIMIT_S of processor time."""

    def __init__(self, compute: Callable) -> None:
        self.compute = compute

    def __call__(self, row: int):
        # The kernel ends the process: a handler in Python would wait for the decoder.
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
        try:
            return self.compute(row)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
