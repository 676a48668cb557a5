"""Errors of memory, as the libraries really raise them, where they can be provoked without a GPU."""

import errno
import os
import signal
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from asr.runtime import memory

TOO_MUCH = 1 << 60


def end_oneself(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def map_in_a_pool():
    with ProcessPoolExecutor(1) as pool:
        list(pool.map(end_oneself, [0]))


def load_with_a_worker():
    list(DataLoader([0], num_workers=1, collate_fn=end_oneself))


@pytest.mark.parametrize(
    ("provoke", "says"),
    [
        (lambda: np.empty(TOO_MUCH, np.int8), "out of memory"),
        (lambda: torch.empty(TOO_MUCH, dtype=torch.int8), "out of memory"),
        (map_in_a_pool, "worker process was killed"),
        (load_with_a_worker, "worker process was killed"),
    ],
    ids=["numpy", "torch", "pool", "data loader"],
)
def test_memory_that_ran_out_is_recognised(provoke, says):
    with pytest.raises(Exception) as caught:
        provoke()
    assert says in memory.explain(caught.value)


@pytest.mark.parametrize(
    ("error", "is_of_memory"),
    [
        # What torch says on a GPU, Arrow of a mapped file, and the loader of a library.
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (OSError("Memory mapping file failed: Cannot allocate memory"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError("libespeak-ng.so: failed to map segment from shared object"), True),
        (ImportError("tokenizers.abi3.so: failed to map segment from shared object"), True),
        (ImportError("cannot import name 'Encoding' from 'tokenizers'"), False),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), False),
        (ValueError("the clip 'out of memory' is too long"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
    ids=repr,
)
def test_errors_of_memory(error, is_of_memory):
    assert (memory.explain(error) is not None) is is_of_memory


def test_an_error_that_came_from_one_of_memory_is_one():
    error = KeyError("batch")
    error.__cause__ = MemoryError()
    assert memory.explain(error) == "out of memory"
