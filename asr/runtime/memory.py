"""Memory that ran out: numpy, Arrow and torch each say so in their way, and a killed worker says nothing."""

import errno
import os
from concurrent.futures.process import BrokenProcessPool

# Of torch on the CPU and on a GPU, of Arrow, and of a library or extension module that is loaded: none is a
# `MemoryError`.
NO_MEMORY = (
    os.strerror(errno.ENOMEM),
    "can't allocate memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "failed to map segment",
)
LOST_A_WORKER = "DataLoader worker (pid"  # of torch's data loader
LESS = {
    "train": "halve train.per_device_train_batch_size and double train.gradient_accumulation_steps"
    " (the same training), or lower train.per_device_eval_batch_size",
    "transcribe": "lower transcribe.batch_size",
}


def explain(error: BaseException | None, stage: str) -> str | None:
    """Say what happened and what to do, if an error, or one that it came from, is of memory; else None.

    A worker that died counts, because the kernel ends the largest process when memory runs out; whoever
    else killed it, the advice to run again is right.
    """
    less = LESS.get(stage, "end other programs, or take a machine with more")
    while error:
        text = str(error)
        if isinstance(error, BrokenProcessPool) or isinstance(error, RuntimeError) and LOST_A_WORKER in text:
            return (
                "a worker process was killed, by the kernel if memory ran out (`dmesg` says so):"
                f" run `dvc repro` again; if it comes back, {less}"
            )
        may_say = isinstance(error, (OSError, RuntimeError, ImportError))
        said_so = may_say and any(words in text for words in NO_MEMORY)
        if isinstance(error, MemoryError) or said_so:
            return f"out of memory: {less}; then run `dvc repro` again"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None
