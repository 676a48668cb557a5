"""How two processes take turns on one machine: what the one that works says to the one that times.

A process says when it is ready, waits for a line, does a piece of work, says how long that took, and so on
until it says its result. Loading and saving happen between pieces and count for nobody.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from transformers import Trainer, TrainerCallback

from asr.params import Params, load_params

MARK = "@ "  # begins a line that is meant for the other process


def tell(**message) -> None:
    """Say something to the process that times."""
    print(MARK + json.dumps(message, allow_nan=False), flush=True)


@contextmanager
def turn(n_clips: int) -> Iterator[None]:
    """Wait for the turn, and time the work on so many clips."""
    begun = begin()
    yield
    end(begun, n_clips)


def begin() -> float:
    """Say that all is ready, and wait for the turn; returns when it began."""
    tell(ready=True)
    if not sys.stdin.readline():
        sys.exit("the benchmark has ended")
    return time.perf_counter()


def end(begun: float, n_clips: int) -> None:
    """Say how long the work on so many clips took, once the GPU has done it too."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    tell(seconds=time.perf_counter() - begun, n_clips=n_clips)


class TurnsOfSteps(TrainerCallback):
    """Let a trainer take a turn of several steps at a time, their data loading included."""

    def __init__(self, steps: int, clips_a_step: int) -> None:
        self.steps, self.clips_a_step = steps, clips_a_step

    def on_train_begin(self, args, state, control, **kwargs):
        self.first, self.begun = state.global_step, begin()

    def on_step_end(self, args, state, control, **kwargs):
        done = state.global_step - self.first
        if done == self.steps or state.global_step == state.max_steps:
            end(self.begun, done * self.clips_a_step)
            if state.global_step < state.max_steps:
                self.first, self.begun = state.global_step, begin()


def train(trainer: Trainer, steps: int, run: Callable[[], None]) -> None:
    """Run a training whose trainer takes turns of so many steps."""
    trainer.add_callback(TurnsOfSteps(steps, trainer.args.per_device_train_batch_size))
    run()


def serve(phases: Iterable[Callable[[Params, int], dict]]) -> None:
    """Run the phase that the command line names, with its number, and say what came of it."""
    name, number = sys.argv[1:]
    result = {phase.__name__: phase for phase in phases}[name](load_params(), int(number))
    gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    tell(result=result, cuda_bytes=gpu)
