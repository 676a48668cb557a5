import copy

import numpy as np
import pytest
import torch
from datasets import Dataset, Features

from asr.audio.log_mel import joined, log_mel, n_frames
from asr.model.whisper import load_model, load_processor
from asr.tables.corpus import RAW_FEATURES
from asr.tables.features import FEATURES
from asr.tables.rows import read_rows
from asr.training.batches import NO_LOSS, PAUSE, Collator, EpochSampler, Examples, frames_alone
from tests.recipes import REPOSITORY
from tests.test_audio import encoded, speechlike

BASE = REPOSITORY / "sample/base"
SENTENCES = ["ދިވެހި ބަސް", "އެއް [noise]", ""]
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
    return Examples(*tables(mel_filters), mel_filters, 3, speeds, True)


@pytest.mark.parametrize("keep_tags", [True, False])
def test_tags_are_kept_or_dropped(processor, keep_tags):
    mel_filters = processor.feature_extractor.mel_filters
    found = Examples(*tables(mel_filters), mel_filters, 3, [1.0], keep_tags)
    assert found[1, 300]["sentence"] == ("އެއް [noise]" if keep_tags else "އެއް")


def example(n_frames, sentence, frames):
    features = np.random.default_rng(n_frames).standard_normal((80, n_frames)).astype(np.float16)
    return {"features": features, "sentence": sentence, "frames": frames}


def texts(batch, tokenizer):
    labels = batch["labels"].where(batch["labels"] != NO_LOSS, tokenizer.pad_token_id)
    return tokenizer.batch_decode(labels, skip_special_tokens=True)


def test_a_batch_is_padded_to_its_longest_clip_and_masked_by_length(config, processor):
    one, two = example(120, SENTENCES[0], 180), example(200, SENTENCES[1], 260)
    batch = Collator(config, processor.tokenizer, 300)([one, two])
    assert batch["input_features"].shape == (2, 80, 260) and batch["input_features"].dtype == torch.float32
    assert texts(batch, processor.tokenizer) == SENTENCES[:2]
    ends = (batch["labels"] == processor.tokenizer.eos_token_id).sum(dim=1)
    assert ends.tolist() == [1, 1]  # where padding has the same id, and no loss
    assert batch["attention_mask"].sum(dim=1).tolist() == [120, 200]
    assert batch["attention_mask"][0, :120].all()
    np.testing.assert_array_equal(batch["input_features"][0, :, :120], one["features"].astype(np.float32))
    assert batch["input_features"][0, :, 120:].unique().numel() == 1


def test_joined_clips_share_windows_in_their_order(config, processor):
    clips = [example(120, "އެއް", None), example(130, "ދޭއް", None), example(40, "ތިނެއް", None)]
    batch = Collator(config, processor.tokenizer, 300)(clips)
    assert texts(batch, processor.tokenizer) == ["އެއް ދޭއް", "ތިނެއް"]
    assert batch["input_features"].shape == (2, 80, 300)
    assert batch["attention_mask"].sum(dim=1).tolist() == [120 + PAUSE + 130, 40]
    expected = joined([clips[0]["features"], clips[1]["features"]], PAUSE).astype(np.float32)
    np.testing.assert_array_equal(batch["input_features"][0, :, : 250 + PAUSE], expected)


def test_joined_labels_fit_the_decoder(config, processor):
    config = copy.copy(config)
    n_ids = len(processor.tokenizer("އެއް ދޭއް").input_ids[1:])
    clips = [example(20, "އެއް", None), example(20, "ދޭއް", None)]
    for limit, windows in ((n_ids, 1), (n_ids - 1, 2)):
        config.max_target_positions = limit
        assert len(Collator(config, processor.tokenizer, 300)(clips)["labels"]) == windows


def test_the_decoder_sees_exactly_one_start_token(config, processor):
    tokenizer = processor.tokenizer
    rows = examples(processor, [1.0])
    batch = Collator(config, tokenizer, 300)([rows[0, 300], rows[1, 300]])
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
    for number, row in enumerate(at_speeds.item_rows):
        item = at_speeds[number, 300]
        assert abs(item["features"].shape[1] - at_speeds.n_frames[number]) <= 1
        assert item["sentence"] == SENTENCES[row]
    assert at_speeds.n_frames.tolist() == [
        n_frames(round(SECONDS[row] * 16_000 / speed))
        for row, speed in zip(at_speeds.item_rows, at_speeds.item_speeds, strict=True)
    ]


def test_a_faster_clip_is_a_higher_one(processor):
    """Speed, not tempo: a tone of 440 Hz played at 1.25 is one of 550 Hz."""

    def loudest_channel(features):
        return int(features.astype(np.float32).mean(axis=1).argmax())

    mel_filters = processor.feature_extractor.mel_filters
    rows, raw = tables(mel_filters)
    time = np.arange(16_000) / 16_000
    tones = {hz: np.sin(2 * np.pi * hz * time).astype(np.float32) * 0.5 for hz in (440, 550)}
    raw = as_dataset([raw[0] | {"audio": encoded(tones[440], 16_000, **WAV)}], RAW_FEATURES)
    fast = Examples(rows.select([0]), raw, mel_filters, 3, [1.25], False)[0, 300]["features"]
    assert loudest_channel(fast) == loudest_channel(log_mel(tones[550], mel_filters))
    assert loudest_channel(fast) != loudest_channel(log_mel(tones[440], mel_filters))


def sampler_of(frames, batch, seed=1, joined=0.0, speakers=None):
    speakers = np.zeros(len(frames), int) if speakers is None else speakers
    return EpochSampler(np.asarray(frames), speakers, batch, seed, joined)


def items(sampler, epoch=0):
    sampler.set_epoch(epoch)
    return [item for item, _ in sampler]


def test_an_epoch_is_a_new_shuffle_of_whole_global_batches():
    sampler = sampler_of([300] * 22, 8)
    epochs = [items(sampler, epoch) for epoch in range(3)]
    assert len(sampler) == 16 and all(len(set(epoch)) == 16 for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert len(set(epochs[0] + epochs[1] + epochs[2])) == 22  # who is left out changes
    assert items(sampler_of([300] * 22, 8), 2) == epochs[2]
    assert items(sampler_of([300] * 22, 8, seed=2)) != epochs[0]


def test_a_corpus_smaller_than_a_global_batch_is_repeated():
    order = items(sampler_of([300] * 3, 8))
    assert len(order) == 8 and set(order) == {0, 1, 2}


def test_a_global_batch_has_clips_of_similar_length_and_is_padded_to_its_longest():
    lengths = np.random.default_rng(0).integers(10, 60, 800) * 20
    order = list(sampler_of(lengths, 4))
    assert sorted(item for item, _ in order) == list(range(800))
    batches = [order[at : at + 4] for at in range(0, 800, 4)]
    for batch in batches:
        assert {frames for _, frames in batch} == {max(lengths[item] for item, _ in batch)}
    padded = sum(frames for _, frames in order) / lengths.sum()
    assert padded < 1.05 < lengths.max() / lengths.mean()
    ends = [frames for _, frames in order[::4]]
    assert ends != sorted(ends)  # the batches are in a random order


def test_a_share_of_the_batches_is_joined_speaker_by_speaker():
    speakers = np.arange(60) % 5
    sampler = sampler_of([100] * 60, 4, joined=0.1, speakers=speakers)
    joined = []
    for epoch in range(20):
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert sorted(item for item, _ in order) == list(range(60))
        joined.append([item for item, frames in order if frames is None])
    assert sum(map(len, joined)) == 20 * 60 * 0.1
    for of_epoch in joined:
        assert len(set(speakers[of_epoch])) <= 1  # twelve clips a speaker, of which at most eight are joined


def test_frames_of_a_clip_alone(config):
    lengths = np.array([1, 100, 131, 300])
    assert frames_alone(lengths, config, 300, "longest").tolist() == [100, 150, 200, 300]
    assert frames_alone(lengths, config, 300, "max_length").tolist() == [300] * 4
    masked = copy.copy(config)
    masked.mask_time_length = 90
    assert frames_alone(lengths, masked, 300, "longest").tolist() == [150, 150, 200, 300]
