"""Memory that ran out: numpy, Arrow and torch each raise an error of their own, a killed worker none."""

import errno
import os
from concurrent.futures import BrokenExecutor

# Texts of torch on a CPU and a GPU, of Arrow, and of the loader of a library or extension module.
NO_MEMORY = (
    os.strerror(errno.ENOMEM), "can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED",
    "failed to map segment",
)  # fmt: skip
LOST_A_WORKER = "DataLoader worker (pid"  # of torch's data loader
LESS = {  # by name, and whether that is a stage's or a command's
    ("train", True): "halve train.per_device_train_batch_size and double train.gradient_accumulation_steps"
    " (the same training), or lower train.per_device_eval_batch_size",
    ("transcribe", True): "lower transcribe.batch_size",
    ("transcribe", False): "lower --batch-size",
}


def explain(error: BaseException | None) -> str | None:
    """Say what happened, if an error, or one that it came from, is one of memory; else return None.

    A worker that died counts: the kernel ends the largest process when memory runs out.
    """
    while error:
        text = str(error)
        if isinstance(error, BrokenExecutor) or isinstance(error, RuntimeError) and LOST_A_WORKER in text:
            return "a worker process was killed, by the kernel if memory ran out (see `dmesg`)"
        may_say = isinstance(error, (OSError, RuntimeError, ImportError))
        if isinstance(error, MemoryError) or may_say and any(words in text for words in NO_MEMORY):
            return "out of memory"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None
