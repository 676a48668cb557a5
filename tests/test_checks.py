"""Checkpoints that contradict themselves, each with the line that names it, and those that only look odd."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from asr.model import base_model, generation, whisper
from tests.recipes import REPOSITORY

BASE = REPOSITORY / "sample/base"
CONFIG, SETTINGS, EXTRACTOR = "config.json", "generation_config.json", "processor_config.json"
EMBEDDINGS = "model.decoder.embed_tokens.weight"


@pytest.fixture
def folder(tmp_path):
    """A checkpoint, to change it."""
    return shutil.copytree(BASE, tmp_path / "model")


def load(folder):
    return base_model.load(base_model.check(folder, "given"))


def change(folder, name, **values):
    """Set values in a JSON file, or remove them where they are None."""
    said = json.loads((folder / name).read_text()) | values
    (folder / name).write_text(json.dumps({key: value for key, value in said.items() if value is not None}))


def change_weight(folder, name, changed):
    weights = load_file(folder / "model.safetensors")
    weights[name] = changed(weights[name])
    weights = {name: weight for name, weight in weights.items() if weight is not None}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    "file, values, message",
    [
        (CONFIG, {"vocab_size": 10**9}, rf"embed_tokens.weight is \[396, 128\] in .* \[{10**9}, 128\] by"),
        (CONFIG, {"vocab_size": 395}, r"embed_tokens.weight is \[396, 128\]"),
        (CONFIG, {"d_model": 2**31 - 4}, "config.json cannot be read .*overflow"),
        (CONFIG, {"d_model": 10**30}, "a size is not a whole number"),
        (CONFIG, {"encoder_layers": 10**8}, "describes 100000000 layers, but there are 8"),
        (CONFIG, {"encoder_layers": 3}, "15 weights are missing, such as encoder.layers.2"),
        (CONFIG, {"decoder_layers": -1}, "a size is not a whole number"),
        (CONFIG, {"max_source_positions": 1500}, "chunk_length of the feature extractor is 3, but .* 30"),
        (CONFIG, {"encoder_attention_heads": 3}, "config.json cannot be read .*divisible"),
        (CONFIG, {"d_model": "128"}, "config.json cannot be read"),
        (CONFIG, {"model_type": "bert"}, "of type 'bert', expected a Whisper"),
        (CONFIG, {"model_type": None}, "of type None"),
        (CONFIG, {"quantization_config": {"load_in_8bit": True}}, "quantized"),
        (SETTINGS, {"is_multilingual": False}, "for English only"),
        (SETTINGS, {"task_to_id": {"transcribe": 390}}, r"\['transcribe'\] is 390, but 391 in"),
        (SETTINGS, {"lang_to_id": {"<|si|>": 354, "<|dv|>": 396}}, "is 396, but None(.|\n)*354"),
        (SETTINGS, {"lang_to_id": [1]}, r"lang_to_id is \[1\]"),
        (SETTINGS, {"lang_to_id": {"<|si|>": [1]}}, "generation_config.json cannot be read"),
        (SETTINGS, {"no_timestamps_token_id": 394}, "no_timestamps_token_id is 394, but 395"),
        (SETTINGS, {"decoder_start_token_id": 288}, "decoder_start_token_id is 288, but 289"),
        (SETTINGS, {"suppress_tokens": [1, 396]}, "expected ids below 396"),
        (SETTINGS, {"begin_suppress_tokens": "220"}, "begin_suppress_tokens is '220'"),
        (EXTRACTOR, {"feature_extractor": {"feature_size": 10**9}}, f"feature_size .* is {10**9}, but .* 80"),
        (EXTRACTOR, {"feature_extractor": {"sampling_rate": 8000}}, "is 8000, but Whisper's is 16000"),
    ],
)
def test_a_contradiction_is_named(folder, file, values, message):
    change(folder, file, **values)
    with pytest.raises(ValueError, match=rf"given cannot be used(.|\n)*{message}"):
        load(folder)


@pytest.mark.parametrize("name", [CONFIG, SETTINGS, EXTRACTOR, "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("text", ["[]", "{", "[" * 100_000, '"x"', "null"])
def test_a_file_that_holds_something_else_is_named(folder, name, text):
    (folder / name).write_text(text)
    with pytest.raises((ValueError, OSError), match=name):
        load(folder)


def test_all_contradictions_are_named_at_once(folder):
    change(folder, CONFIG, num_mel_bins=128)
    change(folder, SETTINGS, no_timestamps_token_id=394)
    with pytest.raises(ValueError) as error:
        load(folder)
    for part in ("conv1.weight is [128, 80, 3]", "feature_size", "no_timestamps_token_id"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    "name, changed, message",
    [
        (EMBEDDINGS, lambda weight: None, "1 weights are missing, such as decoder.embed_tokens.weight"),
        (EMBEDDINGS, lambda weight: weight.to(torch.int8), "stored as I8: take .* not quantized"),
        (EMBEDDINGS, lambda weight: weight.to(torch.float8_e4m3fn), "stored as F8_E4M3"),
        (EMBEDDINGS, lambda weight: weight.index_fill(0, torch.tensor(7), torch.nan), "1 weights hold NaN"),
        ("model.encoder.conv1.bias", lambda weight: weight.half() / 0, "1 weights hold NaN or infinity"),
    ],
)
def test_weights_that_nothing_can_be_done_with(folder, name, changed, message):
    change_weight(folder, name, changed)
    with pytest.raises(ValueError, match=message):
        load(folder)


def test_a_tokenizer_of_another_size_is_another_models(folder):
    (folder / SETTINGS).unlink()
    change(folder, CONFIG, vocab_size=397)
    change_weight(folder, EMBEDDINGS, lambda weight: torch.cat([weight, weight[:1]]))
    with pytest.raises(ValueError, match="the model has 397 ids, but its tokenizer has 396"):
        load(folder)


def test_an_adapter_alone_is_to_be_merged(folder):
    (folder / "model.safetensors").unlink()
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match="holds an adapter .* merge it first"):
        load(folder)


@pytest.mark.parametrize(
    "names, message",
    [
        (["tokenizer.json", "tokenizer_config.json"], r"the tokenizer has no <\|startoftranscript\|>"),
        ([EXTRACTOR], "no preprocessor_config.json and no processor_config.json"),
        ([CONFIG], "config.json"),
    ],
)
def test_files_that_are_missing(folder, names, message):
    for name in names:
        (folder / name).unlink()
    with pytest.raises((ValueError, FileNotFoundError), match=f"given cannot be used(.|\n)*{message}"):
        load(folder)


def test_ids_come_from_the_tokenizer_where_a_checkpoint_does_not_say_them(folder):
    """Those of 2022 and 2023."""
    said = json.loads((BASE / SETTINGS).read_text())
    whole, _ = load(folder)
    (folder / SETTINGS).unlink()
    change(folder, CONFIG, decoder_start_token_id=None, suppress_tokens=[1, 2])
    model, processor = load(folder)
    whisper.save(model, processor, folder.with_name("stored"))
    stored = json.loads((folder.with_name("stored") / SETTINGS).read_text())
    assert stored == said | {"suppress_tokens": [1, 2]}
    assert model.config.decoder_start_token_id == whole.config.decoder_start_token_id == 289


ODD = {
    "num_beams": 5, "max_length": 225, "do_sample": True, "temperature": [0.0, 0.2],
    "repetition_penalty": 1.3, "no_repeat_ngram_size": 3, "return_timestamps": True,
    "no_speech_threshold": 0.6, "logprob_threshold": -1.0, "compression_ratio_threshold": 1.35,
    "return_dict_in_generate": True, "forced_decoder_ids": [[1, 290]], "custom\u001b": "x",
}  # fmt: skip


def test_settings_that_would_decide_texts_are_set_aside_and_named(folder, caplog):
    before, _ = load(folder)
    change(folder, SETTINGS, **ODD)
    with caplog.at_level("INFO", "asr"):
        model, _ = load(folder)
    assert model.generation_config.to_dict() == before.generation_config.to_dict()
    assert all(f"{name!r}" in caplog.text for name in ODD) and "\u001b" not in caplog.text
    heard = model.generate(torch.zeros(1, 80, 300), language="si", task="transcribe", max_new_tokens=3)
    assert torch.is_tensor(heard)


def test_what_a_fine_tuned_model_says_of_itself_is_kept(folder):
    change(folder, SETTINGS, language="sinhala", task="transcribe", num_beams=3, top_k=5)
    kept = base_model.check(folder, "given", keep=generation.DECODING).settings
    assert (kept.language, kept.task, kept.num_beams, kept.top_k) == ("sinhala", "transcribe", 3, None)
