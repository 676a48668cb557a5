"""What a finished run has left behind, and the ways in which it may be of two runs."""

import json
import shutil

import pytest
import yaml

from asr.commands.card import record
from tests import made_up_run
from tests.made_up_run import git


@pytest.fixture
def recipe(made, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(made.parent, tmp_path / "copy") / "sample"


def rewrite(path, change):
    tree = yaml.safe_load(path.read_text())
    change(tree)
    path.write_text(yaml.safe_dump(tree))


def test_a_finished_run(made):
    run = record.read(made)
    assert run.params.train.max_steps == 500 and run.params.filter.max_bad_fraction == 0.1
    assert run.commit == git(made, "rev-parse", "HEAD") and run.subfolder == "sample/"
    assert run.uncommitted == [] and run.origin is None
    assert run.model_md5 == made_up_run.folder_md5(made / "data/model")
    assert run.evaluate == json.loads((made / "metrics/evaluate.json").read_text())
    assert run.curve.step.tolist()[-1] == run.train["steps"]
    assert record.contradictions(made) == []


def test_the_parameters_are_those_of_the_run_not_those_of_today(recipe):
    rewrite(recipe / "params.yaml", lambda tree: tree["train"].update(max_steps=1))
    run = record.read(recipe)
    assert run.params.train.max_steps == 500
    assert run.uncommitted == ["sample/params.yaml"]
    assert record.contradictions(recipe) == []


def test_the_commit_is_the_one_that_has_the_run(recipe):
    first = git(recipe, "rev-parse", "HEAD")
    (recipe.parent / "note").write_text("x")
    git(recipe, "add", "..")
    git(recipe, "commit", "-q", "-m", "a note")
    assert record.read(recipe).commit == first


@pytest.mark.parametrize("file", ["dvc.lock", "metrics/evaluate.json", "../asr/new.py", "metrics/new.csv"])
def test_what_is_in_no_commit(recipe, file):
    (recipe / file).parent.mkdir(exist_ok=True)
    with (recipe / file).open("a") as opened:
        opened.write("\n")
    (recipe.parent / "notes.txt").write_text("not of the run")
    assert [name.split("/")[-1] for name in record.read(recipe).uncommitted] == [file.split("/")[-1]]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://github.com/me/asr.git", "https://github.com/me/asr.git"),
        ("https://me:ghp_s3cret@github.com/me/asr.git", "https://github.com/me/asr.git"),
        ("git@github.com:me/asr.git", "git@github.com:me/asr.git"),
        ("/home/somebody/asr", None),
        ("https://example.org/asr?token=s3cret", None),
        ("https://example.org/asr`x`", None),
    ],
)
def test_where_it_comes_from(recipe, address, shown):
    git(recipe, "remote", "add", "origin", address)
    assert record.read(recipe).origin == shown


def test_a_run_outside_of_git(recipe):
    shutil.rmtree(recipe.parent / ".git")
    run = record.read(recipe)
    assert (run.commit, run.uncommitted, run.subfolder) == (None, [], "")
    with pytest.raises(ValueError, match="DVC cannot read the repository: .*is not a git repository"):
        record.contradictions(recipe)


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\nstages:\n=======\n", "", "stages"])
def test_a_lock_file_in_the_middle_of_a_merge(recipe, text):
    (recipe / "dvc.lock").write_text(text)
    with pytest.raises(ValueError, match="dvc.lock cannot be read: after a merge conflict"):
        record.read(recipe)


@pytest.mark.parametrize(
    ("file", "state"),
    [
        ("data/model/config.json", "data/model is modified"),
        ("metrics/evaluate.json", "metrics/evaluate.json is modified"),
        ("metrics/filter.json", "metrics/filter.json is modified"),
        ("metrics/train.json", "metrics/train.json is modified"),
        ("metrics/validation_curve.csv", "metrics/validation_curve.csv is modified"),
        ("metrics/utterances.csv", "metrics/utterances.csv is modified"),
    ],
)
def test_a_file_that_is_not_the_run_s(recipe, file, state):
    with (recipe / file).open("a") as opened:
        opened.write("\n")
    assert record.contradictions(recipe) == [f"{state}, compared with dvc.lock"]


def test_no_model_or_other_rows(recipe):
    shutil.rmtree(recipe / "data/model")
    (recipe / "data/filtered").mkdir()
    (recipe / "data/filtered/train.csv").write_text("other rows\n")
    assert sorted(record.contradictions(recipe)) == [
        "data/filtered/train.csv is not what the model was trained on",
        "data/model is deleted, compared with dvc.lock",
    ]


def test_stages_that_have_run_at_different_times(recipe):
    """Every file that one stage writes and another reads, but the folders of which single files are read."""
    stages = yaml.safe_load((recipe / "dvc.lock").read_text())["stages"]
    shared = [
        (writer, out["path"], reader)
        for writer, of_writer in stages.items()
        for out in of_writer.get("outs", [])
        for reader, of_reader in stages.items()
        if out["path"] in [dep["path"] for dep in of_reader["deps"]]
    ]

    def change(lock):
        for _, path, reader in shared:
            next(dep for dep in lock["stages"][reader]["deps"] if dep["path"] == path)["md5"] = "f" * 32

        for reader, path in whole:
            next(dep for dep in lock["stages"][reader]["deps"] if dep["path"] == path)["md5"] = "f" * 32

    whole = [("train", "data/features"), ("evaluate", "data/raw")]  # of all corpora
    rewrite(recipe / "dvc.lock", change)
    found = {f"{reader} read another {path} than {writer} wrote last" for writer, path, reader in shared}
    found |= {"train read another data/features than filter", "evaluate read another data/raw than train"}
    assert len(found) > 10 and set(record.contradictions(recipe)) == found


@pytest.mark.parametrize("call", [record.read, record.contradictions])
def test_a_recipe_that_has_not_run_to_its_end(recipe, call):
    rewrite(recipe / "dvc.lock", lambda lock: lock["stages"].pop("evaluate"))
    with pytest.raises(FileNotFoundError, match="evaluate has not run: run `dvc repro`"):
        call(recipe)
    (recipe / "dvc.lock").unlink()
    with pytest.raises(FileNotFoundError, match="no .*dvc.lock: run `dvc repro` there.*--recipe"):
        call(recipe)


def test_a_stage_that_dvc_yaml_no_longer_has(recipe):
    rewrite(recipe / "dvc.yaml", lambda tree: tree["stages"].pop("package"))
    with pytest.raises(ValueError, match="DVC cannot read the repository: .*'package'"):
        record.contradictions(recipe)


def test_metrics_that_are_missing(recipe):
    (recipe / "metrics/train.json").unlink()
    with pytest.raises(FileNotFoundError, match="no metrics/train.json"):
        record.read(recipe)


def test_a_run_of_code_with_other_parameters(recipe):
    rewrite(
        recipe / "dvc.lock",
        lambda lock: lock["stages"]["train"]["params"]["params.yaml"]["train"].pop("seed"),
    )
    with pytest.raises(ValueError, match=r"other parameters than this code \(train.seed\): check out"):
        record.read(recipe)
