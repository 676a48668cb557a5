"""The commands that people use, on a small recipe in a repository of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recipes import REPOSITORY, Recipe

ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "HF_HUB_OFFLINE": "1",
    **{
        f"GIT_{role}_{what}": "test@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
}


def build(root: Path, changes: dict) -> Recipe:
    """Make a git and DVC repository with a small recipe, of which nothing has run."""
    root.mkdir(exist_ok=True)
    recipe = Recipe(root, changes)
    for code in ("asr", "stages"):
        (root / code).unlink()
        shutil.copytree(REPOSITORY / code, root / code, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".gitignore", ".dvcignore"):
        shutil.copy(REPOSITORY / name, root / name)
    for command in (["git", "init", "-q", "-b", "main"], ["dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, env=ENVIRONMENT, check=True)
    return recipe


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.recipe = build(root, {})
        self.run("dvc", "repro")
        self.commit()

    def run(self, *command: str) -> str:
        folder = self.root if command[0] == "git" else self.recipe.folder
        done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self) -> None:
        self.run("git", "add", ".")
        self.run("git", "commit", "-q", "-m", "state", "--allow-empty")

    def repro(self) -> list[str]:
        """Run `dvc repro`; returns the stages that it ran."""
        lines = self.run("dvc", "repro").splitlines()
        return sorted(line.split("'")[1] for line in lines if line.startswith("Running stage"))


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return Repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(autouse=True)
def as_committed(repository):
    yield
    repository.run("git", "checkout", "-q", ".")
    repository.run("dvc", "checkout", "-q")
    repository.recipe.reload()


def test_a_second_repro_has_nothing_to_do(repository):
    assert "Data and pipelines are up to date." in repository.run("dvc", "repro")
    assert repository.run("git", "status", "--porcelain") == ""


def test_the_graph_has_the_seven_stages(repository):
    graph = repository.run("dvc", "dag", "--dot")
    for stage in "download pretrained featurize filter train transcribe evaluate".split():
        assert stage in graph


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        ({"train.learning_rate": 2e-5}, ["evaluate", "train", "transcribe@finetuned"]),
        ({"evaluate.seed": 99}, ["evaluate"]),
    ],
    ids=str,
)
def test_a_changed_parameter_reruns_what_depends_on_it(repository, change, stages):
    repository.recipe.set(change)
    assert repository.repro() == stages


def test_a_change_to_the_scoring_reruns_evaluate_only(repository):
    code = repository.root / "asr/scoring.py"
    code.write_text(code.read_text() + "\n# changed\n")
    assert repository.repro() == ["evaluate"]


def test_a_comment_in_featurize_reruns_featurize_only(repository):
    code = repository.root / "stages/featurize.py"
    code.write_text(code.read_text() + "\n# changed\n")
    assert repository.repro() == ["featurize"]


def test_an_experiment_changes_one_parameter_and_shows_in_the_diffs(repository):
    repository.run("dvc", "exp", "run", "-S", "train.max_steps=2", "-S", "train.learning_rate=2e-5")
    (changed,) = json.loads(repository.run("dvc", "params", "diff", "--json")).values()
    assert changed["train.max_steps"] == {"old": 4, "new": 2, "diff": -2}
    metrics = json.loads(repository.run("dvc", "metrics", "diff", "--json"))
    train = next(values for name, values in metrics.items() if name.endswith("train.json"))
    assert train["steps"]["new"] == 2
    page = repository.run("dvc", "plots", "diff").split("file://")[1].strip()
    assert "training_curve" in Path(page).read_text()


def test_an_experiment_elsewhere_leaves_the_workspace_alone(repository):
    before = repository.run("git", "status", "--porcelain")
    output = repository.run("dvc", "exp", "run", "--temp", "-S", "train.max_steps=1", "-n", "elsewhere")
    assert "elsewhere" in output
    assert repository.run("git", "status", "--porcelain") == before
    shown = json.loads(repository.run("dvc", "exp", "show", "--json", "--num", "1"))
    assert "elsewhere" in json.dumps(shown)
