import multiprocessing
import os

import pytest
import yaml

from asr.checkpoints import WHOLE, checkpoint_folder, locked, newest_whole


@pytest.fixture
def stage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / "data/rows").mkdir(parents=True)
    (tmp_path / "data/rows/a.arrow").write_text("rows")
    (tmp_path / "train.py").write_text("code")
    (tmp_path / "dvc.yaml").write_text(
        yaml.safe_dump({"stages": {"train": {"deps": ["train.py", "data/rows"], "params": ["train"]}}})
    )
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


def test_under_dvc_the_folder_is_in_the_root(stage, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", "/repository")
    assert checkpoint_folder("train", {}).parent.as_posix() == "/repository/checkpoints"


def test_the_newest_whole_checkpoint_is_found_and_partial_ones_go(tmp_path):
    assert newest_whole(tmp_path) is None
    for step in (500, 1000, 1500):
        (tmp_path / f"checkpoint-{step}").mkdir()
    for step in (500, 1000):
        (tmp_path / f"checkpoint-{step}" / WHOLE).touch()
    assert newest_whole(tmp_path) == tmp_path / "checkpoint-1000"
    assert not (tmp_path / "checkpoint-1500").exists()


def hold(folder, ready, finish):
    with locked(folder):
        ready.set()
        finish.wait()


def test_a_second_training_is_refused_until_the_first_lets_go(tmp_path):
    folder = tmp_path / "checkpoints/abc"
    ready, finish = multiprocessing.Event(), multiprocessing.Event()
    other = multiprocessing.Process(target=hold, args=(folder, ready, finish))
    other.start()
    try:
        assert ready.wait(30)
        with pytest.raises(BlockingIOError, match=f"process {other.pid} is training"):
            with locked(folder):
                pass
    finally:
        other.kill()  # as a machine that goes down: nothing is tidied up
        other.join()
    with locked(folder):
        assert (tmp_path / "checkpoints/abc.lock").read_text() == str(os.getpid())
