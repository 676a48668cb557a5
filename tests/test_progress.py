"""What a user sees of a long computation: right figures, in a bar or in lines, from one process only."""

import io
import logging
import os
import pty
import re
import sys
from types import SimpleNamespace

import pytest
import torch
from transformers import (
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerState,
    WhisperForConditionalGeneration,
)

from asr import progress
from asr.progress import duration, tracked
from asr.training import progress as training_progress
from asr.training.progress import Progress
from tests.recipes import REPOSITORY


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def drawn(self):
        """List what was on the bar's line, drawing by drawing."""
        return [text.strip() for text in re.split("[\r\n]", self.getvalue()) if text.strip()]


def stderr(monkeypatch, stream):
    """Put a stream in the place of stderr, for the module only: pytest puts its own into `sys`."""
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream, platform=sys.platform))
    return stream


@pytest.fixture
def terminal(monkeypatch):
    return stderr(monkeypatch, Terminal())


@pytest.fixture
def lines(caplog, monkeypatch):
    """What is logged, where there is no terminal."""
    stderr(monkeypatch, io.StringIO())
    caplog.set_level(logging.INFO)
    return lambda logger="train": [record.message for record in caplog.records if record.name == logger]


class Run:
    """A training under a clock of its own: 8 samples a step, validations of 4 batches."""

    def __init__(self, monkeypatch, max_steps, eval_steps, resumed=0, history=(), first=True):
        monkeypatch.setattr(training_progress, "memory_gb", lambda: 3.1)
        self.now = 1000.0
        self.args = SimpleNamespace(
            per_device_train_batch_size=2, gradient_accumulation_steps=2, world_size=2, eval_strategy="steps"
        )
        self.state = TrainerState(
            global_step=resumed,
            max_steps=max_steps,
            eval_steps=eval_steps,
            log_history=list(history),
            is_world_process_zero=first,
        )
        self.callback = Progress(every_s=10, clock=lambda: self.now)
        self.tell("train_begin")

    def tell(self, event, **kwargs):
        getattr(self.callback, f"on_{event}")(self.args, self.state, None, **kwargs)

    def steps(self, count, seconds=1.0):
        for _ in range(count):
            self.now += seconds
            self.state.global_step += 1
            self.tell("step_end")

    def validate(self, batch_s, wer, save_s=0):
        for _ in range(4):
            self.now += batch_s
            self.tell("prediction_step", eval_dataloader=range(4))
        self.tell("log", logs={"eval_loss": 1.0, "eval_wer": wer})
        self.tell("evaluate", metrics={"eval_wer": wer})
        self.now += save_s
        self.tell("save")


def test_a_training_in_lines(monkeypatch, lines):
    run = Run(monkeypatch, max_steps=2500, eval_steps=1000)
    run.steps(1, seconds=10)  # slow, as a first step is
    run.tell("log", logs={"loss": 0.43214})
    run.steps(999)
    assert lines()[:3] == [
        "step 1 of 2500, 3.1 GB",
        "step 1 of 2500, loss 0.4321, 3.1 GB",
        "step 11 of 2500, loss 0.4321, 8.0 samples/s, 3.1 GB, over 41 min left",
    ]
    run.validate(batch_s=60, wer=40, save_s=60)
    assert lines()[-2:] == [
        "step 1000 of 2500, validating: 4 of 4 batches",
        # 1500 s of training, and two validations of 240 s. Saving, not known yet, makes them 300 s.
        "step 1000 of 2500, loss 0.4321, WER 40.0, 8.0 samples/s, 3.1 GB, 33 min left",
    ]
    run.steps(1)
    assert lines()[-1].endswith(
        "WER 40.0, 8.0 samples/s, 3.1 GB, 35 min left"
    )  # validation is not in the rate
    run.steps(999)
    run.validate(batch_s=30, wer=35.12)
    assert lines()[-1].endswith("WER 35.1, 8.0 samples/s, 3.1 GB, 12 min left")  # 500 + 420 / 2
    run.steps(500, seconds=2)
    assert lines()[-1].endswith("4.0 samples/s, 3.1 GB, 4 min left")  # the rate of late, and a validation
    run.validate(batch_s=30, wer=35.12)
    run.tell("train_end")
    assert lines()[-1] == "step 2500 of 2500, loss 0.4321, WER 35.1, 6.7 samples/s, 3.1 GB, took 59 min"


def test_a_resumed_training_starts_where_it_was(monkeypatch, lines):
    history = [
        {"loss": 0.5, "step": 2000},
        {"eval_wer": 41.0, "step": 1000},
        {"eval_wer": 35.12, "step": 2000},
    ]
    run = Run(monkeypatch, max_steps=4000, eval_steps=1000, resumed=2000, history=history)
    run.steps(1, seconds=300)  # with the skipping of rows that it has seen
    run.steps(10)
    assert lines() == [
        "step 2001 of 4000, WER 35.1, 3.1 GB",
        "step 2011 of 4000, WER 35.1, 8.0 samples/s, 3.1 GB, over 33 min left",
    ]


def test_a_training_in_a_bar(monkeypatch, terminal, caplog):
    caplog.set_level(logging.INFO)
    run = Run(monkeypatch, max_steps=4000, eval_steps=1000, resumed=1000, history=[{"eval_wer": 80.0}])
    assert terminal.drawn()[0].startswith("25%|") and terminal.drawn()[0].endswith("| 1000/4000")
    run.steps(999)
    run.tell("log", logs={"loss": 0.43214})
    text = "| 1999/4000, loss 0.4321, WER 80.0, 8.0 samples/s, 3.1 GB, over 33 min left"
    assert terminal.drawn()[-1].startswith("50%|") and terminal.drawn()[-1].endswith(text)
    assert not terminal.getvalue().endswith("\n")
    run.callback.close()  # as after a failure
    assert terminal.getvalue().endswith("\n") and "took" not in terminal.getvalue()
    assert not caplog.records


def test_a_terminal_without_a_width_has_lines(monkeypatch, caplog):
    ours, theirs = pty.openpty()  # a new one has none
    caplog.set_level(logging.INFO)
    with open(theirs, "w") as stream:
        stderr(monkeypatch, stream)
        run = Run(monkeypatch, max_steps=4000, eval_steps=1000)
        run.steps(10)
        run.tell("train_end")
        os.write(theirs, b".")
        drawn = b""
        while b"." not in drawn:  # it may come in parts
            drawn += os.read(ours, 1000)
        assert drawn.split() == [b"."]
    os.close(ours)
    assert [record.message[:10] for record in caplog.records] == ["step 10 of"] * 2


def test_only_the_first_process_speaks(monkeypatch, terminal, caplog):
    caplog.set_level(logging.INFO)
    run = Run(monkeypatch, max_steps=100, eval_steps=50, first=False)
    run.steps(50)
    run.tell("log", logs={"loss": 1.0})
    run.validate(batch_s=60, wer=40)
    run.tell("train_end")
    with tracked(10, "clips", "transcribe", silent=True) as advance:
        advance(10)
    assert not caplog.records and not terminal.getvalue()


def clips():
    """Track six batches of eight clips, of which the last is half full and the first two are slow."""
    now = 50.0
    with tracked(44, "clips", "transcribe", clock=lambda: now) as advance:
        for seconds in (90, 90, 4, 4, 4, 4):
            now += seconds
            advance(8)


def test_clips_are_tracked_in_lines(lines):
    clips()
    assert lines("transcribe") == [
        "8 of 44 clips, 0.1 clips/s, 7 min left",
        "16 of 44 clips, 0.1 clips/s, 5 min left",
        "40 of 44 clips, 0.3 clips/s, 13 s left",
        "44 of 44 clips, 0.2 clips/s, took 3 min",
    ]


def test_a_failure_ends_the_bar_s_line_and_claims_no_end(terminal):
    with pytest.raises(ValueError, match="broken"):
        with tracked(44, "clips", "transcribe") as advance:
            advance(8)
            raise ValueError("broken")
    assert terminal.getvalue().endswith("\n") and "took" not in terminal.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3569, "59 min"),
        (3571, "1 h 0 min"),
        (100_000, "27 h 47 min"),
    ],
)
def test_durations_are_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_memory_is_this_process_or_its_gpu_s(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    usage = SimpleNamespace(ru_maxrss=2_000_000)
    monkeypatch.setattr(training_progress.resource, "getrusage", lambda who: usage)
    for platform, expected in (("linux", 2.048), ("darwin", 0.002)):
        monkeypatch.setattr(training_progress, "sys", SimpleNamespace(platform=platform))
        assert training_progress.memory_gb() == expected
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3_100_000_000)
    assert training_progress.memory_gb() == 3.1


def test_the_trainer_calls_it_all(tmp_path, lines):
    def collate(rows):
        features, labels = zip(*rows, strict=True)
        return {"input_features": torch.stack(features), "labels": torch.stack(labels)}

    rows = [(torch.randn(80, 300), torch.randint(5, 200, (6,))) for _ in range(4)]
    trainer = Seq2SeqTrainer(
        model=WhisperForConditionalGeneration.from_pretrained(REPOSITORY / "sample/base"),
        args=Seq2SeqTrainingArguments(
            output_dir=str(tmp_path),
            max_steps=2,
            per_device_train_batch_size=2,
            per_device_eval_batch_size=2,
            eval_strategy="steps",
            eval_steps=2,
            save_strategy="no",
            logging_steps=1,
            predict_with_generate=True,
            generation_max_length=8,
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=collate,
        compute_metrics=lambda prediction: {"wer": 35.12},
        callbacks=[Progress(every_s=0)],
    )
    trainer.train()
    shown = [
        re.sub(r", \S+ GB|, [\d.]+ samples/s|\d\.\d{4}|[\d.]+ (?=s )|\d+ s$", "", line) for line in lines()
    ]
    assert shown == [
        "step 1 of 2",
        "step 1 of 2, loss ",
        "step 2 of 2, loss , over s left",
        *(f"step 2 of 2, validating: {batch} of 2 batches" for batch in (1, 2)),
        "step 2 of 2, loss , WER 35.1, s left",
        "step 2 of 2, loss , WER 35.1, took ",
    ]
