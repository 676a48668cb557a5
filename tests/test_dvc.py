"""The commands that people use, on a small recipe in a repository of its own."""

import json
import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from asr.params import load_params
from tests.corpora import tone
from tests.recipes import REPOSITORY, corpus
from tests.repositories import ran

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def as_committed(repository):
    yield
    if repository.run("git", "status", "--porcelain"):
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


def test_the_graph_has_all_stages(repository):
    graph = repository.run("dvc", "dag", "--dot")
    for stage in "download pretrained featurize filter train package transcribe evaluate".split():
        assert stage in graph


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ({"transcribe.num_beams": 2}, ["package", "transcribe@finetuned", "transcribe@pretrained"]),
        ({"evaluate.seed": 99}, ["evaluate"]),
    ],
    ids=str,
)
def test_a_changed_parameter_makes_stale_what_depends_on_it(repository, change, stale):
    repository.recipe.set(change)
    assert sorted(json.loads(repository.run("dvc", "status", "--json"))) == stale


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("asr/runtime/errors.py", []),
        ("asr/params.py", []),
        ("asr/evaluation/error_counts.py", ["evaluate"]),
        ("asr/audio/decode.py", ["download@sample", "evaluate", "featurize@sample", "train"]),
    ],
)
def test_a_changed_text_makes_stale_what_depends_on_it(repository, file, stale):
    code = repository.root / file
    code.write_text(code.read_text() + "\n# changed\n")
    assert sorted(json.loads(repository.run("dvc", "status", "--json"))) == stale


def test_nothing_is_said_of_another_recipe(repository, tmp_path):
    """Which has not run, and lies beside this one: each is a DVC repository of its own."""
    other = repository.root / "other"
    shutil.copytree(REPOSITORY / "sample", other, ignore=shutil.ignore_patterns("data", "base", "tmp"))
    try:
        repository.run("dvc", "remote", "add", "--local", "-d", "store", str(tmp_path))
        for command in ("status", "push", "pull", "metrics diff HEAD", "plots show --json"):
            assert "other" not in repository.run("dvc", *command.split()), command
    finally:
        shutil.rmtree(other)
        repository.run("dvc", "remote", "remove", "--local", "store")


def test_values_are_what_they_were_after_an_override(repository):
    """`dvc exp run -S` writes all of params.yaml anew, in YAML 1.2."""
    repository.recipe.set({"corpora.sample.locale": "no"})
    overrides = ["learning_rate=2e-5", "speed_perturbation=[0.9,1.0]", "early_stopping_patience=null"]
    apply_overrides(repository.folder / "params.yaml", [f"train.{override}" for override in overrides])
    params = load_params(repository.folder / "params.yaml")
    assert params.corpora["sample"].locale == "no"
    assert params.train.learning_rate == 2e-5
    assert params.train.speed_perturbation == [0.9, 1.0]
    assert params.train.early_stopping_patience is None


def test_a_corpus_that_is_added_or_changed_runs_itself_and_what_follows(repository):
    own = repository.recipe.folder / "corpora/own"
    own.mkdir(parents=True)
    (own / "a.flac").write_bytes(tone(hz=220))
    (own / "table.csv").write_text("path,sentence\na.flac,އެކެއް\n")
    mine = corpus("folder", path="corpora/own", use="train")
    repository.recipe.set({"corpora": repository.recipe.params["corpora"] | {"mine": mine}})
    assert repository.repro("filter") == ["download@mine", "featurize@mine", "filter"]
    assert repository.repro("filter") == []
    (own / "a.flac").write_bytes(tone(hz=440))
    assert repository.repro("filter") == ["download@mine", "featurize@mine", "filter"]
    shutil.rmtree(own)
    run = repository.run("dvc", "exp", "run", "--temp", "--allow-missing", "-S", "filter.seed=3", "filter")
    assert "Running stage 'download" not in run and "Running stage 'filter'" in run


def test_a_comment_in_featurize_reruns_featurize_only(repository):
    code = repository.root / "stages/featurize.py"
    code.write_text(code.read_text() + "\n# changed\n")
    assert repository.repro() == ["featurize@sample"]


def test_an_experiment_changes_one_parameter_and_shows_in_the_diffs(repository):
    output = repository.run("dvc", "exp", "run", "-S", "train.max_steps=2", "-S", "train.learning_rate=2e-5")
    assert ran(output) == ["evaluate", "package", "train", "transcribe@finetuned"]
    (changed,) = json.loads(repository.run("dvc", "params", "diff", "--json")).values()
    assert changed["train.max_steps"] == {"old": 4, "new": 2, "diff": -2}
    metrics = json.loads(repository.run("dvc", "metrics", "diff", "--json"))
    train = next(values for name, values in metrics.items() if name.endswith("train.json"))
    assert train["steps"]["new"] == 2
    page = repository.run("dvc", "plots", "diff").split("file://")[1].strip()
    assert "training_curve" in Path(page).read_text()


def test_an_experiment_elsewhere_leaves_the_workspace_alone(repository):
    before = repository.run("git", "status", "--porcelain")
    output = repository.run("dvc", "exp", "run", "--temp", "-S", "evaluate.seed=5", "-n", "elsewhere")
    assert "elsewhere" in output
    assert repository.run("git", "status", "--porcelain") == before
    shown = json.loads(repository.run("dvc", "exp", "show", "--json", "--num", "1"))
    assert "elsewhere" in json.dumps(shown)
