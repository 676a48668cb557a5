"""What a user sees of a long computation: a bar or lines, with rates that are right."""

import io
import itertools
import logging
import os
import pty
import re
import sys
import termios
from types import SimpleNamespace

import pytest
import torch
from transformers import TrainerState

from asr.runtime import progress
from asr.runtime.progress import tracked
from asr.training.progress_callback import Progress
from tests.trainers import trained


@pytest.fixture
def clock(monkeypatch):
    """The time that tqdm goes by."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("tqdm.std.time", lambda: clock.now)
    return clock


@pytest.fixture
def lines(caplog, monkeypatch):
    """A function that lists what is logged where there is no terminal."""
    # For the module only: pytest puts a stream of its own into `sys`.
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=io.StringIO()))
    caplog.set_level(logging.INFO)
    yield lambda: [record.message for record in caplog.records if record.name in ("train", "transcribe")]
    assert progress.sys.stderr.getvalue() == ""


@pytest.fixture
def terminal(monkeypatch):
    """A function that makes stderr a terminal of some columns, and returns a function that reads it."""
    ours, theirs = pty.openpty()
    with open(theirs, "w") as stream:

        def drawn():
            print("END", end="", file=stream, flush=True)
            read = b""
            while not read.endswith(b"END"):
                read += os.read(ours, 10_000)
            return read.decode().removesuffix("END")

        def open_with(columns):
            termios.tcsetwinsize(theirs, (24, columns))
            monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream))
            monkeypatch.setattr(sys, "stderr", stream)
            monkeypatch.setattr(logging.root, "handlers", [logging.StreamHandler(stream)])
            return drawn

        yield open_with
    os.close(ours)


def track(clock):
    """Count 44 clips in six batches of eight, of which the first two are slow and the last is half full."""
    with tracked(44, "clips", "transcribe") as advance:
        for seconds in (90, 90, 4, 4, 4, 4):
            clock.now += seconds
            advance(8)


def test_clips_are_tracked_in_lines_of_ten_seconds(clock, lines):
    track(clock)
    assert lines() == [
        "0 of 44 clips, ? clips/s, 00:00 passed, ? left",
        "8 of 44 clips, 0.09 clips/s, 01:30 passed, 06:45 left",
        "16 of 44 clips, 0.09 clips/s, 03:00 passed, 05:15 left",
        "40 of 44 clips, 0.28 clips/s, 03:12 passed, 00:14 left",
        "44 of 44 clips, 0.22 clips/s, 03:16 passed, 00:00 left",
    ]


def test_on_a_terminal_a_bar_stands_below_what_is_logged(clock, terminal):
    drawn = terminal(columns=100)
    with pytest.raises(ValueError, match="broken"), tracked(44, "clips", "transcribe") as advance:
        clock.now += 10
        advance(8)
        logging.warning("deprecated")
        raise ValueError("broken")  # whose message begins a line
    shown = r"\rdeprecated\r\n\r 18%\|[^\n]*\| 8/44 \[00:10<00:45,  1\.25s/ clips\]\r\n$"
    assert re.search(shown, drawn())


def test_a_terminal_without_a_width_has_lines(clock, terminal, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transcribe"), "level", logging.INFO)
    drawn = terminal(columns=0)
    track(clock)
    assert drawn().count(" of 44 clips, ") == 5


class Run:
    """A training of 4000 steps of 8 samples, of which some were done before."""

    def __init__(self, clock, done=0, history=(), main=True):
        self.clock, self.callback = clock, Progress()
        self.args = SimpleNamespace(
            per_device_train_batch_size=2, gradient_accumulation_steps=2, world_size=2
        )
        self.state = TrainerState(
            global_step=done, max_steps=4000, log_history=list(history), is_world_process_zero=main
        )

    def step(self, count, seconds=1.0):
        for _ in range(count):
            self.clock.now += seconds
            self.state.global_step += 1
            self.callback.on_step_end(self.args, self.state, None)

    def validate(self, batch_s):
        for _ in range(4):
            self.clock.now += batch_s
            self.callback.on_prediction_step(self.args, self.state, None, eval_dataloader=range(4))
        self.state.log_history.append({"eval_wer": 40.0})
        self.callback.on_evaluate(self.args, self.state, None)


def test_rates_are_those_of_this_run_from_the_end_of_its_first_step(clock, lines, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3_100_000_000)
    training = Run(clock, done=2000, history=[{"eval_wer": 41.0}, {"eval_wer": 35.12, "loss": 0.43214}])
    training.step(1, seconds=300)  # skips the rows that it has seen
    training.step(20, seconds=0.5)
    figures = "2.00 steps/s, loss 0.4321, WER 35.12, 16.0 samples/s, 3.1 GB, 00:10 passed, 16:29 left"
    assert lines()[-1] == f"2021 of 4000 steps, {figures}"


def test_a_validation_has_lines_of_its_own_and_counts_in_the_time_left(clock, lines):
    training = Run(clock)
    training.step(1001)
    training.validate(batch_s=250)
    training.step(1)
    assert lines()[-5:] == [
        "validation: 1 of 4 batches, ? batches/s, 00:00 passed, ? left",
        "validation: 2 of 4 batches, 0.00 batches/s, 04:10 passed, 08:20 left",
        "validation: 3 of 4 batches, 0.00 batches/s, 08:20 passed, 04:10 left",
        "validation: 4 of 4 batches, 0.00 batches/s, 12:30 passed, 00:00 left",
        # 1001 steps took 2001 s.
        "1002 of 4000 steps, 0.50 steps/s, WER 40, 4.0 samples/s, 33:21 passed, 1:39:53 left",
    ]


def test_only_the_main_process_speaks_and_only_in_a_training(clock, lines):
    other = Run(clock, main=False)
    other.step(50)
    for training in (other, Run(clock)):
        training.validate(batch_s=60)
    with tracked(10, "clips", "transcribe", silent=True) as advance:
        advance(10)
    assert lines() == []


def test_the_trainer_calls_it_all(tmp_path, monkeypatch, lines):
    monkeypatch.setattr("tqdm.std.time", itertools.count(0, 20).__next__)
    trained(tmp_path, max_steps=2, eval_steps=2, save_steps=2, per_device_eval_batch_size=2)
    expected = [
        r"1 of 2 steps, .*",
        r"2 of 2 steps, \S+ steps/s, loss \S+, \S+ samples/s, .*",
        *(rf"validation: {batch} of 2 batches, .*" for batch in (1, 2)),
        r"2 of 2 steps, \S+ steps/s, loss \S+, WER \S+, \S+ samples/s, .*",
    ]
    assert len(lines()) == len(expected), "\n".join(lines())
    for line, pattern in zip(lines(), expected, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)
