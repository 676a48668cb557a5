import io
import logging
import os
import pty
import re
import sys
from pathlib import Path
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
from asr.runtime.progress import duration, tracked
from asr.training import progress_callback as training_progress
from asr.training.progress_callback import Progress

BASE = Path(__file__).parent.parent / "sample/base"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    return stderr(monkeypatch, Terminal())


@pytest.fixture
def lines(caplog, monkeypatch):
    """What is logged, where there is no terminal."""
    stderr(monkeypatch, io.StringIO())
    caplog.set_level(logging.INFO)
    return lambda logger="train": [record.message for record in caplog.records if record.name == logger]


def stderr(monkeypatch, stream):
    """Put a stream in the place of stderr, for the module only: pytest puts its own into `sys`."""
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream, platform=sys.platform))
    return stream


class Run:
    """A training under a clock of its own: 8 samples a step, validations of 4 batches."""

    def __init__(self, monkeypatch, max_steps=4000, eval_steps=1000, resumed=0, history=(), first=True):
        monkeypatch.setattr(training_progress, "memory_gb", lambda: 3.1)
        self.now = 1000.0
        self.args = SimpleNamespace(
            per_device_train_batch_size=2,
            gradient_accumulation_steps=2,
            world_size=2,
            eval_strategy="steps" if eval_steps else "no",
        )
        self.state = TrainerState(
            global_step=resumed,
            max_steps=max_steps,
            eval_steps=eval_steps,
            log_history=list(history),
            is_world_process_zero=first,
        )
        self.callback = Progress(every_s=10, clock=lambda: self.now)

    def tell(self, event, **kwargs):
        getattr(self.callback, f"on_{event}")(self.args, self.state, None, **kwargs)

    def steps(self, count, seconds=1.0):
        for _ in range(count):
            self.now += seconds
            self.state.global_step += 1
            self.tell("step_end")

    def validate(self, batch_s, wer=35.12, save_s=0):
        for _ in range(4):
            self.now += batch_s
            self.tell("prediction_step", eval_dataloader=range(4))
        self.tell("log", logs={"eval_loss": 1.0, "eval_wer": wer})
        self.tell("evaluate", metrics={"eval_wer": wer})
        self.now += save_s
        self.tell("save")


def test_a_line_says_what_is_known_when_it_is_due(monkeypatch, lines):
    run = Run(monkeypatch, eval_steps=None)
    run.tell("train_begin")
    run.steps(1, seconds=10)  # slow, as a first step is
    run.steps(4, seconds=0.5)
    run.tell("log", logs={"loss": 0.43214, "grad_norm": 1.0})  # the first: at once
    run.steps(19, seconds=0.5)
    run.tell("log", logs={"loss": 0.3})
    assert len(lines()) == 2
    run.steps(20, seconds=0.5)
    assert lines() == [
        "step 1 of 4000, 3.1 GB",
        "step 5 of 4000, loss 0.4321, 16.0 samples/s, 3.1 GB, 33 min left",
        "step 25 of 4000, loss 0.3000, 16.0 samples/s, 3.1 GB, 33 min left",
    ]


def test_the_rate_is_that_of_the_last_minute_and_in_the_end_of_all(monkeypatch, lines):
    run = Run(monkeypatch, max_steps=320, eval_steps=None)
    run.tell("train_begin")
    run.steps(200, seconds=1)
    run.steps(120, seconds=2)
    assert "step 260 of 320, 4.0 samples/s, 3.1 GB, 2 min left" in lines()
    run.tell("train_end")
    assert lines()[-1] == "step 320 of 320, 5.8 samples/s, 3.1 GB, took 7 min"  # 319 steps of 8 in 439 s


def test_validation_is_not_in_the_rate_but_in_the_time_left(monkeypatch, lines):
    run = Run(monkeypatch, max_steps=2500, eval_steps=1000)
    run.tell("train_begin")
    run.steps(1000)
    assert lines()[-1] == "step 1000 of 2500, 8.0 samples/s, 3.1 GB, over 25 min left"
    run.validate(batch_s=60, wer=40, save_s=60)
    assert lines()[-5:] == [
        *(f"step 1000 of 2500, validating: {batch} of 4 batches" for batch in (1, 2, 3, 4)),
        # 1500 s of training, and two validations of 240 s. Saving, not known yet, makes them 300 s.
        "step 1000 of 2500, WER 40.0, 8.0 samples/s, 3.1 GB, 33 min left",
    ]
    run.steps(1)
    assert lines()[-1] == "step 1001 of 2500, WER 40.0, 8.0 samples/s, 3.1 GB, 35 min left"
    run.steps(999)
    run.validate(batch_s=30, wer=35.12)
    assert lines()[-1] == "step 2000 of 2500, WER 35.1, 8.0 samples/s, 3.1 GB, 12 min left"  # 500 + 420 / 2
    assert lines()[-2] == "step 2000 of 2500, validating: 4 of 4 batches"
    run.steps(500)
    run.validate(batch_s=30)
    assert lines()[-1] == "step 2500 of 2500, WER 35.1, 8.0 samples/s, 3.1 GB, 0 s left"


def test_a_resumed_run_starts_where_it_was(monkeypatch, lines):
    history = [
        {"loss": 0.5, "step": 2000},
        {"eval_wer": 41.0, "step": 1000},
        {"eval_wer": 35.12, "step": 2000},
    ]
    run = Run(monkeypatch, resumed=2000, history=history)
    run.tell("train_begin")
    run.steps(1, seconds=300)  # with the skipping of rows that it has seen
    run.steps(10)
    assert lines() == [
        "step 2001 of 4000, WER 35.1, 3.1 GB",
        "step 2011 of 4000, WER 35.1, 8.0 samples/s, 3.1 GB, over 33 min left",
    ]
    run.steps(989)
    run.validate(batch_s=150)
    assert lines()[-1].endswith("27 min left")  # 1000 s and one more validation of 600 s
    run.tell("train_end")
    assert lines()[-1].endswith("took 32 min")


def test_a_last_validation_off_the_interval_is_expected(monkeypatch, lines):
    run = Run(monkeypatch, max_steps=150, eval_steps=100)
    run.tell("train_begin")
    run.steps(100)
    run.validate(batch_s=15)
    assert lines()[-1].endswith("2 min left")  # 50 s and another 60 s


@pytest.mark.parametrize("is_terminal", [True, False])
def test_only_the_first_process_speaks(monkeypatch, caplog, is_terminal):
    stream = stderr(monkeypatch, Terminal() if is_terminal else io.StringIO())
    caplog.set_level(logging.INFO)
    run = Run(monkeypatch, max_steps=100, eval_steps=50, first=False)
    run.tell("train_begin")
    run.steps(50)
    run.tell("log", logs={"loss": 1.0})
    run.validate(batch_s=60)
    run.tell("train_end")
    with tracked(10, "clips", "transcribe", silent=True) as advance:
        advance(10)
    assert not caplog.records and not stream.getvalue()


def test_a_validation_outside_of_training_is_not_ours(monkeypatch, lines):
    run = Run(monkeypatch)
    run.validate(batch_s=60)
    run.tell("train_begin")
    run.tell("train_end")
    run.validate(batch_s=60)
    assert lines() == ["step 0 of 4000, 3.1 GB, took 0 s"]


def bars(terminal):
    """What was on the bar's line, drawing by drawing."""
    drawn = [text.strip() for text in re.split("[\r\n]", terminal.getvalue())]
    return [text for text in drawn if text]


def test_a_terminal_has_a_bar(monkeypatch, terminal, caplog):
    caplog.set_level(logging.INFO)
    run = Run(monkeypatch, resumed=1000, history=[{"eval_wer": 80.0}])
    run.tell("train_begin")
    assert bars(terminal)[0].startswith("25%|") and bars(terminal)[0].endswith("| 1000/4000")
    run.steps(999)
    run.tell("log", logs={"loss": 0.43214})
    text = "| 1999/4000, loss 0.4321, WER 80.0, 8.0 samples/s, 3.1 GB, over 33 min left"
    assert bars(terminal)[-1].startswith("50%|") and bars(terminal)[-1].endswith(text)
    run.steps(1)
    run.validate(batch_s=60)
    assert bars(terminal)[-2].endswith("| 2000/4000, validating: 4 of 4 batches")
    text = "| 2000/4000, loss 0.4321, WER 35.1, 8.0 samples/s, 3.1 GB, 41 min left"
    assert bars(terminal)[-1].endswith(text)
    run.tell("train_end")
    assert bars(terminal)[-1].endswith("3.1 GB, took 21 min")
    assert terminal.getvalue().endswith("\n")
    assert not caplog.records


def test_what_others_log_is_above_the_bar(monkeypatch, terminal, caplog):
    logger = logging.getLogger("transformers")
    caplog.set_level(logging.WARNING, "transformers")  # commands that other tests run may have silenced it
    handlers = [logging.StreamHandler(terminal)]
    monkeypatch.setattr(sys, "stderr", terminal)  # tqdm redirects what goes there
    monkeypatch.setattr(logger, "handlers", handlers)
    run = Run(monkeypatch)
    run.tell("train_begin")
    run.steps(1)
    logger.warning("deprecated")
    assert bars(terminal)[-2:] == ["deprecated", bars(terminal)[1]]
    run.callback.close()
    assert logger.handlers == handlers


def test_a_terminal_without_a_width_has_lines(monkeypatch, caplog):
    ours, theirs = pty.openpty()  # a new one has none
    caplog.set_level(logging.INFO)
    with open(theirs, "w") as stream:
        stderr(monkeypatch, stream)
        run = Run(monkeypatch)
        run.tell("train_begin")
        run.steps(10)
        run.tell("train_end")
        os.write(theirs, b".")
        drawn = b""
        while b"." not in drawn:  # it may come in parts
            drawn += os.read(ours, 1000)
        assert drawn.split() == [b"."]
    os.close(ours)
    assert [record.message[:10] for record in caplog.records] == ["step 10 of"] * 2


def test_a_failed_training_can_end_the_bar_s_line(monkeypatch, terminal):
    run = Run(monkeypatch)
    run.callback.close()
    run.tell("train_begin")
    assert not terminal.getvalue().endswith("\n")
    run.callback.close()
    assert terminal.getvalue().endswith("\n") and "took" not in terminal.getvalue()


def test_a_bar_is_not_drawn_at_every_step(monkeypatch, terminal):
    run = Run(monkeypatch)
    run.tell("train_begin")
    run.steps(1000, seconds=0.01)
    assert 15 <= len(bars(terminal)) <= 21  # every half second of ten
    run.tell("train_end")  # or the bars of other tests are drawn below


def test_without_a_terminal_there_is_nothing_but_lines(monkeypatch, lines, capfd):
    run = Run(monkeypatch, max_steps=10, eval_steps=10)
    run.tell("train_begin")
    run.steps(10, seconds=20)
    run.validate(batch_s=10)
    run.tell("train_end")
    with tracked(1, "clips", "train") as advance:
        advance(1)
    assert progress.sys.stderr.getvalue() == "" and capfd.readouterr() == ("", "")
    assert len(lines()) == 17 and all(line.isprintable() for line in lines())


class Clips:
    """Six batches of eight clips, of which the last is half full and the first two are slow."""

    now = 50.0

    def go(self):
        with tracked(44, "clips", "transcribe", clock=lambda: self.now) as advance:
            for seconds in (90, 90, 4, 4, 4, 4):
                self.now += seconds
                advance(8)


def test_clips_are_tracked_in_lines(lines):
    Clips().go()
    assert lines("transcribe") == [
        "8 of 44 clips, 0.1 clips/s, 7 min left",
        "16 of 44 clips, 0.1 clips/s, 5 min left",
        "40 of 44 clips, 0.3 clips/s, 13 s left",
        "44 of 44 clips, 0.2 clips/s, took 3 min",
    ]


def test_clips_are_tracked_in_a_bar(terminal):
    Clips().go()
    assert bars(terminal)[1].startswith("18%|")
    assert bars(terminal)[1].endswith("| 8/44, 0.1 clips/s, 7 min left")
    assert bars(terminal)[-1].startswith("100%|")
    assert bars(terminal)[-1].endswith("| 44/44, 0.2 clips/s, took 3 min")


def test_a_failure_ends_the_bar_s_line_and_claims_no_end(terminal):
    with pytest.raises(ValueError, match="broken"):
        with tracked(44, "clips", "transcribe") as advance:
            advance(8)
            raise ValueError("broken")
    assert terminal.getvalue().endswith("\n") and "took" not in terminal.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (89, "1 min"), (3569, "59 min"), (3571, "1 h 0 min"),
     (7500, "2 h 5 min"), (100_000, "27 h 47 min")],
)  # fmt: skip
def test_durations_are_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_memory_is_that_of_this_process(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert 0.05 < training_progress.memory_gb() < 50  # a wrong unit is off by a thousand
    usage = SimpleNamespace(ru_maxrss=2_000_000)
    monkeypatch.setattr(training_progress.resource, "getrusage", lambda who: usage)
    monkeypatch.setattr(training_progress, "sys", SimpleNamespace(platform="linux"))
    assert training_progress.memory_gb() == 2.048
    monkeypatch.setattr(training_progress, "sys", SimpleNamespace(platform="darwin"))
    assert training_progress.memory_gb() == 0.002


def test_memory_is_that_of_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3_100_000_000)
    assert training_progress.memory_gb() == 3.1


def test_the_trainer_calls_it_all(tmp_path, monkeypatch, lines, capsys):
    def collate(rows):
        return {
            "input_features": torch.stack([features for features, _ in rows]),
            "labels": torch.stack([labels for _, labels in rows]),
        }

    rows = [(torch.randn(80, 300), torch.randint(5, 200, (6,))) for _ in range(8)]
    monkeypatch.setattr(training_progress, "memory_gb", lambda: 3.1)
    ticks = iter(range(10_000))
    trainer = Seq2SeqTrainer(
        model=WhisperForConditionalGeneration.from_pretrained(BASE),
        args=Seq2SeqTrainingArguments(
            output_dir=str(tmp_path),
            max_steps=3,
            per_device_train_batch_size=2,
            gradient_accumulation_steps=2,
            per_device_eval_batch_size=2,
            eval_strategy="steps",
            eval_steps=2,
            save_steps=2,
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
        callbacks=[Progress(every_s=0, clock=lambda: next(ticks))],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    shown = [re.sub(r"[0-9.]+ (samples/s|s left|min left|s$|min$)", r"N \1", line) for line in lines()]
    loss = r"loss \d+\.\d{4}, "
    expected = [
        r"step 1 of 3, 3\.1 GB",
        rf"step 1 of 3, {loss}3\.1 GB",
        rf"step 2 of 3, {loss}N samples/s, 3\.1 GB, over N s left",
        *(rf"step 2 of 3, validating: {batch} of 4 batches" for batch in (1, 2, 3, 4)),
        rf"step 2 of 3, {loss}WER 35\.1, N samples/s, 3\.1 GB, N s left",
        rf"step 3 of 3, {loss}WER 35\.1, N samples/s, 3\.1 GB, N s left",
        *(rf"step 3 of 3, validating: {batch} of 4 batches" for batch in (1, 2, 3, 4)),
        rf"step 3 of 3, {loss}WER 35\.1, N samples/s, 3\.1 GB, N s left",
        rf"step 3 of 3, {loss}WER 35\.1, N samples/s, 3\.1 GB, took N (s|min)",
    ]
    assert len(shown) == len(expected), "\n".join(lines())
    for line, pattern in zip(shown, expected, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)
    assert capsys.readouterr().out == ""  # Hugging Face's own printer is off
