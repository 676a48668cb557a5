"""Settings against each other: which runs there are, and what the table says of them."""

from functools import reduce
from operator import getitem

import pandas as pd
import pytest

from asr.commands.study import cli, experiments, results
from asr.commands.study.experiments import Run, Study
from asr.evaluation.utterance_table import COLUMNS
from asr.params import Params, load_params
from tests.recipes import REPOSITORY

STUDY = "seeds: [1, 2]\nsettings:\n  plain: {}\n  fast: {train.learning_rate: 1e-3, train.lora: {r: 8}}\n"


def utterances(errors):
    """A table of clips of ten words and forty characters, with so many errors each."""
    n = len(errors)
    clips = {"id": [f"a/{i}" for i in range(n)], "speaker": [f"s{i}" for i in range(n)], "reference": "x"}
    table = pd.DataFrame(clips | {"errors_finetuned": errors, "char_errors_finetuned": errors})
    table = table.assign(reference_words=10, reference_chars=40)
    return table.reindex(columns=COLUMNS, fill_value=0)


@pytest.fixture
def recipe(repository):
    yield repository.folder
    repository.run("git", "checkout", "-q", ".")


def test_runs_are_named_by_setting_seed_and_all_that_they_change(recipe, tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY)
    study = experiments.read(tmp_path / "study.yaml")
    runs = experiments.planned(recipe, study)
    assert [(run.setting, run.seed) for run in runs] == [("plain", 1), ("fast", 1), ("plain", 2), ("fast", 2)]
    assert runs[1].changes == ("train.learning_rate=0.001", 'train.lora={"r": 8}', "train.seed=1")
    assert len({run.name for run in runs}) == 4 and all(run.name.startswith(run.setting) for run in runs)
    other = study.model_copy(update={"settings": study.settings | {"plain": {"train.max_steps": 3}}})
    changed = experiments.planned(recipe, other)
    assert changed[0].name != runs[0].name and changed[1].name == runs[1].name
    (recipe / "params.yaml").write_text((recipe / "params.yaml").read_text() + "\n")
    with pytest.raises(ValueError, match="commit first.*\n.*params.yaml"):
        experiments.planned(recipe, study)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seeds: []\nsettings: {a: {}}", "seeds"),
        ("settings: {}", "settings"),
        ("- 1", "the file"),
        ("a: [", "YAML"),
    ],
)
def test_a_study_that_is_none_says_what_is_wrong(tmp_path, text, says):
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(ValueError, match=says):
        experiments.read(tmp_path / "study.yaml")


def test_the_table_compares_the_seeds_that_both_have(tmp_path, monkeypatch, repository):
    found = {
        "plain-1": utterances([4] * 20), "plain-2": utterances([2] * 20),
        "better-1": utterances([1, 2] * 10),
        "same-1": utterances([3, 5] * 10), "same-2": utterances([3, 1] * 10),
    }  # fmt: skip
    monkeypatch.setattr(results, "existing", lambda recipe: set(found))
    monkeypatch.setattr(results, "read_table", lambda recipe, name: found[name])
    settings = {"plain": {}, "better": {}, "same": {}, "missing": {}}
    runs = [Run(setting, seed, f"{setting}-{seed}", ()) for setting in settings for seed in (1, 2)]
    study = Study(seeds=[1, 2], settings=settings)
    rows = results.table(repository.folder, study, runs, "tsv").splitlines()[1:]
    plain, better, same, missing = ([cell.strip() for cell in row.split("\t")] for row in rows)
    assert plain[1:6] == ["2", "40.0 20.0", "30.00 % ± 14.14", "", "7.50 % ± 3.54"]
    assert better[1:4] == ["1", "15.0", "15.00 %"] and better[4].startswith("-25.00 (")  # of seed 1 alone
    assert better[-1] == "better" and same[-1] == "no difference shown" and same[4].startswith("+0.00 (")
    assert missing[:2] == ["missing", "0"]


def test_what_is_there_is_not_run_again(recipe, tmp_path, caplog, capsys):
    caplog.set_level("INFO", "study")
    file = tmp_path / "study.yaml"
    # The recipe's own seed, so that nothing is trained.
    file.write_text("seeds: [42]\nsettings:\n  a: {evaluate.seed: 1}\n  b: {evaluate.seed: 2}\n")
    cli.main([str(file), "--recipe", str(recipe)])
    assert caplog.text.count("run 1 of 2") == caplog.text.count("run 2 of 2") == 1
    first = capsys.readouterr().out
    assert "+0.00" in first
    caplog.clear()
    cli.main([str(file), "--recipe", str(recipe)])
    assert "run 1" not in caplog.text and capsys.readouterr().out == first


@pytest.mark.parametrize("name", ["rates", "switches"])
def test_the_studies_of_the_experiments_change_parameters_that_there_are(name):
    study = experiments.read(REPOSITORY / f"benchmarks/study/{name}.yaml")
    for changes in study.settings.values():
        values = load_params(REPOSITORY / "params.yaml").model_dump()
        for key, value in changes.items():
            *path, last = key.split(".")
            section = reduce(getitem, path, values)
            assert last in section
            section[last] = value
        Params.model_validate(values)
