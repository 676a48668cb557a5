"""Rows through a function in several processes, in order; a row that kills its process costs nothing else.

Clips are decoded in C, from files of unknown origin. A decoder that crashes or hangs ends its process, and
Python then ends the whole pool. The outstanding rows are computed again, one at a time, up to the guilty one.

`pebble` would do this in half the lines, but not survive a worker that is killed while it returns a result:
its pipe stays locked, it loses another row every 60 s, and then the pool (5.2.3, tried).
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any

CHUNK = 8  # rows handed to a process at once
AHEAD = 3  # chunks for each process whose results are not taken yet: bounds the memory
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
    compute: a function of a module, not a closure: other processes find it by its name
    start: called with `args` once in each process

    Raises
    ------
    ChildProcessError: processes die whatever they compute.
    """

    def results(rows: range, processes: int, ahead: int, chunk: int) -> Iterator:
        with ProcessPoolExecutor(processes, initializer=start, initargs=args) as pool:
            waiting = deque()
            for first in rows[::chunk]:
                if len(waiting) == ahead:
                    yield from waiting.popleft().result()
                waiting.append(pool.submit(_compute, compute, range(first, min(first + chunk, rows.stop))))
            while waiting:
                yield from waiting.popleft().result()

    ahead = n_workers() * AHEAD
    done = 0
    while done < n_rows:
        try:
            for result in results(range(done, n_rows), n_workers(), ahead, CHUNK):
                yield result
                done += 1
        except BrokenProcessPool:
            _require_life(start, args)
            try:
                for result in results(range(n_rows)[done : done + ahead * CHUNK], 1, 1, 1):
                    yield result
                    done += 1
            except BrokenProcessPool:
                yield Died(f"its process crashed, or took more than {LIMIT_S} s")
                done += 1


def in_turn(compute: Callable[[list], Iterator], rows: list) -> Iterator:
    """Yield what `compute(rows)` yields, one result for each row, from a process that goes from row to row.

    Where a row kills it there is a `Died`, and another process goes on with the next row.
    """
    while rows:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(target=_send, args=(compute, rows, sender), daemon=True)
        process.start()
        sender.close()
        done = 0
        try:
            while done < len(rows):
                result = receiver.recv()
                if isinstance(result, Exception):
                    raise result
                done += 1
                yield result
        except EOFError:
            done += 1
            yield Died(f"its process crashed, or took more than {LIMIT_S} s")
        finally:
            process.kill()
            process.join()
            receiver.close()
        rows = rows[done:]


def _send(compute: Callable[[list], Iterator], rows: list, sender: Connection) -> None:
    """Send results, or the error that there is; LIMIT_S is for each of them."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    try:
        signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
        for result in compute(rows):
            sender.send(result)
            signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    except Exception as error:
        sender.send(error)


def _require_life(start: Callable, args: tuple) -> None:
    with ProcessPoolExecutor(1, initializer=start, initargs=args) as pool:
        try:
            pool.submit(int).result()
        except BrokenProcessPool as error:
            raise ChildProcessError("processes die before they compute: is there enough memory?") from error


def _compute(compute: Callable, rows: range) -> list:
    """Compute rows; the kernel ends a process that takes more than LIMIT_S of processor time for one.

    A handler in Python would wait for the decoder to return.
    """
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    results = []
    for row in rows:
        signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
        results.append(compute(row))
    signal.setitimer(signal.ITIMER_PROF, 0)
    return results
