import numpy as np
import pytest
import torch
from datasets import Dataset, Features

from asr.audio.log_mel import log_mel, n_frames
from asr.model.whisper import load_model, load_processor
from asr.tables.corpus import RAW_FEATURES
from asr.tables.features import FEATURES
from asr.tables.rows import read_rows
from asr.training.batches import NO_LOSS, Collator, EpochSampler, Examples
from tests.recipes import REPOSITORY
from tests.test_audio import encoded, speechlike

BASE = REPOSITORY / "sample/base"
SENTENCES = ["ދިވެހި ބަސް", "އެއް", ""]
SECONDS = [1.0, 2.8, 0.5]
WAV = {"format": "WAV", "subtype": "FLOAT"}


@pytest.fixture(scope="module")
def config():
    return load_model(BASE).config


@pytest.fixture(scope="module")
def processor():
    return load_processor(BASE, "sinhalese", "transcribe")


def as_dataset(rows, schema):
    return Dataset.from_list(rows, Features.from_arrow_schema(schema))


def tables(mel_filters):
    """A corpus of three clips as `download` and as `featurize` write it."""
    rows, raw = [], []
    for number, (sentence, seconds) in enumerate(zip(SENTENCES, SECONDS, strict=True)):
        samples = speechlike(int(seconds * 16_000))
        clip = {name: "" for name in RAW_FEATURES.names} | {"id": f"{number}.wav", "sentence": sentence}
        features = log_mel(samples, mel_filters).astype(np.float16).reshape(-1)
        row = {name: clip.get(name, "") for name in FEATURES.names}
        rows.append(row | {"duration_s": seconds, "features": features})
        raw.append(clip | {"audio": encoded(samples, 16_000, **WAV)})
    return as_dataset(rows, FEATURES), as_dataset(raw, RAW_FEATURES)


def examples(processor, speeds):
    mel_filters = processor.feature_extractor.mel_filters
    return Examples(*tables(mel_filters), processor.tokenizer, mel_filters, 3, speeds)


def example(n_frames, labels):
    features = np.random.default_rng(n_frames).standard_normal((80, n_frames)).astype(np.float16)
    return {"features": features, "labels": labels}


def test_a_batch_is_padded_to_the_window_and_masked_by_length(config):
    batch = Collator(config, 300)([example(120, [7, 9, 264]), example(300, [7, 264, 264, 5, 264])])
    assert batch["input_features"].shape == (2, 80, 300) and batch["input_features"].dtype == torch.float32
    assert batch["labels"].tolist() == [[7, 9, 264, NO_LOSS, NO_LOSS], [7, 264, 264, 5, 264]]
    assert batch["attention_mask"].sum(dim=1).tolist() == [120, 300]
    assert batch["attention_mask"][0, :120].all()
    np.testing.assert_array_equal(
        batch["input_features"][0, :, :120], example(120, [])["features"].astype(np.float32)
    )
    assert batch["input_features"][0, :, 120:].unique().numel() == 1


def test_the_decoder_sees_exactly_one_start_token(config, processor):
    tokenizer = processor.tokenizer
    rows = examples(processor, [1.0])
    batch = Collator(config, 300)([rows[0], rows[1]])
    start = tokenizer.convert_tokens_to_ids("<|startoftranscript|>")
    inputs = batch["decoder_input_ids"]
    assert (inputs[:, 0] == start).all() and (inputs == start).sum() == 2
    assert tokenizer.convert_ids_to_tokens(inputs[0, 1:4]) == ["<|si|>", "<|transcribe|>", "<|notimestamps|>"]
    assert inputs[0, 1:].tolist() == batch["labels"][0, :-1].tolist()
    assert tokenizer.decode(batch["labels"][0], skip_special_tokens=True) == SENTENCES[0]


def test_rows_are_opened_by_number_and_checked_by_id(finished, tmp_path):
    table = finished.folder / "data/filtered/train.csv"
    rows, raw = (read_rows(finished.folder / "data" / name, table) for name in ("features", "raw"))
    assert rows["id"][:] == raw["id"][:] and rows["sentence"][:] == raw["sentence"][:]
    other = tmp_path / "other.csv"
    other.write_text("row,id\n0,not-this-one\n")
    with pytest.raises(AssertionError, match="run `dvc repro`"):
        read_rows(finished.folder / "data/features", other)


def test_every_row_comes_once_at_every_speed_but_not_over_the_window(processor):
    at_speeds = examples(processor, [0.9, 1.0, 1.1])
    assert len(at_speeds) == 3 + 3 + 3 - 1  # 2.8 s at 0.9 would be 3.1 s
    for item, row, speed in zip(at_speeds, at_speeds.item_rows, at_speeds.item_speeds, strict=True):
        expected = n_frames(round(SECONDS[row] * 16_000 / speed))
        assert abs(item["features"].shape[1] - expected) <= 1
        assert item["labels"] == examples(processor, [1.0])[row]["labels"]


def test_a_faster_clip_is_a_higher_one(processor):
    """Speed, not tempo: a tone of 440 Hz played at 1.25 is one of 550 Hz."""

    def loudest_channel(features):
        return int(features.astype(np.float32).mean(axis=1).argmax())

    mel_filters = processor.feature_extractor.mel_filters
    rows, raw = tables(mel_filters)
    time = np.arange(16_000) / 16_000
    tones = {hz: np.sin(2 * np.pi * hz * time).astype(np.float32) * 0.5 for hz in (440, 550)}
    raw = as_dataset([raw[0] | {"audio": encoded(tones[440], 16_000, **WAV)}], RAW_FEATURES)
    fast = Examples(rows.select([0]), raw, processor.tokenizer, mel_filters, 3, [1.25])[0]["features"]
    assert loudest_channel(fast) == loudest_channel(log_mel(tones[550], mel_filters))
    assert loudest_channel(fast) != loudest_channel(log_mel(tones[440], mel_filters))


def test_an_epoch_is_a_new_shuffle_of_whole_global_batches():
    sampler = EpochSampler(22, 8, seed=1)
    epochs = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
    assert len(sampler) == 16 and all(len(set(epoch)) == 16 for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert len(set(epochs[0] + epochs[1] + epochs[2])) == 22  # who is left out changes
    again = EpochSampler(22, 8, seed=1)
    again.set_epoch(2)
    assert list(again) == epochs[2] and list(EpochSampler(22, 8, seed=2)) != epochs[0]


def test_a_corpus_smaller_than_a_global_batch_is_repeated():
    order = list(EpochSampler(3, 8, seed=1))
    assert len(order) == 8 and set(order) == {0, 1, 2}
