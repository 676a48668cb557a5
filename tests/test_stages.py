"""Every stage's own script on tiny data: the files it wrote, and what it says of bad input.

`finished` (conftest.py) has run them all once. The download and evaluate stages have tests of their own.
"""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import WhisperFeatureExtractor, WhisperProcessor, pipeline

from asr.audio.decode import decode, resample
from asr.audio.log_mel import pad
from asr.model.whisper import load_model
from asr.tables.features import log_mel_of
from asr.tables.rows import read_rows
from asr.tables.shards import read_shards
from tests.recipes import REPOSITORY, Recipe
from tests.spied import kill_in_pass


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_pretrained_stores_the_checkpoint_unchanged(finished):
    stored = load_model(finished.folder / "data/pretrained").state_dict()
    original = load_model(REPOSITORY / "sample/base").state_dict()
    assert stored.keys() == original.keys()
    assert all(torch.equal(stored[name], original[name]) for name in stored)


def test_featurize_keeps_every_row_and_whispers_own_features(finished):
    raw = read_shards(finished.folder / "data/raw")
    rows = read_shards(finished.folder / "data/features").with_format("numpy")
    assert list(rows["id"][:]) == list(raw["id"][:])
    extractor = WhisperFeatureExtractor()
    checked = 0
    for clip, row in zip(raw, rows, strict=True):
        if row["problem"]:
            assert row["duration_s"] == 0 and len(row["features"]) == 0
            continue
        samples = resample(*decode(clip["audio"]))
        expected = extractor(samples, sampling_rate=16_000, return_tensors="np").input_features[0]
        restored = pad(np.asarray(row["features"]).reshape(80, -1), 3000)
        np.testing.assert_allclose(restored.astype(np.float32), expected, rtol=2**-10, atol=1e-3)
        assert row["duration_s"] == pytest.approx(len(samples) / 16_000)
        checked += 1
    assert checked >= 46
    assert sorted(problem for problem in rows["problem"][:] if problem) == ["no_audio", "undecodable"]


def test_train_saves_a_model_that_learned_something(finished):
    before, after = (load_model(finished.folder / "data" / name) for name in ("pretrained", "model"))
    moved = {n for n, p in after.state_dict().items() if not torch.equal(p, before.state_dict()[n])}
    assert "model.decoder.embed_tokens.weight" in moved and "model.encoder.conv1.weight" in moved
    assert "model.encoder.embed_positions.weight" not in moved
    assert after.config.use_cache


def heard_by_transformers(folder):
    """Transcribe a recipe's test clips with the saved model alone and no setting of ours, 16 at a time."""
    ids = pd.read_csv(folder / "data/filtered/test.csv").id
    raw = {clip["id"]: clip["audio"] for clip in read_shards(folder / "data/raw") if clip["id"] in set(ids)}
    speech = pipeline("automatic-speech-recognition", model=str(folder / "data/model"))
    samples = [resample(*decode(raw[id])) for id in ids]
    return [heard["text"].strip() for heard in speech(samples, batch_size=16)]


@pytest.mark.parametrize("beams", [1, 2])
def test_the_saved_model_alone_gives_the_transcripts(finished, tmp_path, beams):
    """Of 20 ids at most, and of as many beams as `transcribe` uses; another number needs no training."""
    recipe = finished
    if beams > 1:
        recipe = Recipe(tmp_path, {"transcribe.num_beams": beams})
        recipe.share(finished)
        (recipe.folder / "data/trained").symlink_to(finished.folder / "data/trained")
        recipe.run("package")
        recipe.run("transcribe", "data/model", "data/transcripts/finetuned.jsonl")
    transcripts = lines(recipe.folder / "data/transcripts/finetuned.jsonl")
    assert any(transcript["hit_limit"] for transcript in transcripts)
    assert heard_by_transformers(recipe.folder) == [transcript["hypothesis"] for transcript in transcripts]


def test_train_writes_curves_and_figures_without_times(finished):
    metrics = finished.folder / "metrics"
    training, validation = (pd.read_csv(metrics / f"{n}_curve.csv") for n in ("training", "validation"))
    assert list(training.step) == [1, 2, 3, 4] and np.isfinite(training.loss).all()
    assert list(validation.step) == [2, 4] and np.isfinite(validation.wer).all()
    figures = json.loads((metrics / "train.json").read_text())
    lowest = validation.loc[validation.wer.idxmin()]
    kept = validation[validation.wer <= lowest.wer + lowest.standard_error].iloc[-1]
    assert figures["steps"] == 4 and figures["best_step"] == kept.step
    assert figures["validation"]["wer"] == pytest.approx(kept.wer, abs=0.01)
    assert not re.search("time|second|date", (metrics / "train.json").read_text())
    assert list(finished.folder.glob("checkpoints/*/finished"))
    assert not list(finished.folder.glob("checkpoints/*/*/optimizer.pt"))  # what takes the space


def test_the_saved_model_says_how_it_was_trained(finished):
    config = json.loads((finished.folder / "data/model/config.json").read_text())
    assert (config["padding"], config["full_window_fraction"]) == ("max_length", 0)


def test_transcribe_writes_a_line_for_every_test_row_in_order(finished):
    ids = pd.read_csv(finished.folder / "data/filtered/test.csv").id
    for name in ("pretrained", "finetuned"):
        transcripts = lines(finished.folder / f"data/transcripts/{name}.jsonl")
        assert [t["id"] for t in transcripts] == list(ids)
        assert all(0 < t["duration_s"] < 3 and t["reference"] for t in transcripts)
        assert all(t["n_ids"] <= 20 for t in transcripts)


def test_no_library_comments_on_how_it_is_asked_to_generate(finished):
    for model in ("pretrained", "finetuned"):
        assert re.fullmatch(r"(transcribe: .*\n)+", finished.output[model])
    assert "max_new_tokens" not in finished.output["train"]


def test_a_killed_training_goes_on_and_ends_the_same(finished, tmp_path):
    recipe = Recipe(tmp_path, {})
    recipe.share(finished)
    kill_in_pass(recipe, 3, "checkpoint-2/whole")
    output = recipe.run("train")
    assert "resuming from" in output and "checkpoint-2" in output
    for name in ("data/trained/model.safetensors", "metrics/training_curve.csv"):
        assert (recipe.folder / name).read_bytes() == (finished.folder / name).read_bytes()


def test_labels_are_smoothed_where_the_base_model_does_not_know_the_language(finished, tmp_path):
    weights = []
    for factor in ("auto", 0.1):
        (tmp_path / str(factor)).mkdir()
        recipe = Recipe(tmp_path / str(factor), {"train.label_smoothing_factor": factor})
        recipe.share(finished)
        recipe.run("train")
        weights.append((recipe.folder / "data/trained/model.safetensors").read_bytes())
        figures = json.loads((recipe.folder / "metrics/train.json").read_text())
        assert ("pretrained" in figures) == (factor == "auto")
        if factor == "auto":
            assert figures["pretrained"]["label_smoothing_factor"] == 0.1
            assert figures["pretrained"]["cer"] > 90 and figures["pretrained"]["compared"] == 8
    assert weights[0] == weights[1] != (finished.folder / "data/trained/model.safetensors").read_bytes()


def test_new_tokens_adapters_masks_and_speeds_together(finished, tmp_path):
    """Killed and taken up again, merged, saved, and read by transformers alone."""
    changes = {
        "model.extend_tokenizer": 8,
        "train.lora.r": 4,
        "train.learning_rate": 1e-2,
        "train.speed_perturbation": [0.9, 1.0, 1.1],
        "train.spec_augment.mask_time_prob": 0.1,
        "train.dropout": 0.1,
    }
    recipes = []
    for name in ("disturbed", "undisturbed"):
        (tmp_path / name).mkdir()
        recipe = Recipe(tmp_path / name, changes)
        recipe.share(finished)
        for made_anew in ("filtered", "tokenizer"):
            (recipe.folder / "data" / made_anew).unlink()
        recipe.run("filter")
        recipes.append(recipe)
    kill_in_pass(recipes[0], 3, "checkpoint-2/whole")
    for recipe in recipes:
        output = recipe.run("train")
    disturbed, undisturbed = (r.folder / "data/trained/model.safetensors" for r in recipes)
    assert disturbed.read_bytes() == undisturbed.read_bytes()
    assert re.search(r"\d+ examples of (\d+) rows", output)

    recipe.run("package")
    model = load_model(recipe.folder / "data/model")
    tokens = json.loads((recipe.folder / "data/tokenizer/new_tokens.json").read_text())
    new = [token["id"] for token in tokens]
    before = load_model(finished.folder / "data/pretrained")
    assert len(new) == 8 and model.config.vocab_size == before.config.vocab_size
    moved = (model.proj_out.weight != before.proj_out.weight).any(dim=1).nonzero().flatten().tolist()
    assert moved == sorted(new)

    recipe.run("transcribe", "data/model", "data/transcripts/finetuned.jsonl")
    transcripts = lines(recipe.folder / "data/transcripts/finetuned.jsonl")
    heard = [transcript["hypothesis"] for transcript in transcripts]
    rows = read_rows(finished.folder / "data/features", recipe.folder / "data/filtered/test.csv")
    features = np.stack([pad(log_mel_of(row, 80), 300) for row in rows]).astype(np.float32)
    ids = model.generate(torch.from_numpy(features))
    plain = WhisperProcessor.from_pretrained(recipe.folder / "data/model")
    assert [text.strip() for text in plain.batch_decode(ids, skip_special_tokens=True)] == heard


def test_a_sampling_rate_the_model_does_not_hear_is_refused(finished, tmp_path):
    recipe = Recipe(tmp_path, {"featurize.sampling_rate": 8000})
    recipe.share(finished)
    assert "hears 16000 Hz: set it to 16000" in recipe.fail("featurize")


def test_a_checkpoint_that_is_not_there_lists_the_ways_on(recipe):
    recipe.set({"pretrained.name": "nobody/no-whisper"})
    output = recipe.fail("pretrained")
    assert "nobody/no-whisper" in output and "make sample" in output and "pretrained.name=/path" in output


def test_other_weights_than_the_pinned_ones_are_refused(recipe):
    recipe.set({"pretrained.revision": "0" * 64})
    assert "sha256 is" in recipe.fail("pretrained")
    assert not (recipe.folder / "data/pretrained").exists()


def test_a_stage_before_its_input_says_what_to_run(recipe):
    assert "dvc repro" in recipe.fail("filter")
