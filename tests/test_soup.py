"""Trainings whose weights are averaged: what is averaged, what is kept, and what a second run does."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from asr.training import checkpoints, hearing
from asr.training.soup import Soup
from tests.recipes import Recipe


@pytest.fixture
def trainer():
    """What a soup needs of a trainer."""
    return SimpleNamespace(
        model=torch.nn.Linear(1, 1, bias=False), processing_class=None, eval_dataset=None, state=None
    )


@pytest.mark.parametrize(
    ("hears_well", "weight", "chosen"),
    [
        ({3.0}, 3.0, "mean"),
        ({2.0}, 2.0, "best"),
        (set(), 3.0, "mean"),  # a tie
    ],
)
def test_the_mean_is_taken_unless_the_best_is_better(trainer, monkeypatch, hears_well, weight, chosen):
    soup = Soup()
    for value, wer in ((6.0, 50.0), (2.0, 40.0), (1.0, 45.0)):
        torch.nn.init.constant_(trainer.model.weight, value)
        trainer.state, trainer.kept_metric = wer, lambda wer=wer: wer
        soup.add(trainer)
    assert soup.state == soup.lowest == 40.0
    clips = [{"sentence": "one two"}, {"sentence": "three"}]
    monkeypatch.setattr(hearing, "spread", lambda examples: clips)

    def heard(model, processor, clips, params):
        return [c["sentence"] if model.weight.item() in hears_well else "" for c in clips]

    monkeypatch.setattr(hearing, "heard", heard)
    found = soup.serve(trainer, None)
    assert (found["chosen"], found["trainings"], found["compared"]) == (chosen, 3, 2)
    assert trainer.model.weight.item() == weight


@pytest.mark.slow
def test_the_stage_averages_trainings_and_takes_up_what_has_ended(finished, tmp_path):
    recipe = Recipe(tmp_path, {"train.soup": 2})
    recipe.share(finished)
    output = recipe.run("train")
    assert "training 2 of 2, with seed 43" in output
    (folder,) = (path for path in recipe.folder.glob("checkpoints/*") if path.is_dir())
    both = [load_file(_best(own) / "model.safetensors") for own in (folder, folder / "seed-43")]
    name = "model.decoder.layers.0.fc1.weight"
    assert not torch.equal(both[0][name], both[1][name])
    trained = recipe.folder / "data/trained/model.safetensors"
    figures = (recipe.folder / "metrics/train.json").read_text()
    assert json.loads(figures)["soup"]["chosen"] == "mean"
    before, weights = trained.read_bytes(), load_file(trained)
    torch.testing.assert_close(weights[name], (both[0][name] + both[1][name]) / 2)

    shutil.rmtree(recipe.folder / "data/trained")  # as if DVC had been killed before it recorded the stage
    assert recipe.run("train").count("this training has ended") == 2
    assert trained.read_bytes() == before
    assert (recipe.folder / "metrics/train.json").read_text() == figures


def _best(folder):
    return checkpoints.best_of(checkpoints.saved_in(folder)[-1])
