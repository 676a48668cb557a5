"""How far a long computation is: a bar on a terminal, elsewhere a line in the log every few seconds.

What is not known yet is left out: no rate before the second count, no loss before the first is logged.
"""

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

LINE_EVERY_S = 10.0
BAR_EVERY_S = 0.5
WINDOW_S = 60.0  # over which a rate is taken
Clock = Callable[[], float]  # seconds


class Meter:
    """Count what is done; tell how fast it goes and how long the rest will take."""

    def __init__(self, total: int, clock: Clock) -> None:
        self.total, self.clock = total, clock
        self.left_out_s, self.since = 0.0, clock()
        self.first: tuple[float, int] | None = None  # seconds, done
        self.lately: deque[tuple[float, int]] = deque()

    def count(self, done: int) -> None:
        """Note how many are done by now. The first note is where rates start from."""
        self.since = self.clock()
        self.lately.append((self.since - self.left_out_s, done))
        self.first = self.first or self.lately[0]
        while len(self.lately) > 2 and self.lately[1][0] <= self.lately[-1][0] - WINDOW_S:
            self.lately.popleft()

    def leave_out(self) -> float:
        """Take the time since the last note or call of this out of the rates; return it, in seconds."""
        now = self.clock()
        taken, self.since = now - self.since, now
        self.left_out_s += taken
        return taken

    def rate(self, overall: bool = False) -> float | None:
        """Return how many a second, lately or since the first note."""
        if not self.lately:
            return None
        (start_s, start), (now_s, now) = self.first if overall else self.lately[0], self.lately[-1]
        return (now - start) / (now_s - start_s) if now_s > start_s else None

    def left_s(self) -> float | None:
        """Return the seconds that the rest takes at the rate of late."""
        rate = self.rate()
        return (self.total - self.lately[-1][1]) / rate if rate else None


class Display:
    """Show facts, not too often: in a bar on stderr, or as a logger's plain lines.

    Parameters
    ----------
    head: how a line starts, such as "step {done} of {total}"
    every_s: between two lines; a bar is drawn more often
    """

    def __init__(self, logger: str, head: str, total: int, done: int, every_s: float, clock: Clock) -> None:
        self.logger, self.head, self.total, self.clock = logging.getLogger(logger), head, total, clock
        self.bar, self.every_s, self.shown, self.opened = None, every_s, clock(), ExitStack()
        if sys.stderr.isatty():
            layout = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"
            bar = tqdm(total=total, initial=done, bar_format=layout, dynamic_ncols=True, file=sys.stderr)
            self.opened.enter_context(bar)
            if bar.ncols is None or bar.ncols > 0:  # without a width, as in a recording, tqdm draws nothing
                self.bar, self.every_s = bar, BAR_EVERY_S
                # What others log goes above the bar, not behind it.
                loggers = [logging.root, logging.getLogger("transformers")]
                self.opened.enter_context(logging_redirect_tqdm(loggers))

    def show(self, done: int, facts: list[str | None], at_once: bool = False) -> None:
        """Show those facts that are not None, if the last time is long enough ago or `at_once`."""
        if not at_once and self.clock() - self.shown < self.every_s:
            return
        self.shown = self.clock()
        known = [fact for fact in facts if fact]
        if self.bar is None:
            self.logger.info(", ".join([self.head.format(done=done, total=self.total), *known]))
        else:
            self.bar.n = done
            self.bar.set_postfix_str(", ".join(known))  # draws it

    def close(self) -> None:
        """End the bar's line."""
        self.opened.close()


@contextmanager
def tracked(
    total: int,
    unit: str,
    logger: str,
    silent: bool = False,
    every_s: float = LINE_EVERY_S,
    clock: Clock = time.monotonic,
) -> Iterator[Callable[[int], None]]:
    """Show the progress of a block, which calls what it is given with how many more are done.

    Parameters
    ----------
    unit: what is counted, such as "clips"
    logger: the name of the one that lines go to
    silent: show nothing; for all processes but the first. That one may count for the others: more than
        the total is taken for the total.
    """
    if silent:
        yield lambda more: None
        return
    done, start, meter = 0, clock(), Meter(total, clock)
    display = Display(logger, f"{{done}} of {{total}} {unit}", total, done, every_s, clock)
    meter.count(done)

    def advance(more: int) -> None:
        nonlocal done
        done = min(total, done + more)
        meter.count(done)
        display.show(done, [per_s(meter.rate(), unit), left(meter.left_s())])

    try:
        yield advance
        facts = [per_s(meter.rate(overall=True), unit), f"took {duration(clock() - start)}"]
        display.show(done, facts, at_once=True)
    finally:
        display.close()


def duration(seconds: float) -> str:
    """Write a time as people say it: "35 s", "41 min", "2 h 5 min"."""
    minutes = round(seconds / 60)
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def left(seconds: float | None, at_least: str = "") -> str | None:
    return None if seconds is None else f"{at_least}{duration(seconds)} left"


def per_s(rate: float | None, unit: str) -> str | None:
    return None if rate is None else f"{rate:.1f} {unit}/s"
