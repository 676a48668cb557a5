"""The model as an artifact of DVC: another repository gets it, by version (docs/publishing.md)."""

import json
import shutil
import subprocess

import pytest

from tests import made_up_run
from tests.made_up_run import git
from tests.repositories import ENVIRONMENT


def dvc(folder, *command):
    done = subprocess.run(["dvc", *command], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def release(recipe, *tags):
    """Commit and push the model that lies there as if a run had made it, and tag it."""
    shutil.copytree(recipe / "data/model", recipe / "copy")
    dvc(recipe, "add", "-q", "copy")  # puts it into the cache, under its checksum
    dvc(recipe, "push", "-q", "copy")
    shutil.rmtree(recipe / "copy")
    (recipe / "copy.dvc").unlink()
    git(recipe, "add", ".")
    git(recipe, "commit", "-q", "--allow-empty", "-m", "a release")
    for tag in tags:
        git(recipe, "tag", "-a", tag, "-m", tag)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A repository with two releases of a model: its address, and the configuration in each."""
    root = tmp_path_factory.mktemp("registry")
    recipe = made_up_run.make(root)
    dvc(recipe, "remote", "add", "-q", "--default", "team", str(tmp_path_factory.mktemp("remote")))
    release(recipe, "sample=whisper@v1.0.0", "sample=whisper#prod#1")
    config = recipe / "data/model/config.json"
    first, old = config.read_text(), made_up_run.folder_md5(recipe / "data/model")
    config.write_text(json.dumps(json.loads(first) | {"dropout": 0.5}))
    lock = (recipe / "dvc.lock").read_text()
    (recipe / "dvc.lock").write_text(lock.replace(old, made_up_run.folder_md5(recipe / "data/model")))
    release(recipe, "sample=whisper@v1.1.0")
    return str(root), first, config.read_text()


@pytest.mark.parametrize(
    ("options", "version"),
    [([], 1), (["--rev", "v1.0.0"], 0), (["--stage", "prod"], 0)],
    ids=["the newest version", "a version", "a stage"],
)
def test_another_repository_gets_the_model(registry, tmp_path, options, version):
    address, *configurations = registry
    printed = dvc(tmp_path, "artifacts", "get", address, "sample:whisper", *options)
    assert f"Downloaded {len(made_up_run.MODEL)} file(s) to 'model'" in printed
    assert {path.name for path in (tmp_path / "model").iterdir()} == set(made_up_run.MODEL)
    assert (tmp_path / "model/config.json").read_text() == configurations[version]
