"""The embedded recipe as it is, from nothing to a word error rate."""

import json
import resource
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

    done = subprocess.run(
        ["dvc", "repro"], cwd=tmp_path / "sample", env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = json.loads((tmp_path / "sample/metrics/evaluate.json").read_text())
    assert metrics["pretrained"]["utterances"] >= 100
    assert metrics["pretrained"]["wer"] >= 90
    assert metrics["finetuned"]["wer"] <= 25
    largest_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # kilobytes on Linux
    assert largest_gb <= 3
    dropped = json.loads((tmp_path / "sample/metrics/filter.json").read_text())["dropped"]
    assert all(dropped[reason] for reason in ("no_audio", "undecodable", "empty_sentence", "over_window"))
