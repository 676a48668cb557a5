"""What exports are compared by: the recipe's test clips, and the original as the pipeline hears it."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from transformers import WhisperFeatureExtractor

from asr.commands.export import check
from asr.commands.export.check import Utterance, measure, megabytes, open_rows, original, read_clips
from tests.recipes import REPOSITORY, Recipe

FILTERS = WhisperFeatureExtractor.from_pretrained(REPOSITORY / "sample/base").mel_filters


@pytest.mark.parametrize("padding", ["longest", "max_length"])
def test_the_original_hears_what_the_stage_hears(finished, tmp_path, padding):
    recipe = Recipe(tmp_path, {"transcribe.max_new_tokens": 444, "transcribe.num_beams": 2})
    recipe.share(finished)
    trained = shutil.copytree(finished.folder / "data/pretrained", recipe.folder / "data/trained")
    config = json.loads((trained / "config.json").read_text())
    (trained / "config.json").write_text(json.dumps(config | {"padding": padding}))
    recipe.run("package")
    recipe.run("transcribe", "data/model", "data/transcripts/finetuned.jsonl")
    lines = (recipe.folder / "data/transcripts/finetuned.jsonl").read_text().splitlines()
    expected = [(line["reference"], line["hypothesis"]) for line in map(json.loads, lines)]
    hear = original(recipe.folder / "data/model", "sinhalese", "transcribe", padding)
    clips = list(read_clips(open_rows(recipe.folder, None), 3, FILTERS))
    assert len(expected) == 6 and all(len(clip.pieces) == 1 for clip in clips)
    assert [(clip.reference, hear(clip.pieces[0])) for clip in clips] == expected


def test_a_clip_that_is_longer_than_the_window_is_cut_and_nothing_lost(finished):
    (row,) = open_rows(finished.folder, 1)
    (clip,) = read_clips([row], 1, FILTERS)
    (whole,) = read_clips([row], 30, FILTERS)
    assert len(whole.pieces) == 1 < len(clip.pieces)
    assert max(map(len, clip.pieces)) <= 16_000
    assert np.array_equal(np.concatenate(clip.pieces), whole.pieces[0])


def test_what_is_past_the_window_by_a_frame_is_cut_off():
    samples = np.ones(3 * 16_000 + 100, np.float32)
    (piece,) = check._cut(samples, 3, FILTERS)
    assert len(piece) == 3 * 16_000


def test_a_limit_takes_clips_from_all_over(finished):
    ids = list(pd.read_csv(finished.folder / "data/filtered/test.csv").id)
    for limit, expected in ((None, ids), (99, ids), (3, [ids[0], ids[2], ids[5]]), (1, ids[:1])):
        assert open_rows(finished.folder, limit)["id"][:] == expected


def test_no_test_clips(tmp_path):
    with pytest.raises(FileNotFoundError, match="dvc repro"):
        open_rows(tmp_path, None)


def test_rates_are_those_of_the_joined_pieces(tmp_path):
    heard = {1: "one two", 2: "", 3: "three", 4: "four"}
    first, second, third, fourth = (np.full(1, number) for number in heard)
    clips = [Utterance([first, second, third], "one two three"), Utterance([fourth], "five")]
    asked = []

    def hear(samples):
        asked.append(int(samples[0]))
        return heard[asked[-1]]

    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/weights").write_bytes(bytes(3_000_000))
    found = measure("x", tmp_path, hear, "int8", iter(clips), 2)
    assert (found.format, found.computed_in, found.clips, found.megabytes) == ("x", "int8", 2, 3.0)
    assert found.wer == pytest.approx(25)  # 1 of 4 words
    assert asked == [1, 1, 2, 3, 4]  # the first one is not counted once
    assert found.seconds_per_clip > 0 and megabytes(tmp_path) == 3.0
