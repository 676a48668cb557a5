"""A lock file that the kernel frees when its process ends, however it ends."""

import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

POLL_S = 0.5
logger = logging.getLogger(__name__)


@contextmanager
def held(file: Path, work: str) -> Iterator[None]:
    """Hold a lock file; wait while another process holds it, such as one that outlived a killed `dvc repro`.

    It is a record lock, which belongs to one process. Workers that it forks do not inherit it. Closing the
    file anywhere in the process frees it too.

    Raises
    ------
    ProcessLookupError: the `dvc` that started this process ended while it waited.
    """
    parent = os.getppid()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as lock:
        if not _take(lock):
            lock.seek(0)
            pid, _, host = lock.read().partition(" ")
            logger.warning(
                "process %s on %s is still at work on %s (killing dvc leaves its stage behind): waiting;"
                " `kill %s` ends it, and this run takes over", pid, host, work, pid
            )  # fmt: skip
        while not _take(lock):
            time.sleep(POLL_S)
            if "DVC_STAGE" in os.environ and os.getppid() != parent:  # the next `dvc repro` takes its place
                raise ProcessLookupError(f"the dvc that started {work} has ended: not waiting any longer")
        lock.truncate(0)
        lock.write(f"{os.getpid()} {socket.gethostname()}")
        lock.flush()
        yield


@contextmanager
def held_if_free(file: Path) -> Iterator[bool]:
    """Hold a lock file if no other process does; yields whether it is held."""
    with file.open("a+") as lock:
        yield _take(lock)


def _take(lock: TextIO) -> bool:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # POSIX allows both
        return False
    return True
