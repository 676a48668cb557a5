import json
import multiprocessing
from types import SimpleNamespace

import pytest
import yaml

from asr.runtime import manifest
from asr.training import checkpoints
from asr.training.checkpoints import checkpoint_folder, locked, newest_whole


@pytest.fixture
def stage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / "data/rows").mkdir(parents=True)
    (tmp_path / "data/rows/a.arrow").write_text("rows")
    (tmp_path / "train.py").write_text("code")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\nno_scm = true\n")
    train = {"cmd": "python", "deps": ["${code}/train.py", "data/rows"], "params": ["train"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"vars": [{"code": "."}], "stages": {"train": train}}))
    (tmp_path / "params.yaml").write_text("train: {seed: 1}\ntranscribe: {num_beams: 1}\n")
    return tmp_path


def test_what_decides_the_training_decides_the_folder(stage):
    original = checkpoint_folder("train", {"torch": "2"})
    assert checkpoint_folder("train", {"torch": "2"}) == original
    assert checkpoint_folder("train", {"torch": "3"}) != original
    (stage / "params.yaml").write_text("train: {seed: 1}\ntranscribe: {num_beams: 5}\n")
    assert checkpoint_folder("train", {"torch": "2"}) == original
    changes = {"train.py": "new", "data/rows/a.arrow": "new", "params.yaml": "train: {seed: 2}"}
    for name, content in changes.items():
        before = (stage / name).read_text()
        (stage / name).write_text(content)
        assert checkpoint_folder("train", {"torch": "2"}) != original, name
        (stage / name).write_text(before)
    (stage / "data/rows/b.arrow").write_text("more")
    assert checkpoint_folder("train", {"torch": "2"}) != original


def test_a_dependency_that_does_not_exist_is_an_error(stage):
    (stage / "train.py").unlink()
    with pytest.raises(FileNotFoundError, match="train.py.*dvc.yaml says that train depends on it"):
        checkpoint_folder("train", {})


def test_outside_of_a_dvc_repository_there_is_none(stage):
    (stage / ".dvc/config").unlink()
    (stage / ".dvc").rmdir()
    with pytest.raises(ValueError, match="checkpoints of train: .*not inside of a DVC repository"):
        checkpoint_folder("train", {})


def test_under_dvc_the_folder_is_in_the_root(stage, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", "/repository")
    assert checkpoint_folder("train", {}).parent.as_posix() == "/repository/checkpoints"


def save(folder, step, best=None, ended=False, marked=True):
    """Write what matters here of a checkpoint."""
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    state = {
        "global_step": step,
        "best_global_step": best,
        "best_model_checkpoint": f"/where/it/was/checkpoint-{best}" if best else None,
        "stateful_callbacks": {"TrainerControl": {"args": {"should_training_stop": ended}}},
    }
    (checkpoint / "trainer_state.json").write_text(json.dumps(state))
    for name in ("model.safetensors", "optimizer.pt", "scheduler.pt"):
        (checkpoint / name).write_text(f"{name} {step}")
    if marked:
        manifest.write(checkpoint)
    return checkpoint


def names(folder):
    return [checkpoint.name for checkpoint in checkpoints.saved_in(folder)]


def test_the_newest_whole_checkpoint_is_found_and_partial_ones_go_without_a_word(tmp_path, caplog):
    assert newest_whole(tmp_path) is None
    save(tmp_path, 500)
    save(tmp_path, 1000)
    save(tmp_path, 1500, marked=False)
    assert newest_whole(tmp_path) == tmp_path / "checkpoint-1000"
    assert names(tmp_path) == ["checkpoint-500", "checkpoint-1000"]
    assert not caplog.records


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(tmp_path, caplog):
    before, damaged = save(tmp_path, 500), save(tmp_path, 1000)
    (damaged / "optimizer.pt").write_text("optim")
    assert newest_whole(tmp_path) == before
    assert names(tmp_path) == ["checkpoint-500"]
    (record,) = caplog.records
    assert "checkpoint-1000 is damaged: optimizer.pt" in record.getMessage()
    assert "the one before it is used" in record.getMessage()


def test_a_checkpoint_is_of_no_use_without_the_best_one_that_it_names(tmp_path, caplog):
    save(tmp_path, 2, best=2), save(tmp_path, 4, best=4), save(tmp_path, 6, best=4)
    assert newest_whole(tmp_path).name == "checkpoint-6"
    (tmp_path / "checkpoint-4/model.safetensors").write_text("damaged")
    assert newest_whole(tmp_path).name == "checkpoint-2"
    assert "checkpoint-6 is damaged: of checkpoint-4, the best until then, model" in caplog.text
    assert names(tmp_path) == ["checkpoint-2"]


def test_if_all_are_damaged_training_starts_anew(tmp_path):
    for step in (2, 4):
        (save(tmp_path, step) / "model.safetensors").write_text("damaged")
    (tmp_path / "finished").touch()
    assert newest_whole(tmp_path) is None
    assert not (tmp_path / "finished").exists()


@pytest.mark.parametrize(
    ("saved", "limit", "kept"),
    [
        ([(2, 2), (4, 2), (6, 2)], 2, [2, 6]),  # the last and the best
        ([(2, 2), (4, 2), (6, 6)], 2, [2, 6]),  # 4 would be of no use without 2
        ([(2, 2), (4, 2), (6, 2)], 1, [2, 6]),
        ([(2, 2), (4, 4), (6, 4), (8, 4)], 3, [4, 6, 8]),
        ([(2, None), (4, None), (6, None)], 2, [4, 6]),
        ([(2, 2)], 2, [2]),
    ],
)
def test_what_is_kept_can_always_be_gone_on_from(tmp_path, saved, limit, kept):
    for step, best in saved:
        save(tmp_path, step, best)
    checkpoints.remove_old(tmp_path, limit)
    assert names(tmp_path) == [f"checkpoint-{step}" for step in kept]
    (tmp_path / names(tmp_path)[-1] / "optimizer.pt").write_text("damaged")
    assert newest_whole(tmp_path) is not None or len(kept) == 1


def test_older_ones_go_only_when_the_new_one_is_marked(tmp_path, monkeypatch):
    """The trainer's own order is the other one; so its limit is taken from it."""
    arguments = SimpleNamespace(save_total_limit=1, output_dir=str(tmp_path))
    callback, state = checkpoints.MarkWhole(), SimpleNamespace(global_step=4, is_world_process_zero=True)
    callback.on_init_end(arguments, None, None)
    assert arguments.save_total_limit is None
    save(tmp_path, 2), save(tmp_path, 4, marked=False)
    write, there = manifest.write, []
    monkeypatch.setattr(manifest, "write", lambda folder: (there.extend(names(tmp_path)), write(folder)))
    callback.on_save(arguments, state, None)
    assert there == ["checkpoint-2", "checkpoint-4"]
    assert names(tmp_path) == ["checkpoint-4"]
    assert manifest.damage(tmp_path / "checkpoint-4") is None


def test_the_best_is_looked_for_where_the_checkpoints_are_now(tmp_path):
    state = SimpleNamespace(best_global_step=2, best_model_checkpoint=None)
    checkpoints.MarkWhole().on_train_begin(SimpleNamespace(output_dir=str(tmp_path)), state, None)
    assert state.best_model_checkpoint == str(tmp_path / "checkpoint-2")


def test_only_the_first_of_several_processes_marks(tmp_path):
    arguments = SimpleNamespace(save_total_limit=2, output_dir=str(tmp_path))
    callback, state = checkpoints.MarkWhole(), SimpleNamespace(global_step=4, is_world_process_zero=False)
    callback.on_init_end(arguments, None, None)
    save(tmp_path, 4, marked=False)
    callback.on_save(arguments, state, None)
    assert not (tmp_path / "checkpoint-4/whole").exists()


def test_a_finished_training_keeps_the_last_and_the_best_without_the_optimizer(tmp_path):
    save(tmp_path, 2, best=2), save(tmp_path, 4, best=4), save(tmp_path, 6, best=4, ended=True)
    checkpoints.finish(tmp_path)
    assert names(tmp_path) == ["checkpoint-4", "checkpoint-6"]
    assert not list(tmp_path.rglob("optimizer.pt")) and not list(tmp_path.rglob("scheduler.pt"))
    last = newest_whole(tmp_path)
    assert last.name == "checkpoint-6" and checkpoints.has_ended(last)
    checkpoints.finish(tmp_path)  # of a run that took it over
    assert newest_whole(tmp_path) == last


def test_a_finished_training_that_is_damaged_does_not_train_on_without_its_optimizer(tmp_path):
    save(tmp_path, 4, best=4), save(tmp_path, 6, best=4, ended=True)
    checkpoints.finish(tmp_path)
    (tmp_path / "checkpoint-6/model.safetensors").write_text("damaged")
    assert newest_whole(tmp_path) is None


def test_finished_trainings_go_when_another_starts_but_no_others(tmp_path):
    for name in ("mine", "finished", "unfinished", "busy"):
        save(tmp_path / name, 2, best=2, ended=True)
        if name != "unfinished":
            (tmp_path / name / "finished").touch()
    remove = multiprocessing.Process(target=checkpoints.remove_finished_others, args=(tmp_path / "mine",))
    with locked(tmp_path / "busy"):
        remove.start()
        remove.join()
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"mine", "unfinished", "busy"}
