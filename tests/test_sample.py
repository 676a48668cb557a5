"""The embedded recipe as it is: `make sample`, from nothing to a word error rate."""

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

pytestmark = [pytest.mark.sample, pytest.mark.slow]
TIES = 2  # of 128 texts: every machine trains another model, which may find two ids equally likely


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Run `make sample`, with this environment, in a new repository of all that git does not ignore here."""
    root = tmp_path_factory.mktemp("clone")
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    for name in subprocess.check_output(git, cwd=REPOSITORY, text=True).rstrip("\0").split("\0"):
        if (REPOSITORY / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name)
    (root / ".venv").symlink_to(REPOSITORY / ".venv")
    for command in ("init -q", "add .", "commit -q -m all"):
        subprocess.run(["git", *command.split()], cwd=root, env=ENVIRONMENT, check=True)
    with (root / "log").open("w") as log:
        make = subprocess.Popen(["make", "sample"], cwd=root, env=ENVIRONMENT, stdout=log, stderr=log)
    _, status, used = os.wait4(make.pid, 0)  # what it and its own children used, nobody else's
    assert os.waitstatus_to_exitcode(status) == 0, (root / "log").read_text()
    largest_gb = used.ru_maxrss / 2**20  # kilobytes on Linux
    assert largest_gb <= 3
    return root / "sample"


def test_a_model_that_never_saw_thaana_has_learned_it(sample):
    metrics = json.loads((sample / "metrics/evaluate.json").read_text())
    assert metrics["pretrained"]["utterances"] >= 100
    assert metrics["pretrained"]["wer"] >= 90
    assert metrics["finetuned"]["wer"] <= 25
    dropped = json.loads((sample / "metrics/filter.json").read_text())["dropped"]
    assert all(dropped[reason] for reason in ("no_audio", "undecodable", "empty_sentence", "over_window"))
    assert (sample / "data/model/README.md").exists()
    status = [sys.executable, "-m", "dvc", "status"]
    said = subprocess.run(status, cwd=sample, env=ENVIRONMENT, capture_output=True, text=True)
    assert "Data and pipelines are up to date." in said.stdout, said.stdout + said.stderr


def test_the_saved_model_alone_gives_all_texts_that_were_scored(sample):
    scored = [transcript["hypothesis"] for transcript in lines(sample / "data/transcripts/finetuned.jsonl")]
    heard = heard_by_transformers(sample)
    others = [pair for pair in zip(heard, scored, strict=True) if pair[0] != pair[1]]
    assert len(others) <= TIES and len(heard) >= 100, others


def test_asr_transcribe_gives_all_texts_that_were_scored(sample, tmp_path):
    clips = lines(sample / "data/transcripts/finetuned.jsonl")
    scored = {Path(clip["id"]).name: clip["hypothesis"] for clip in clips}
    for clip in read_shards(sample / "data/raw"):
        if (name := Path(clip["id"]).name) in scored:
            (tmp_path / name).write_bytes(clip["audio"])
    transcriber = Transcriber(sample / "data/model", None, batch_size=16, num_beams=None)
    found = transcripts(transcriber, sorted(tmp_path.iterdir()))
    heard = {Path(name).name: plain(name, segments).strip() for name, segments in found}
    others = heard.items() - scored.items()
    assert len(others) <= TIES and heard.keys() == scored.keys(), others
