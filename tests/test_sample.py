"""The embedded recipe as it is, from nothing to a word error rate."""

import json
import os
import shutil
import subprocess

import pytest

from tests.recipes import REPOSITORY
from tests.repositories import ENVIRONMENT


@pytest.mark.slow
def test_a_model_that_never_saw_thaana_learns_it(tmp_path):
    for folder in ("asr", "stages", "sample/base"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("sample/dvc.yaml", "sample/params.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(REPOSITORY / file, tmp_path / file)
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, check=True)

    with (tmp_path / "log").open("w") as log:
        repro = subprocess.Popen(
            ["dvc", "repro"], cwd=tmp_path / "sample", env=ENVIRONMENT, stdout=log, stderr=subprocess.STDOUT
        )
    _, status, used = os.wait4(repro.pid, 0)  # what it and its own children used, nobody else's
    assert os.waitstatus_to_exitcode(status) == 0, (tmp_path / "log").read_text()
    metrics = json.loads((tmp_path / "sample/metrics/evaluate.json").read_text())
    assert metrics["pretrained"]["utterances"] >= 100
    assert metrics["pretrained"]["wer"] >= 90
    assert metrics["finetuned"]["wer"] <= 25
    largest_gb = used.ru_maxrss / 2**20  # kilobytes on Linux
    assert largest_gb <= 3
    dropped = json.loads((tmp_path / "sample/metrics/filter.json").read_text())["dropped"]
    assert all(dropped[reason] for reason in ("no_audio", "undecodable", "empty_sentence", "over_window"))
