"""What every stage script does around its `main()`: logging, errors as messages, and one run at a time."""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import NoReturn

from asr.runtime import disk, locks, memory, secrets

CODE = Path(__file__).resolve().parent.parent.parent  # holds asr/ and stages/
HELD = "ASR_STAGE_HELD"  # set for the processes that a stage starts: it holds the lock, they must not wait


@contextmanager
def report_errors(stage: str, alone: bool = True) -> Iterator[None]:
    """Log a stage's progress to stderr; end on an expected error with its message and exit code 1.

    Expected are an `OSError` (a file, the disk, the network), wherever it comes from, a disk that is full,
    memory that ran out, a worker that was killed, and a `ValueError` that our own code raises, which says
    what to mend. All else is a defect and keeps its traceback. Unless `alone` is False, a second run of the
    stage in the same folder waits for the first. No message has a key in it.
    """
    logging.basicConfig(format="%(name)s: %(message)s")
    for ours in (stage, "asr"):
        logging.getLogger(ours).setLevel(logging.INFO)
    _end_workers_with_us()
    try:
        with _alone(stage) if alone else nullcontext():
            yield
    except Exception as error:
        if disk.is_full(error):
            again = "make room and run `dvc repro` again"
            _end(f"{stage}: {disk.explain_full(Path.cwd())}: {again} ({type(error).__name__}: {error})")
        out_of_memory = memory.explain(error, stage)
        if out_of_memory:
            _end(f"{stage}: {out_of_memory} ({type(error).__name__}: {error})")
        if disk.is_forbidden(error):
            _end(f"{stage}: {error}: let this user read and write there, then run `dvc repro` again")
        if isinstance(error, OSError) or isinstance(error, ValueError) and _raised_by_us(error):
            _end(f"{stage}: {error}")
        raise


@contextmanager
def _alone(stage: str) -> Iterator[None]:
    """Hold the stage's lock in data/, outside of every output; its name has the stage's arguments too."""
    name = "-".join([stage, *sys.argv[1:]]).replace("/", "-")
    launches_others = "PET_NNODES" in os.environ and "LOCAL_RANK" not in os.environ
    if HELD in os.environ or launches_others or os.environ.get("RANK", "0") != "0":
        yield  # the launcher, or the first of several processes, holds it
    elif not Path("params.yaml").exists():
        yield  # no recipe's folder, and the stage is about to say so
    else:
        with locks.held(Path("data") / f".lock-{name}", name):
            os.environ[HELD] = name
            try:
                yield
            finally:
                del os.environ[HELD]


@cache
def _end_workers_with_us() -> None:
    """See to it that no process which a stage starts outlives it, also where the stage is killed.

    A worker that waits for work waits for ever: the other end of its queue is open in its siblings.
    """
    os.register_at_fork(after_in_child=_end_with_parent)
    if "LOCAL_RANK" in os.environ:
        _end_with_parent()


def _end_with_parent() -> None:
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _end(message: str) -> NoReturn:
    """End with a message; one of several processes hands it to their launcher, which says it once."""
    if "TORCHELASTIC_ERROR_FILE" in os.environ:
        hand_over(message)
    sys.exit(secrets.redacted(message))


def hand_over(message: str) -> NoReturn:
    """Leave what went wrong in one of several processes to their launcher, and end at once.

    It says the first one only: once a process is gone, the others lose their connection to it.
    """
    report = json.dumps({"message": secrets.redacted(message), "time_ns": time.time_ns()})
    Path(os.environ["TORCHELASTIC_ERROR_FILE"]).write_text(report, encoding="utf-8")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)  # or it would take leave of processes that may be gone


def _raised_by_us(error: Exception) -> bool:
    """Tell whether the innermost frame of an error is in asr/ or stages/, not in a library."""
    frame = error.__traceback__
    while frame.tb_next:
        frame = frame.tb_next
    file = Path(frame.tb_frame.f_code.co_filename).resolve()
    return file.parent == CODE / "stages" or file.is_relative_to(CODE / "asr")
