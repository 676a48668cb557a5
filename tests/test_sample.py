"""The embedded recipe as it is: `make sample`, from nothing to a word error rate."""

import json
import os
import shutil
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import jiwer
import pytest

from asr.commands.transcribe.subtitles import plain
from asr.commands.transcribe.transcriber import Transcriber, transcripts
from asr.tables.shards import read_shards
from tests.recipes import REPOSITORY
from tests.repositories import ENVIRONMENT, copy_all
from tests.test_stages import heard_by_transformers, lines

pytestmark = pytest.mark.sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Run `make sample`, offline and on one thread, in a copy of this repository.

    No process may take more than 3 GB. Returns its folder sample/.
    """
    root = tmp_path_factory.mktemp("copy")
    copy_all(root)
    for command in ("init -q", "add .", "commit -q -m all"):
        subprocess.run(["git", *command.split()], cwd=root, env=ENVIRONMENT, check=True)
    (root / ".venv").symlink_to(REPOSITORY / ".venv")
    command = ["make", "--old-file", ".venv/installed", "sample"]
    with (root / "log").open("w") as log:
        make = subprocess.Popen(command, cwd=root, env=ENVIRONMENT, stdout=log, stderr=log)
    _, status, used = os.wait4(make.pid, 0)  # what it and its own children used, nobody else's
    assert os.waitstatus_to_exitcode(status) == 0, (root / "log").read_text()
    assert used.ru_maxrss <= 3 * 2**20  # kilobytes on Linux
    return root / "sample"


def are_the_same(heard, scored):
    """Tell whether texts are the same, but for a word in two of them.

    Every machine trains another model, which may find two ids equally likely; then rounding decides.
    """
    others = [(one.split(), other.split()) for one, other in zip(heard, scored, strict=True) if one != other]
    wrong = [sum(a != b for a, b in zip_longest(*pair)) for pair in others]
    return len(heard) >= 100 and len(others) <= 2 and all(words == 1 for words in wrong)


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


def test_the_saved_model_alone_gives_our_texts_of_the_window(sample, tmp_path):
    model, out = shutil.copytree(sample / "data/model", tmp_path / "model"), tmp_path / "padded.jsonl"
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"padding": "max_length"}))
    stage = ["python", "-m", "stages.transcribe", str(model), str(out)]
    subprocess.run(stage, cwd=sample, env=os.environ | {"PYTHONPATH": ".."}, check=True)
    heard = heard_by_transformers(sample)
    assert are_the_same(heard, [clip["hypothesis"] for clip in lines(out)])
    clips = lines(sample / "data/transcripts/finetuned.jsonl")
    references, scored = ([clip[text] for clip in clips] for text in ("reference", "hypothesis"))
    assert jiwer.wer(references, heard) <= jiwer.wer(references, scored) + 0.05


def test_asr_transcribe_gives_the_texts_that_were_scored(sample, tmp_path):
    clips = lines(sample / "data/transcripts/finetuned.jsonl")
    scored = {Path(clip["id"]).name: clip["hypothesis"] for clip in clips}
    for clip in read_shards(sample / "data/raw"):
        if (name := Path(clip["id"]).name) in scored:
            (tmp_path / name).write_bytes(clip["audio"])
    transcriber = Transcriber(sample / "data/model", None, batch_size=16, num_beams=None)
    found = transcripts(transcriber, sorted(tmp_path.iterdir()))
    heard = {Path(name).name: plain(name, segments).strip() for name, segments in found}
    assert are_the_same([heard[name] for name in scored], [*scored.values()])
