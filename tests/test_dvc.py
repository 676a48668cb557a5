"""The commands that people use, on a small recipe in a repository of its own."""

import json
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def as_committed(repository):
    yield
    repository.run("git", "checkout", "-q", ".")
    repository.run("dvc", "checkout", "-q")
    repository.recipe.reload()


def test_a_second_repro_has_nothing_to_do(repository):
    assert "Data and pipelines are up to date." in repository.run("dvc", "repro")
    assert repository.run("git", "status", "--porcelain") == ""


def test_what_was_done_before_is_taken_from_the_cache(repository):
    # As after a parameter was changed, and changed back.
    (repository.recipe.folder / "dvc.lock").unlink()
    assert repository.repro() == ["evaluate", "filter"]  # seconds; git keeps tables of theirs
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
    code = repository.root / "asr/evaluation/error_counts.py"
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
