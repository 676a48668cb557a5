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
from transformers import (
    PrinterCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerState,
    WhisperForConditionalGeneration,
)

from asr.runtime import progress
from asr.runtime.progress import tracked
from asr.training.progress_callback import Progress
from tests.recipes import REPOSITORY


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


@pytest.fixture
def run(clock):
    """A function that begins a training of 4000 steps of 8 samples."""
    made = []

    def make(done=0, history=(), main=True):
        made.append(Run(clock, done, list(history), main))
        return made[-1]

    yield make
    for training in made:
        training.tell("train_end")


class Run:
    def __init__(self, clock, done, history, main):
        self.clock, self.callback = clock, Progress()
        self.args = SimpleNamespace(
            per_device_train_batch_size=2, gradient_accumulation_steps=2, world_size=2
        )
        self.state = TrainerState(
            global_step=done, max_steps=4000, log_history=history, is_world_process_zero=main
        )

    def tell(self, event, **kwargs):
        getattr(self.callback, f"on_{event}")(self.args, self.state, None, **kwargs)

    def step(self, count, seconds=1.0):
        for _ in range(count):
            self.clock.now += seconds
            self.state.global_step += 1
            self.tell("step_end")

    def validate(self, batch_s, wer):
        for _ in range(4):
            self.clock.now += batch_s
            self.tell("prediction_step", eval_dataloader=range(4))
        self.state.log_history.append({"eval_wer": wer})
        self.tell("evaluate")


def test_rates_of_a_training_begin_with_the_end_of_the_first_step(run, lines, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3_100_000_000)
    training = run()
    training.step(1, seconds=300)  # slow, as a first step is
    training.state.log_history.append({"loss": 0.43214, "grad_norm": 1.0})
    training.step(20, seconds=0.5)
    assert lines() == [
        "1 of 4000 steps, ? steps/s, 00:00 passed, ? left",
        "21 of 4000 steps, 2.00 steps/s, loss 0.4321, 16.0 samples/s, 3.1 GB, 00:10 passed, 33:09 left",
    ]


def test_a_resumed_run_counts_its_own_steps_only(run, lines):
    training = run(done=2000, history=[{"eval_wer": 41.0}, {"eval_wer": 35.12, "loss": 0.5}])
    training.step(1, seconds=300)  # skips the rows that it has seen
    training.step(1, seconds=20)
    figures = "0.05 steps/s, loss 0.5, WER 35.12, 0.4 samples/s, 00:20 passed, 11:06:00 left"
    assert lines()[-1] == f"2002 of 4000 steps, {figures}"


def test_a_validation_has_lines_of_its_own_and_counts_in_the_time_left(run, lines):
    training = run()
    training.step(1001)
    training.validate(batch_s=250, wer=40.0)
    training.step(1)
    assert lines()[-5:] == [
        "validation: 1 of 4 batches, ? batches/s, 00:00 passed, ? left",
        "validation: 2 of 4 batches, 0.00 batches/s, 04:10 passed, 08:20 left",
        "validation: 3 of 4 batches, 0.00 batches/s, 08:20 passed, 04:10 left",
        "validation: 4 of 4 batches, 0.00 batches/s, 12:30 passed, 00:00 left",
        # 1001 steps took 2001 s.
        "1002 of 4000 steps, 0.50 steps/s, WER 40, 4.0 samples/s, 33:21 passed, 1:39:53 left",
    ]


def test_only_the_main_process_speaks_and_only_in_a_training(run, lines):
    other = run(main=False)
    other.step(50)
    for training in (other, run()):
        training.validate(batch_s=60, wer=40.0)
    with tracked(10, "clips", "transcribe", silent=True) as advance:
        advance(10)
    assert lines() == []


def test_the_trainer_calls_it_all(tmp_path, monkeypatch, lines):
    def collate(rows):
        features, labels = zip(*rows, strict=True)
        return {"input_features": torch.stack(features), "labels": torch.stack(labels)}

    monkeypatch.setattr("tqdm.std.time", itertools.count(0, 20).__next__)
    rows = [(torch.randn(80, 300), torch.randint(5, 200, (6,))) for _ in range(4)]
    settings = {
        "max_steps": 2, "eval_strategy": "steps", "eval_steps": 2, "logging_steps": 1, "save_strategy": "no",
        "per_device_train_batch_size": 2, "per_device_eval_batch_size": 2, "predict_with_generate": True,
        "generation_max_length": 8, "disable_tqdm": True, "use_cpu": True,
    }  # fmt: skip
    trainer = Seq2SeqTrainer(
        model=WhisperForConditionalGeneration.from_pretrained(REPOSITORY / "sample/base"),
        args=Seq2SeqTrainingArguments(output_dir=str(tmp_path), **settings),
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=collate,
        compute_metrics=lambda prediction: {"wer": 35.12},
        callbacks=[Progress()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    expected = [
        r"1 of 2 steps, .*",
        r"2 of 2 steps, \S+ steps/s, loss \S+, \S+ samples/s, .*",
        *(rf"validation: {batch} of 2 batches, .*" for batch in (1, 2)),
        r"2 of 2 steps, \S+ steps/s, loss \S+, WER 35\.12, \S+ samples/s, .*",
    ]
    assert len(lines()) == len(expected), "\n".join(lines())
    for line, pattern in zip(lines(), expected, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)
