"""Where a training goes on, and where it does not: with a stand-in trainer, and in the train stage itself."""

import json
from types import SimpleNamespace

import pytest

from asr.model import whisper
from asr.training import resuming
from tests.recipes import REPOSITORY, Recipe
from tests.spied import start_spy, wait_for
from tests.test_checkpoints import save


class Trainer:
    """What resuming needs of the real one."""

    def __init__(self, folder, model, processor, error=None):
        self.args, self.error, self.calls = SimpleNamespace(output_dir=str(folder)), error, []
        self.model, self.processing_class = model, processor

    def train(self, resume_from_checkpoint):
        self.calls.append(resume_from_checkpoint)
        self.model.generation_config.num_beams = 1  # as a validation pass does
        if self.error:
            raise self.error

    def pop_callback(self, kind):
        return kind()

    def _load_best_model(self):
        self.calls.append(f"best of {self.state.best_model_checkpoint}")


@pytest.fixture(scope="module")
def model():
    return whisper.load_model(REPOSITORY / "sample/base")


@pytest.fixture(scope="module")
def processor():
    return whisper.load_processor(REPOSITORY / "sample/base", "sinhalese", "transcribe")


def test_a_training_goes_on_and_leaves_the_generation_settings_as_they_were(tmp_path, model, processor):
    before = model.generation_config.to_dict()
    trainer = Trainer(tmp_path, model, processor)
    resuming.train_from(trainer, None)
    resuming.train_from(trainer, save(tmp_path, 4, best=2))
    assert trainer.calls == [None, str(tmp_path / "checkpoint-4")]
    assert model.generation_config.to_dict() == before


def test_an_ended_training_does_not_go_on(tmp_path, model, processor):
    trainer = Trainer(tmp_path, model, processor)
    resuming.train_from(trainer, save(tmp_path, 6, best=4, ended=True))
    assert trainer.calls == [f"best of {tmp_path / 'checkpoint-4'}"]
    assert trainer.state.global_step == 6


def test_other_errors_are_left_as_they_are(tmp_path, model, processor):
    with pytest.raises(RuntimeError, match="CUDA"):
        resuming.train_from(Trainer(tmp_path, model, processor, RuntimeError("CUDA out of memory")), None)


def outputs(recipe):
    figures = ("train.json", "training_curve.csv", "validation_curve.csv")
    files = [*recipe.folder.glob("data/trained/*"), *(recipe.folder / "metrics" / name for name in figures)]
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.slow
def test_the_stage_on_a_full_disk_ends_and_goes_on_when_there_is_room(finished, tmp_path):
    recipe = Recipe(tmp_path, {})
    recipe.share(finished)
    running = start_spy(recipe, ASR_LAST_PASS="3")
    wait_for(running, recipe, "checkpoint-2")
    (folder,) = (path for path in recipe.folder.glob("checkpoints/*") if path.is_dir())
    (folder / "checkpoint-4").mkdir()
    # The trainer saves into a folder that is there already.
    (folder / "checkpoint-4/optimizer.pt").symlink_to("/dev/full")
    (recipe.folder / "go").touch()
    output = running.communicate()[0]
    assert running.returncode == 1 and "Traceback" not in output, output
    assert f"train: no room to write in {folder}" in output and "MB are needed" in output
    assert "it goes on from checkpoint-2" in output
    output = recipe.run("train")
    assert "resuming from" in output and "checkpoint-2" in output
    assert outputs(recipe) == outputs(finished)


@pytest.mark.slow
def test_the_stage_run_again_after_an_early_stop_writes_the_same(finished, tmp_path):
    hopeless = {"train.early_stopping_patience": 1, "train.learning_rate": 1e-9}
    recipe = Recipe(tmp_path, hopeless | {"train.max_steps": 40})
    recipe.share(finished)
    recipe.run("train")
    first = outputs(recipe)
    steps = json.loads(first["train.json"])["steps"]
    assert steps < 40
    (finished_mark,) = recipe.folder.glob("checkpoints/*/finished")
    finished_mark.unlink()  # as if killed before
    output = recipe.run("train")
    assert "this training has ended" in output
    assert outputs(recipe) == first
