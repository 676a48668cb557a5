"""`python -m asr.transcribe` as a user calls it, with the sample's base model."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from asr import audio
from asr.shards import read_shards
from tests.recipes import REPOSITORY, Recipe
from tests.test_audio import encoded, speechlike


@pytest.fixture(scope="module")
def clips(finished, tmp_path_factory):
    """The test clips as files, and what the stage hears in them."""
    recipe = Recipe(tmp_path_factory.mktemp("stage"), {"transcribe.max_new_tokens": 444})
    recipe.share(finished)
    recipe.run("transcribe", "data/pretrained", "data/transcripts/pretrained.jsonl")
    transcripts = (recipe.folder / "data/transcripts/pretrained.jsonl").read_text().splitlines()
    heard = {line["id"]: line["hypothesis"] for line in map(json.loads, transcripts)}
    raw, folder = read_shards(finished.folder / "data/raw"), tmp_path_factory.mktemp("recordings")
    for row in pd.read_csv(finished.folder / "data/filtered/test.csv").row:
        (folder / raw[int(row)]["id"]).write_bytes(raw[int(row)]["audio"])
    assert len(heard) == 6 and all(heard.values())
    return folder, heard


@pytest.fixture
def transcribe(finished, tmp_path):
    """A function that runs the command and returns what it wrote to standard output and error."""

    def run(*args, code=0, **kwargs):
        model = () if "--model" in args else ("--model", str(finished.folder / "data/pretrained"))
        language = () if "--model" in args else ("--language", "sinhalese")
        done = subprocess.run(
            [sys.executable, "-m", "asr.transcribe", *map(str, args), *model, *language],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            **kwargs,
        )
        assert done.returncode == code, done.stderr.decode()
        return done.stdout.decode(), done.stderr.decode()

    return run


def test_short_clips_get_the_text_that_the_stage_writes(transcribe, clips):
    folder, expected = clips
    output, _ = transcribe(folder, "--format", "json")
    heard = {line["recording"]: line["text"] for line in map(json.loads, output.splitlines())}
    assert heard == {str(folder / name): text for name, text in expected.items()}


def test_a_file_from_standard_input(transcribe, clips):
    folder, expected = clips
    name, text = next(iter(expected.items()))
    output, _ = transcribe("-", input=(folder / name).read_bytes())
    assert output == text + "\n"


def test_a_long_recording_in_pieces_with_pauses_between(transcribe, clips, tmp_path):
    folder, expected = clips
    pause = np.zeros(audio.SAMPLE_RATE // 2, np.float32)
    parts = [audio.resample(*audio.decode((folder / name).read_bytes())) for name in expected]
    long = np.concatenate([part for clip in parts for part in (clip, pause)])
    (tmp_path / "long.wav").write_bytes(encoded(long, audio.SAMPLE_RATE, format="WAV"))
    output, _ = transcribe("long.wav", "--format", "srt", "--out", "heard")
    assert output == ""
    cues = re.findall(
        r"\d\d:\d\d:(\d\d),(\d+) --> \d\d:\d\d:(\d\d),(\d+)\n(.+)", (tmp_path / "heard/long.srt").read_text()
    )
    ends = [int(seconds) + int(milliseconds) / 1000 for *_, seconds, milliseconds, _ in cues]
    starts = [int(seconds) + int(milliseconds) / 1000 for seconds, milliseconds, *_ in cues]
    assert starts[0] == 0 and starts[1:] == ends[:-1]
    assert ends[-1] == pytest.approx(len(long) / audio.SAMPLE_RATE, abs=0.01)


def test_what_is_no_recording_is_named_and_the_others_are_done(transcribe, clips, tmp_path):
    folder, expected = clips
    name, text = next(iter(expected.items()))
    (tmp_path / "broken.mp3").write_bytes(b"a text file")
    output, errors = transcribe("broken.mp3", folder / name, code=1)
    assert output == f"{folder / name}: {text}\n"
    assert "broken.mp3: not decodable" in errors and "1 of 2 recordings could not be read" in errors
    assert "Traceback" not in errors


def test_silence_is_an_empty_transcript(transcribe, tmp_path):
    silence = np.zeros(5 * audio.SAMPLE_RATE, np.float32)
    (tmp_path / "silence.wav").write_bytes(encoded(silence, audio.SAMPLE_RATE, format="WAV"))
    assert transcribe("silence.wav")[0] == "\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere.mp3"], "no file or folder nowhere.mp3"),
        (["."], "no recording below this folder"),
        (["a.wav", "--model", "nowhere"], "no model in nowhere: run `dvc repro`"),
        (["a.wav", "--piece-s", "0.1"], "it takes 1.0 or more"),
        (["a.wav", "a.wav", "--format", "vtt"], "give --out FOLDER"),
        (["a.wav", "a.wav", "--out", "here"], "two recordings are called a"),
        (["a.wav", "--model", str(REPOSITORY / "sample/base")], "which language it writes: give --language"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_says_what_to_do(transcribe, tmp_path, args, message):
    if args[0] == "a.wav":
        (tmp_path / "a.wav").write_bytes(encoded(speechlike(16_000), 16_000, format="WAV"))
    output, errors = transcribe(*args, code=1)
    assert message in errors and "Traceback" not in errors
    assert output == "" and not (tmp_path / "here").exists()
