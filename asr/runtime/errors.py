"""What every stage and command does around its `main`: logging, errors as messages, one run at a time."""

import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from functools import cache
from pathlib import Path
from typing import NoReturn

import asr
from asr.runtime import disk, locks, memory, secrets, terminal

CODE = Path(__file__).resolve().parent.parent.parent  # holds asr/ and stages/
HELD = "ASR_STAGE_HELD"  # set for the processes that a stage starts: it holds the lock for them
LAUNCHED = "TORCHELASTIC_ERROR_FILE"  # set by torchrun: where a process leaves its error


@contextmanager
def report_errors(name: str, stage: bool = True) -> Iterator[None]:
    """Log progress to stderr; end on an expected error with one message and exit code 1.

    What is printed and logged has its control characters escaped, because names and texts may have any.
    Expected are an `OSError`, a full disk, memory that ran out, a killed worker, and a `ValueError` that our
    own code raises. Everything else is a defect and keeps its traceback. Ctrl+C ends with exit code 130. A
    stage waits for another run of itself in the same folder. A command whose reader has gone, as in
    `asr compare | head`, ends without a message.
    """
    to_stderr = logging.StreamHandler()
    to_stderr.setFormatter(terminal.Formatter("%(name)s: %(message)s"))
    logging.basicConfig(handlers=[to_stderr])
    for ours in (name, "asr"):
        logging.getLogger(ours).setLevel(logging.INFO)
    secrets.keep_out_of_logs()
    _end_workers_with_us()
    try:
        if signal.getsignal(signal.SIGINT) is asr.end_while_importing:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        # Outside of a recipe's folder a stage is about to say so.
        alone = _alone(name) if stage and Path("params.yaml").exists() else nullcontext()
        with redirect_stdout(terminal.Output(sys.stdout)), alone:
            try:
                yield
            finally:  # argparse leaves with SystemExit
                sys.stdout.flush()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))  # a second one does not wait
        again = "`dvc repro` goes on" if stage else "what is written is whole"
        logging.getLogger(name).info("interrupted: %s", again)
        _end(128 + signal.SIGINT)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and not stage:
            _end(128 + signal.SIGPIPE)
        if message := _explain(error, name, stage):
            _end(f"{name}: {message}")
        if LAUNCHED in os.environ:
            _end(traceback.format_exc())
        raise


def _explain(error: Exception, name: str, stage: bool) -> str | None:
    """Say what happened and what to do about it; None for a defect."""
    again = "run `dvc repro` again" if stage else "run it again"
    cause = f"({type(error).__name__}: {error})"
    if disk.is_full(error) and not stage:  # what a command writes, it may write anywhere
        return f"the output could not be written ({error}): make room and {again}"
    if disk.is_full(error):
        return f"{disk.explain_full(Path.cwd())}: make room and {again} {cause}"
    if problem := memory.explain(error):
        less = memory.LESS.get((name, stage), "end other programs, or use a machine with more memory")
        return f"{problem}: {less}, then {again} {cause}"
    if disk.is_forbidden(error):
        return f"{error}: let this user read and write there, then {again}"
    if isinstance(error, OSError) or isinstance(error, ValueError) and _raised_by_us(error):
        return str(error)
    return None


@contextmanager
def _alone(stage: str) -> Iterator[None]:
    """Hold the stage's lock in data/: killing dvc leaves its stage running, and DVC's own lock free.

    Of several processes the one that starts them holds it, or the first one where torchrun starts them.
    """
    launches_machine = "PET_NNODES" in os.environ and "LOCAL_RANK" not in os.environ
    if HELD in os.environ or launches_machine or os.environ.get("RANK", "0") != "0":
        yield
        return
    with locks.held(Path("data") / f".lock-{stage}", stage):
        os.environ[HELD] = stage
        try:
            yield
        finally:
            del os.environ[HELD]


@cache
def _end_workers_with_us() -> None:
    """Let no process that a stage starts outlive it, even if the stage is killed.

    A worker that waits for work would wait for ever: the other end of its queue is open in its siblings.
    """
    os.register_at_fork(after_in_child=_start_as_worker)
    if "LOCAL_RANK" in os.environ:
        _end_with_parent()


def _start_as_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches every process; the stage reports it
    _end_with_parent()


def _end_with_parent() -> None:
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _end(status: str | int) -> NoReturn:
    """End with a message and exit code 1, or with an exit code.

    One of several processes leaves its message to their launcher, which reports the first of them: the other
    processes fail too, because they lose their connection to this one.
    """
    try:
        sys.stdout.flush()
    except OSError:  # Python would try again at exit, and print a traceback
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(status, str):
        status = terminal.visible(secrets.redacted(status))
        if LAUNCHED in os.environ:
            report = json.dumps({"message": status, "time_ns": time.time_ns()})
            # In one step: the launcher may look, or end this process, at any moment.
            part = Path(os.environ[LAUNCHED] + ".part")
            part.write_text(report, encoding="utf-8")
            part.replace(os.environ[LAUNCHED])
            os._exit(1)  # an orderly exit would wait for the other processes
    sys.exit(status)


def _raised_by_us(error: Exception) -> bool:
    """Tell whether the innermost frame of an error is in asr/ or stages/, not in a library."""
    frame = error.__traceback__
    while frame.tb_next:
        frame = frame.tb_next
    file = Path(frame.tb_frame.f_code.co_filename).resolve()
    return file.parent == CODE / "stages" or file.is_relative_to(CODE / "asr")
