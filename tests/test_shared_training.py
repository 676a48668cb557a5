"""A training and a transcription by two processes, on the CPU, give what one process gives."""

import json

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from asr.training.batches import NO_LOSS
from tests.recipes import Recipe
from tests.spied import kill_in_pass, start_spy
from tests.test_processes import said

pytestmark = pytest.mark.slow

# Seven steps are most of two epochs of 32 rows. Three validation rows at a time leave a last batch of two.
SETTINGS = {
    "train.padding": "longest",  # of a global batch, however many processes share it
    "train.per_device_train_batch_size": 4,
    "train.per_device_eval_batch_size": 3,
    "train.max_steps": 7,
    "train.eval_steps": 3,
    "train.save_steps": 3,
    "train.learning_rate": 1.5e-3,  # so that a difference shows
}


def trained(folder, finished, changes):
    """Return a recipe whose training has been run, and the label ids of each of its optimizer steps."""
    folder.mkdir()
    recipe = Recipe(folder, SETTINGS | changes)
    recipe.share(finished)
    said(start_spy(recipe))
    passes = json.loads((recipe.folder / "seen.json").read_text())  # of each process
    accumulated = changes["train.gradient_accumulation_steps"]
    steps = [
        sorted(
            [label for label in row if label != NO_LOSS]
            for seen in passes
            for batch in seen[first : first + accumulated]
            for row in batch
        )
        for first in range(0, len(passes[0]), accumulated)
    ]
    return recipe, steps


@pytest.fixture(scope="module")
def alone(tmp_path_factory, finished):
    settings = {"train.num_processes": 1, "train.gradient_accumulation_steps": 2}
    return trained(tmp_path_factory.mktemp("alone") / "one", finished, settings)


@pytest.fixture(scope="module")
def shared(tmp_path_factory, finished):
    settings = {"train.num_processes": 2, "train.gradient_accumulation_steps": 1}
    return trained(tmp_path_factory.mktemp("shared") / "two", finished, settings)


def test_two_processes_see_the_global_batches_of_one_that_accumulates(alone, shared):
    assert [len(step) for step in alone[1]] == [8] * 7
    assert shared[1] == alone[1]
    assert alone[1][0] != alone[1][4]  # the second epoch has an order of its own


def test_two_processes_train_as_one_that_accumulates(alone, shared):
    # Both add the same float32 gradients up in another order. Adam divides by their size, which makes the
    # most of it where they are next to nothing; a wrong mean or a lost row is some hundred times as much.
    one, two = alone[0].folder, shared[0].folder
    for name in ("training_curve.csv", "validation_curve.csv"):
        curves = [pd.read_csv(folder / "metrics" / name) for folder in (one, two)]
        pd.testing.assert_frame_equal(*curves, rtol=1e-4)
        assert len(curves[0]) >= 3
    heard = [json.loads((folder / "metrics/train.json").read_text())["padding"] for folder in (one, two)]
    assert heard[0] == heard[1] and heard[0]["compared"] == 8
    weights, others = (load_file(folder / "data/trained/model.safetensors") for folder in (one, two))
    start = load_file(one / "data/pretrained/model.safetensors")
    moved = {name: (weights[name] - start[name]).abs().max() for name in start}
    assert max(moved.values()) > 1e-3
    for name in weights:
        torch.testing.assert_close(others[name], weights[name], rtol=1e-4, atol=1e-5)


def test_a_killed_training_of_two_processes_ends_as_an_undisturbed_one(tmp_path, finished, shared):
    recipe = Recipe(tmp_path, {})
    recipe.params = shared[0].params
    recipe.set({})
    recipe.share(finished)
    # In the middle of the second epoch, whose order has to be found again.
    kill_in_pass(recipe, 7, "checkpoint-6/whole")
    assert "resuming from" in recipe.run("train")
    for file in ("metrics/training_curve.csv", "metrics/validation_curve.csv", "metrics/train.json"):
        assert (recipe.folder / file).read_text() == (shared[0].folder / file).read_text()
    model = "data/trained/model.safetensors"
    assert (recipe.folder / model).read_bytes() == (shared[0].folder / model).read_bytes()


def test_two_processes_write_the_transcripts_of_one(tmp_path, finished):
    recipe = Recipe(tmp_path, {"transcribe.batch_size": 2})
    recipe.share(finished)
    recipe.run("transcribe", "data/pretrained", "data/one.jsonl")
    recipe.set({"transcribe.num_processes": 2})
    recipe.run("transcribe", "data/pretrained", "data/two.jsonl")
    one, two = ((recipe.folder / f"data/{name}.jsonl").read_bytes() for name in ("one", "two"))
    assert two == one
    rows = pd.read_csv(recipe.folder / "data/filtered/test.csv")
    assert [json.loads(line)["id"] for line in one.splitlines()] == list(rows["id"])
    assert not list((recipe.folder / "data").glob("*.part"))
