"""The embedded recipe as it is, from nothing to a word error rate."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from asr.commands.transcribe.subtitles import plain
from asr.commands.transcribe.transcriber import Transcriber, transcripts
from asr.tables.shards import read_shards
from tests.recipes import REPOSITORY
from tests.repositories import ENVIRONMENT
from tests.test_stages import heard_by_transformers, lines

DVC = [sys.executable, "-m", "dvc"]


def check(sample):
    """See that the model, which never saw Thaana, has learned it."""
    metrics = json.loads((sample / "metrics/evaluate.json").read_text())
    assert metrics["pretrained"]["utterances"] >= 100
    assert metrics["pretrained"]["wer"] >= 90
    assert metrics["finetuned"]["wer"] <= 25
    dropped = json.loads((sample / "metrics/filter.json").read_text())["dropped"]
    assert all(dropped[reason] for reason in ("no_audio", "undecodable", "empty_sentence", "over_window"))


@pytest.mark.sample
def test_what_make_sample_wrote():
    status = subprocess.run(
        [*DVC, "status"], cwd=REPOSITORY / "sample", env=ENVIRONMENT, capture_output=True, text=True
    )
    assert "Data and pipelines are up to date." in status.stdout, status.stdout + status.stderr
    check(REPOSITORY / "sample")


@pytest.mark.sample
def test_the_saved_model_alone_gives_all_texts_that_were_scored():
    transcripts = lines(REPOSITORY / "sample/data/transcripts/finetuned.jsonl")
    heard = heard_by_transformers(REPOSITORY / "sample")
    assert heard == [transcript["hypothesis"] for transcript in transcripts] and len(heard) >= 100


@pytest.mark.sample
def test_asr_transcribe_gives_all_texts_that_were_scored(tmp_path):
    data = REPOSITORY / "sample/data"
    clips = lines(data / "transcripts/finetuned.jsonl")
    scored = {Path(clip["id"]).name: clip["hypothesis"] for clip in clips}
    for clip in read_shards(data / "raw"):
        if (name := Path(clip["id"]).name) in scored:
            (tmp_path / name).write_bytes(clip["audio"])
    transcriber = Transcriber(data / "model", None, batch_size=16, num_beams=None)
    heard = transcripts(transcriber, sorted(tmp_path.iterdir()))
    assert {Path(name).name: plain(name, segments).strip() for name, segments in heard} == scored


@pytest.mark.slow
@pytest.mark.thorough
def test_the_whole_recipe_in_a_fresh_repository(tmp_path):
    for folder in ("asr", "stages", "sample/base", "sample/.dvc"):
        ignored = shutil.ignore_patterns("__pycache__", "tmp")
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=ignored)
    for file in ("sample/dvc.yaml", "sample/params.yaml", "sample/.dvcignore", ".gitignore"):
        shutil.copy(REPOSITORY / file, tmp_path / file)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, env=ENVIRONMENT, check=True)

    path = os.pathsep.join(ENVIRONMENT["PATH"].split(os.pathsep)[1:])  # true Pythons
    with (tmp_path / "log").open("w") as log:
        repro = subprocess.Popen(
            [*DVC, "repro"], cwd=tmp_path / "sample", env=ENVIRONMENT | {"PATH": path}, stdout=log, stderr=log
        )
    _, status, used = os.wait4(repro.pid, 0)  # what it and its own children used, nobody else's
    assert os.waitstatus_to_exitcode(status) == 0, (tmp_path / "log").read_text()
    largest_gb = used.ru_maxrss / 2**20  # kilobytes on Linux
    assert largest_gb <= 3
    check(tmp_path / "sample")
