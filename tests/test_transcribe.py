"""`asr transcribe` as a user calls it, with the sample's base model."""

import io
import json
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from asr.audio.decode import decode, resample
from asr.audio.log_mel import SAMPLE_RATE
from asr.commands.transcribe.pieces import Piece
from asr.commands.transcribe.subtitles import Segment
from asr.commands.transcribe.transcriber import Transcriber, transcripts
from asr.decoding import Hypothesis
from asr.sources.folder import clips as corpus_clips
from asr.tables.shards import read_shards
from tests.recipes import REPOSITORY, Recipe, checked_corpus
from tests.test_audio import encoded, speechlike

BASE = REPOSITORY / "sample/base"


@pytest.fixture(scope="module")
def evaluated(finished, tmp_path_factory):
    """A recipe of two beams and few ids, whose fine-tuned model is the base model."""
    own = {"transcribe.num_beams": 2, "transcribe.max_new_tokens": 12}
    recipe = Recipe(tmp_path_factory.mktemp("stage"), own)
    recipe.share(finished)
    (recipe.folder / "data/trained").symlink_to(finished.folder / "data/pretrained")
    recipe.run("package")
    recipe.run("transcribe", "data/model", "data/transcripts/finetuned.jsonl")
    return recipe.folder


@pytest.fixture(scope="module")
def clips(finished, evaluated, tmp_path_factory):
    """The test clips as files, and what the stage hears in them."""
    transcripts = (evaluated / "data/transcripts/finetuned.jsonl").read_text().splitlines()
    heard = {Path(line["id"]).name: line["hypothesis"] for line in map(json.loads, transcripts)}
    raw, folder = read_shards(finished.folder / "data/raw"), tmp_path_factory.mktemp("recordings")
    for row in pd.read_csv(finished.folder / "data/filtered/test.csv").row:
        (folder / Path(raw[int(row)]["id"]).name).write_bytes(raw[int(row)]["audio"])
    assert len(heard) == 6 and all(heard.values())
    return folder, heard


@pytest.fixture
def transcribe(tmp_path):
    """A function that runs the command and returns what it wrote to standard output and error."""

    def run(*args, code=0, input=b"", environment=None):
        model = () if "--model" in args else ("--model", BASE, "--language", "sinhalese")
        done = subprocess.run(
            ["python", "-m", "asr", "transcribe", *map(str, (*args, *model))],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | (environment or {}),
            input=input,
            capture_output=True,
        )
        assert done.returncode == code, done.stderr.decode()
        return done.stdout.decode(errors="surrogateescape"), done.stderr.decode()

    return run


def test_without_options_short_clips_get_the_texts_that_were_evaluated(transcribe, clips, evaluated):
    folder, expected = clips
    output, _ = transcribe(folder, "--format", "json", "--model", evaluated / "data/model")
    heard = {line["recording"]: line["text"] for line in map(json.loads, output.splitlines())}
    assert heard == {str(folder / name): text for name, text in expected.items()}


def test_a_file_from_standard_input(transcribe, clips, evaluated):
    folder, expected = clips
    name, text = next(iter(expected.items()))
    output, _ = transcribe("-", "--model", evaluated / "data/model", input=(folder / name).read_bytes())
    assert output == text + "\n"


def test_a_long_recording_in_pieces_with_pauses_between(transcribe, clips, tmp_path):
    folder, expected = clips
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    parts = [resample(*decode((folder / name).read_bytes())) for name in expected]
    long = np.concatenate([part for clip in parts for part in (clip, pause)])
    (tmp_path / "long.wav").write_bytes(encoded(long, SAMPLE_RATE, format="WAV"))
    output, _ = transcribe("long.wav", "--format", "srt", "--out", "heard")
    assert output == ""
    cues = re.findall(
        r"\d\d:\d\d:(\d\d),(\d+) --> \d\d:\d\d:(\d\d),(\d+)\n(.+)", (tmp_path / "heard/long.srt").read_text()
    )
    ends = [int(seconds) + int(milliseconds) / 1000 for *_, seconds, milliseconds, _ in cues]
    starts = [int(seconds) + int(milliseconds) / 1000 for seconds, milliseconds, *_ in cues]
    assert starts[0] < 0.5 and all(start < end for start, end in zip(starts, ends, strict=True))
    assert all(end <= start for end, start in zip(ends[:-1], starts[1:], strict=True))
    assert len(long) / SAMPLE_RATE - 1 < ends[-1] < len(long) / SAMPLE_RATE - 0.3  # without the last pause


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere.mp3"], "no file or folder nowhere.mp3"),
        (["."], "no recording below this folder"),
        (["a.wav", "--model", "nowhere"], "no model in nowhere: run `dvc repro`"),
        (["a.wav", "a.wav", "--format", "vtt"], "give --out FOLDER"),
        (["a.wav", "--out", "a.wav"], "--out: no file can be written in a.wav"),
        (["a.wav", "a.wav", "--out", "here"], "a.wav, a.wav would all be here/a.txt"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_says_what_to_do(transcribe, tmp_path, args, message):
    if args[0] == "a.wav":
        (tmp_path / "a.wav").write_bytes(encoded(speechlike(16_000), 16_000, format="WAV"))
    output, errors = transcribe(*args, code=1)
    assert message in errors and "Traceback" not in errors
    assert output == "" and not (tmp_path / "here").exists()


@pytest.fixture
def spoken(tmp_path):
    """A recording of 12 s with pauses, and what the model writes of its first half and of all of it."""
    samples = np.concatenate([speechlike(SAMPLE_RATE * 5 // 2), np.zeros(SAMPLE_RATE // 2)] * 4)
    (tmp_path / "spoken.wav").write_bytes(encoded(samples, SAMPLE_RATE, format="WAV"))
    return tmp_path / "spoken.wav"


def test_a_recording_that_is_cut_off_is_transcribed_and_it_is_said(transcribe, spoken, tmp_path):
    whole, errors = transcribe("spoken.wav")
    assert "cut off" not in errors
    (tmp_path / "cut.wav").write_bytes(cut := spoken.read_bytes()[: 6 * 2 * SAMPLE_RATE])
    for name, recording in (("cut.wav", b""), ("-", cut)):
        text, errors = transcribe(name, input=recording)
        assert text.strip() and whole.startswith(text.strip()) and len(text) < 0.7 * len(whole)
        assert f"{name.replace('-', 'stdin')}: cut off: 6.0 s are there of 12.0 s\n" in errors


def test_silence_is_named_and_what_is_said_in_it_has_its_times(transcribe, spoken, tmp_path):
    said, silence = decode(spoken.read_bytes())[0], np.zeros(9 * SAMPLE_RATE, np.float32)
    late = np.concatenate([silence, said[: 2 * SAMPLE_RATE], silence])
    for folder, samples in (("silent", silence), ("late", late)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.wav").write_bytes(encoded(samples, SAMPLE_RATE, format="WAV"))
    _, errors = transcribe("silent", "late", "--format", "json", "--out", "heard")
    assert errors.count("silent throughout") == 1 and "transcribe: silent/a.wav: silent throughout" in errors
    silent, heard = (json.loads((tmp_path / "heard" / n / "a.json").read_text()) for n in ("silent", "late"))
    assert silent["text"] == "" and heard["text"]
    (segment,) = (segment for segment in heard["segments"] if segment["text"])
    assert (segment["start_s"], segment["end_s"]) == pytest.approx((8.9, 11.1), abs=0.1)


@pytest.mark.parametrize(
    ("trained", "packed", "cues"),
    [
        ({}, None, [2, 1]),
        ({"full_window_fraction": 0.1}, None, [2, 1]),
        ({"full_window_fraction": 0.1, "pieces": "windows"}, None, [2, 1]),
        ({"full_window_fraction": 0.1, "pieces": "utterances"}, None, [1, 1, 1]),
        ({"full_window_fraction": 0.0}, None, [1, 1, 1]),
        ({"full_window_fraction": 0.0}, True, [2, 1]),
        ({}, False, [1, 1, 1]),
    ],
)
def test_a_model_hears_as_much_at_once_as_it_says(tmp_path, trained, packed, cues):
    shutil.copytree(BASE, tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    (tmp_path / "model/config.json").write_text(json.dumps(config | trained))
    transcriber = Transcriber(tmp_path / "model", "tamil", batch_size=1, num_beams=1, packed=packed)
    said = np.concatenate([speechlike(SAMPLE_RATE), np.zeros(SAMPLE_RATE // 2)] * 3)
    pieces = list(transcriber.cut(io.BytesIO(encoded(said, SAMPLE_RATE, format="WAV")), pytest.fail))
    assert [len(piece.cues) for piece in pieces] == cues


def test_a_window_of_more_text_than_the_decoder_can_write_is_heard_in_parts(monkeypatch):
    """The decoder writes 100 frames' text here, with a pause in the middle of the 300."""

    def transcribe(model, processor, lengths, read, options):
        return [Hypothesis(f"{read(n).max():.0f}", 444, lengths[n] > 200) for n in range(len(lengths))]

    monkeypatch.setattr("asr.commands.transcribe.transcriber.transcribe", transcribe)
    transcriber = Transcriber(BASE, "tamil", batch_size=1, num_beams=1)
    features = np.repeat(np.float16([1, -2, 2]), [140, 20, 140])[None]
    pieces = [
        Piece(0, 1, [(0, 16_000), (16_000, 32_000)], features),
        Piece(1, 2, [(0, 1)], None),
        Piece(2, 3, [(32_000, 48_000)], features[:, :140]),
    ]
    heard = transcriber.hear(pieces)
    assert [[cue.text for cue in cues] for cues in heard] == [["1", "2"], [""], ["1"]]
    assert heard[0][1] == Segment(1.0, 2.0, "2")


class FewAtATime:
    """In place of a Transcriber: recordings of 50 pieces, the second of which breaks."""

    options = SimpleNamespace(batch_size=2)

    def __init__(self):
        self.held = self.most = self.read = 0

    def cut(self, recording, warn):
        self.read += 1
        for number in range(50):
            if self.read == 2 and number == 30:
                raise ValueError("broken")
            self.held += 1
            self.most = max(self.most, self.held)
            yield Piece(number, number + 1, [(number, number + 1)], np.zeros(1))

    def hear(self, pieces):
        self.held -= len(pieces)
        return [[Segment(piece.start, piece.end, str(piece.start))] for piece in pieces]


def test_however_long_recordings_are_a_few_pieces_are_held(tmp_path):
    transcriber, files = FewAtATime(), [tmp_path / name for name in "abc"]
    heard = dict(transcripts(transcriber, files))
    assert transcriber.most == 32 and list(heard) == [str(file) for file in files]
    assert heard[str(files[1])] is None
    for file in (files[0], files[2]):
        assert [segment.text for segment in heard[str(file)]] == [str(number) for number in range(50)]


def test_nothing_but_its_progress_is_said_of_what_goes_well(transcribe, spoken):
    _, errors = transcribe("spoken.wav", "--num-beams", "2")
    assert re.fullmatch(r"(transcribe: .* pieces.*\n)+", errors)


def test_one_bad_file_in_a_folder_keeps_nothing_from_the_others(transcribe, spoken, tmp_path):
    for name in ("photo.raw", "call.m4a", "a.wav"):
        (tmp_path / name).write_bytes(b"\0\0\0\x1cftyp")
    output, errors = transcribe(".", "photo.raw", code=1)
    assert output.startswith("spoken.wav: ") and output.count("\n") == 1
    assert "call.m4a: not decodable: the index of an MPEG-4 file" in errors
    assert "3 of 4 recordings could not be read" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("kind", ["txt", "json"])
def test_names_and_terminals_that_are_not_utf_8(transcribe, spoken, tmp_path, kind):
    odd = spoken.rename(tmp_path / os.fsdecode(b"b\xff.wav"))
    as_latin = {"PYTHONIOENCODING": "latin-1"}
    output, _ = transcribe(odd.name, odd.name, "--format", kind, environment=as_latin)
    assert re.search("[\u0d80-\u0dff]{3}", output)
    if kind == "json":
        assert [json.loads(line)["recording"] for line in output.encode().splitlines()] == [odd.name] * 2
    else:
        assert output.startswith(f"{odd.name}: ")
    transcribe(odd.name, "--format", kind, "--out", "heard")
    written = tmp_path / "heard" / os.fsdecode(f"b\udcff.{kind}")
    assert written.read_bytes().decode(errors="surrogateescape") in output.replace(f"{odd.name}: ", "")


def test_a_tier_for_elan_comes_back_as_training_data(transcribe, spoken, tmp_path):
    transcribe("spoken.wav", "--format", "eaf", "--out", "for/elan")
    assert 'RELATIVE_MEDIA_URL="../../spoken.wav"' in (tmp_path / "for/elan/spoken.eaf").read_text()
    clips = list(corpus_clips(checked_corpus("folder", path=str(tmp_path))))
    assert all(clip.audio and re.search("[\u0d80-\u0dff]", clip.sentence) for clip in clips)
    starts = [int(re.fullmatch(r"spoken\.wav#(\d+)-\d+", clip.id)[1]) for clip in clips]
    assert starts == [0, 2950, 5950, 8950]  # of four utterances


def test_what_somebody_has_corrected_is_replaced_only_if_that_is_asked_for(transcribe, spoken, tmp_path):
    corrected = tmp_path / "heard/spoken.srt"
    corrected.parent.mkdir()
    corrected.write_text("by hand")
    command = ("spoken.wav", "--format", "srt", "--out", "heard")
    # A model that cannot be loaded: with nothing left to do it is not even tried.
    _, errors = transcribe(*command, "--model", str(no_weights(tmp_path)))
    assert "skipped 1 of 1 recordings, because their files exist (heard/spoken.srt): --overwrite" in errors
    assert corrected.read_text() == "by hand"
    (tmp_path / "more.wav").write_bytes(spoken.read_bytes())
    transcribe("more.wav", *command)
    assert corrected.read_text() == "by hand"
    more = corrected.with_name("more.srt").read_text()
    transcribe(*command, "--overwrite")
    assert corrected.read_text() == more and more.startswith("1\n00:00:00,000 --> ")
    assert len(list(corrected.parent.iterdir())) == 2  # and no part of a file


def no_weights(folder):
    """Copy the model less half of its weights."""
    shutil.copytree(BASE, folder / "model")
    weights = folder / "model/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1_000_000])
    return folder / "model"


def test_weights_that_are_cut_off_say_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="model.safetensors is damaged .* `dvc pull`"):
        Transcriber(no_weights(tmp_path), "tamil", batch_size=1, num_beams=1)


def test_any_checkpoint_is_checked_and_none_of_its_settings_reaches_a_transcript(tmp_path, caplog):
    shutil.copytree(BASE, tmp_path / "model")
    settings = tmp_path / "model/generation_config.json"
    said = json.loads(settings.read_text())
    settings.write_text(json.dumps({"no_speech_threshold": 0.6, "return_dict_in_generate": True}))
    with caplog.at_level("INFO", "asr"):
        transcriber = Transcriber(tmp_path / "model", "tamil", batch_size=1, num_beams=1)
    assert "set aside: {'no_speech_threshold': 0.6, 'return_dict_in_generate': True}" in caplog.text
    assert transcriber.model.generation_config.lang_to_id == said["lang_to_id"]
    with pytest.raises(ValueError, match="no language 'tamli'.*did you mean tamil"):
        Transcriber(tmp_path / "model", "tamli", batch_size=1, num_beams=1)
    settings.write_text(json.dumps(said | {"is_multilingual": False}))
    with pytest.raises(ValueError, match="model cannot be used:\n  it is for English only"):
        Transcriber(tmp_path / "model", "english", batch_size=1, num_beams=1)


def test_a_named_pipe_is_read_as_standard_input_is(transcribe, spoken, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    recording = spoken.read_bytes()
    threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[recording], daemon=True).start()
    assert transcribe("pipe")[0] == transcribe("-", input=recording)[0] != "\n"
