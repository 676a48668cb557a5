"""What a training's use of the device is computed from: operations that were done, time that was waited."""

import subprocess
import time

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import Trainer, TrainingArguments

from benchmarks.utilization import Meter
from tests.recipes import REPOSITORY

BATCH, LENGTH, WIDTH, SLEEP_S = 2, 8, 16, 0.01


class Rows:
    """Rows that take a while to come."""

    def __len__(self):
        return 100

    def __getitem__(self, index):
        time.sleep(SLEEP_S)
        return {"x": torch.full((1, LENGTH, WIDTH), float(index))}


class Attention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.project = torch.nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        y = self.project(x)
        return {"loss": scaled_dot_product_attention(y, y, y).mean()}


def test_operations_of_the_first_steps_and_waiting_in_the_others(tmp_path):
    arguments = TrainingArguments(
        str(tmp_path), per_device_train_batch_size=BATCH, max_steps=100, disable_tqdm=True, use_cpu=True
    )
    trainer, meter = Trainer(Attention(), arguments, train_dataset=Rows()), Meter(3)
    meter.watch(trainer)
    trainer.train()
    assert trainer.state.global_step == 6
    # The projection: forwards, and backwards for its weight; its input has no gradient. Attention: two
    # products, each once forwards and twice backwards.
    projection = 2 * 2 * BATCH * LENGTH * WIDTH * WIDTH
    attention = 2 * 3 * 2 * BATCH * LENGTH * LENGTH * WIDTH
    assert meter.flops == 3 * (projection + attention)
    assert 3 * BATCH * SLEEP_S <= meter.waited_s <= meter.seconds


def shown(recipe):
    command = ["python", "-m", "benchmarks.utilization", "--recipe", str(recipe.folder), "--steps", "2"]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


def test_a_recipe_shows_its_figures(finished):
    done = shown(finished)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[-9:]
    figures = {line[:30].strip(): line[30:].strip() for line in lines}
    assert figures["precision"] == "fp32" and figures["batch"] == "4"
    reached, peak = float(figures["TFLOP/s"]), float(figures["TFLOP/s of a matrix product"])
    assert 0 < reached < peak
    assert float(figures["share of that, %"]) == pytest.approx(100 * reached / peak, rel=0.01)
    step = float(figures["TFLOP a step"]) / float(figures["s a step"])
    assert reached == pytest.approx(step, rel=0.01)


def test_a_recipe_without_data_says_what_to_run(recipe):
    done = shown(recipe)
    assert done.returncode == 2 and "run `dvc repro filter`" in done.stderr
