"""How far a long computation is: tqdm's bar on a terminal, elsewhere a line in the log every ten seconds."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

LINE_EVERY_S = 10.0
LINE = "{desc}{n_fmt} of {total_fmt}{unit}, {rate_noinv_fmt}{postfix}, {elapsed} passed, {remaining} left"


def progress_bar(total: int, unit: str, logger: str, **options) -> tqdm:
    """Make a bar of what is counted, such as "clips"; `options` are tqdm's.

    Without a terminal its lines go to the logger of that name.
    """
    # A terminal without a width, as in a recording, gets no bar from tqdm.
    if sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns:
        options |= {"mininterval": 0.5, "dynamic_ncols": True}
    else:
        options |= {"mininterval": LINE_EVERY_S, "bar_format": LINE, "file": _Lines(logger), "position": 0}
    return tqdm(total=total, unit=f" {unit}", miniters=1, **options)


@contextmanager
def tracked(total: int, unit: str, logger: str, silent: bool = False) -> Iterator[Callable[[int], None]]:
    """Show the progress of a block, which calls what it is given with how many more are done.

    The main one of several processes may count for all of them: more than the total is taken for the total.
    """
    with logging_redirect_tqdm(), progress_bar(total, unit, logger, disable=silent) as bar:
        yield lambda more: bar.update(min(more, total - bar.n))


class _Lines:
    """A stream that logs each line tqdm writes to it."""

    def __init__(self, logger: str) -> None:
        self.logger = logging.getLogger(logger)

    def write(self, text: str) -> None:
        if line := " ".join(text.split()):
            self.logger.info(line)

    def flush(self) -> None:
        pass
