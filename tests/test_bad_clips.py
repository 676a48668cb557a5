"""A folder with every accident in it, through download, featurize and filter: nothing ends the run, nothing
goes unseen.
"""

import io
import json
import os
import signal
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
from datasets import Dataset

from asr.audio.decode import decode
from asr.tables.corpus import MAX_CLIP_BYTES
from asr.tables.features import PROBLEMS
from asr.tables.shards import read_shards
from stages import featurize
from tests.corpora import tone, tsv
from tests.recipes import Recipe, corpus
from tests.test_audio import speechlike
from tests.test_ffmpeg import made
from tests.test_source_folder import read, write


def encoded(samples, rate=16_000, **kind):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **kind or {"format": "WAV"})
    return file.getvalue()


def channels(n, rate=16_000):
    return encoded(np.stack([speechlike(rate, seed) for seed in range(n)], axis=1), rate)


SPEECH = speechlike(16_000)
USABLE = {
    "plain.wav": encoded(SPEECH),
    "8-bit.wav": encoded(SPEECH, format="WAV", subtype="PCM_U8"),
    "96kHz.flac": encoded(speechlike(96_000), 96_000, format="FLAC"),
    "stereo.wav": channels(2),
    "5.1.wav": channels(6),
    "flac-called.mp3": encoded(SPEECH, format="FLAC"),
    "mp3-called.wav": encoded(SPEECH, format="MP3"),
    "opus.opus": encoded(speechlike(48_000), 48_000, format="OGG", subtype="OPUS"),
    "no suffix": encoded(SPEECH, format="OGG", subtype="VORBIS"),
    "carriage\rreturn": encoded(SPEECH),
    "aiff.aif": encoded(SPEECH, format="AIFF"),
    "phone.3gp": made("3gp", 1),
    "antiphase.wav": encoded(np.stack([SPEECH, -SPEECH], axis=1)),
}
BAD = {
    "truncated.flac": (encoded(SPEECH, format="FLAC")[:9000], "undecodable", "flac decoder lost sync"),
    "truncated.wav": (encoded(np.tile(SPEECH, 4))[:64_000], "cut_off", "2.0 s are there of 4.0 s"),
    "truncated.mp3": (encoded(np.tile(SPEECH, 4), format="MP3")[:8000], "cut_off", "s are there of 4.0 s"),
    "empty.wav": (encoded(SPEECH[:0]), "undecodable", "no samples"),
    "zero-bytes.wav": (b"", "no_audio", ""),
    "text.mp3": (b"This is no sound.\n" * 100, "undecodable", "Format not recognised"),
    "phone.m4a": (made("m4a", 1)[:5000], "cut_off", "the index of an MPEG-4 file"),
    "silence.wav": (encoded(np.zeros(8000)), "silent", "0.5 s"),
    "offset.wav": (encoded(np.full(8000, 0.25)), "silent", "0.5 s"),
    "nan.wav": (
        encoded(np.array([0.1, np.nan] * 900), format="WAV", subtype="FLOAT"), "undecodable", "not finite",
    ),
    "huge.wav": (
        encoded(np.array([1e30, -1e30] * 900), format="WAV", subtype="FLOAT"), "undecodable", "full scale",
    ),
    "hour.flac": (encoded(np.zeros(8_000 * 3600), 8_000, format="FLAC"), "too_large", "longer than 600 s"),
    "=cmd|calc!A0.wav": (b"x", "undecodable", ""),
}  # fmt: skip
ELSEWHERE = {
    "missing.wav": "no_audio", "../outside.wav": "outside_folder", "link.wav": "outside_folder",
    "x" * 300: "no_audio", "nul\0.wav": "no_audio", "folder": "no_audio",
}  # fmt: skip
UNUSABLE = {name: problem for name, (_, problem, _) in BAD.items()} | ELSEWHERE


@pytest.fixture(scope="module")
def accidents(tmp_path_factory):
    """A recipe on such a folder, as far as the filter, which finds that too many clips are bad."""
    recipe = Recipe(
        tmp_path_factory.mktemp("accidents"),
        {
            "corpora": {"own": corpus("folder")},
            "filter.validation_fraction": 0.3,
        },
    )
    root = recipe.folder / "own"
    (root / "folder").mkdir(parents=True)
    (recipe.folder / "outside.wav").write_bytes(tone(format="WAV"))
    (root / "link.wav").symlink_to(recipe.folder / "outside.wav")
    for name, data in (USABLE | {name: data for name, (data, *_) in BAD.items()}).items():
        (root / name).write_bytes(data)
    names = [*USABLE, *BAD, *ELSEWHERE]
    rows = [
        (name, f"ބާރަ {i}", f"s{i}", "test" if i in (3, 4, 5, 12) else "train") for i, name in enumerate(names)
    ]
    (root / "metadata.tsv").write_bytes(tsv(*rows, header=("path", "sentence", "speaker", "split")))
    recipe.names = names
    for stage in ("download", "pretrained", "featurize"):
        recipe.run(stage)
    recipe.output = recipe.fail("filter")
    return recipe


def test_every_row_has_features_or_a_problem_that_says_what_was_found(accidents):
    rows = read_shards(accidents.folder / "data/features").to_list()
    rows = [row | {"id": row["id"].removeprefix("own/")} for row in rows]
    assert [row["id"] for row in rows] == accidents.names
    assert {row["id"]: row["problem"] for row in rows} == dict.fromkeys(USABLE, "") | UNUSABLE
    for row in rows:
        assert bool(row["features"]) == (row["problem"] == "")
        assert row["duration_s"] == pytest.approx(1 if row["id"] in USABLE else 0, abs=0.1)  # of 96 kHz too
        if row["id"] in BAD:
            assert BAD[row["id"]][2] in row["detail"], row["id"]
        assert "0x" not in row["detail"]  # where an object is in memory differs from run to run
    assert {row["problem"] for row in rows} == {"", *PROBLEMS} - {"decoder_died"}


def test_too_many_end_the_filter_with_counts_ids_and_the_way_on(accidents):
    n, of = len(UNUSABLE), len(accidents.names)
    assert f"filter: {n} of {of} clips cannot be used, and that is too many:" in accidents.output
    assert "outside_folder: 2 (own/../outside.wav, own/link.wav)" in accidents.output
    assert "cut_off: 3 (own/truncated.wav, own/truncated.mp3, own/phone.m4a)" in accidents.output
    assert (
        "no_audio: 5 (own/zero-bytes.wav, own/missing.wav, " in accidents.output
        and ", …)" in accidents.output
    )
    assert "set filter.max_bad_fraction, which is 0.1, to 0.594 or more" in accidents.output
    table = pd.read_csv(accidents.folder / "metrics/dropped.csv", keep_default_na=False)
    assert len(table) == n
    assert not (accidents.folder / "data/filtered").exists()


def test_with_that_it_goes_on_and_the_table_names_every_one(accidents):
    before = {f: f.stat().st_mtime_ns for f in (accidents.folder / "data/features/own").iterdir()}
    accidents.set({"filter.max_bad_fraction": 0.594})
    accidents.run("filter")
    assert {f: f.stat().st_mtime_ns for f in (accidents.folder / "data/features/own").iterdir()} == before
    table = pd.read_csv(accidents.folder / "metrics/dropped.csv", keep_default_na=False)
    assert list(table) == ["id", "split", "reason", "detail"]
    unusable = {f"own/{name}".replace("\0", r"\x00"): problem for name, problem in UNUSABLE.items()}
    assert dict(zip(table.id, table.reason, strict=True)) == unusable
    counted = json.loads((accidents.folder / "metrics/filter.json").read_text())
    filtered = (accidents.folder / "data/filtered").glob("*.csv")
    tables = [pd.read_csv(file, keep_default_na=False) for file in filtered]
    pairs = {(row, id) for table in tables for row, id in zip(table.row, table.id, strict=True)}
    assert pairs == {(row, f"own/{name}") for row, name in enumerate(accidents.names)}
    used = sum(counted[role]["clips"] for role in ("train", "validation", "test"))
    assert used + sum(counted["dropped"].values()) == len(accidents.names)


def test_a_file_out_of_all_bounds_is_not_even_read(tmp_path):
    root = write(tmp_path / "own", [("a.flac", "x", "s1", "train"), ("b.flac", "y", "s2", "test")])
    with (root / "a.flac").open("wb") as file:
        file.truncate(MAX_CLIP_BYTES + 1)  # takes no place on the disk
    clip, other = read(root)
    assert (clip.problem, clip.detail, clip.audio) == ("too_large", f"{MAX_CLIP_BYTES + 1} bytes", b"")
    assert other.audio


def test_a_clip_that_kills_its_decoder_is_named_and_the_others_are_there(monkeypatch):
    def fragile(data, warn):
        if data == b"poison":
            os.kill(os.getpid(), signal.SIGKILL)
        return decode(data, warn)

    monkeypatch.setattr("stages.featurize.decode", fragile)
    clip = {"id": "", "audio": encoded(SPEECH), "problem": "", "detail": ""}
    raw = [{**clip, "id": str(i)} for i in range(60)]
    raw[3]["audio"] = raw[50]["audio"] = b"poison"
    extractor = SimpleNamespace(mel_filters=np.ones((201, 80)))
    found = {row["id"]: row["problem"] for row in featurize.featurize(Dataset.from_list(raw), extractor)}
    assert found == {str(i): "decoder_died" if i in (3, 50) else "" for i in range(60)}
