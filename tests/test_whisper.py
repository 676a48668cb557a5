import pytest
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor, pipeline

from asr.model import whisper
from tests.recipes import REPOSITORY
from tests.test_audio import speechlike

BASE = REPOSITORY / "sample/base"
GENERATE = {"language": "sinhalese", "task": "transcribe", "max_new_tokens": 9}


def load(language="sinhalese"):
    return whisper.load_model(BASE), whisper.load_processor(BASE, language, "transcribe")


def test_the_base_model_is_what_the_sample_says():
    model, _ = load()
    assert model.num_parameters() <= 2_000_000
    assert (BASE / "model.safetensors").stat().st_size <= 5_000_000
    assert whisper.window_s(model) == 3 and whisper.window_frames(model) == 300
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_labels_begin_with_language_and_task():
    _, processor = load()
    ids = processor.tokenizer("ދިވެހި").input_ids
    tokens = processor.tokenizer.convert_ids_to_tokens(ids)
    assert tokens[:4] == ["<|startoftranscript|>", "<|si|>", "<|transcribe|>", "<|notimestamps|>"]
    assert tokens[-1] == "<|endoftext|>"
    assert processor.tokenizer.decode(ids, skip_special_tokens=True) == "ދިވެހި"


def test_a_model_may_write_tags_whose_ids_are_suppressed():
    model, processor = load()
    bracket, at = processor.tokenizer("[@", add_special_tokens=False).input_ids
    model.generation_config.suppress_tokens = [bracket, at]
    whisper.allow(model, processor.tokenizer, ["[noise]"])
    assert model.generation_config.suppress_tokens == [at]


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match="no language 'dhivehi'.* sinhalese"):
        load("dhivehi")


@torch.no_grad()
def test_the_encoder_takes_any_length_as_a_model_with_that_window(tmp_path):
    model, processor = load()
    model.eval()
    features = torch.randn(2, 80, 200)
    assert model.model.encoder(torch.randn(2, 80, 300)).last_hidden_state.shape == (2, 150, 128)
    ids = [
        model.generate(encoder_outputs=model.get_encoder()(features), num_beams=beams, **GENERATE)
        for beams in (1, 2)
    ]
    heard = model.get_encoder()(features).last_hidden_state
    assert whisper.window_s(model) == 3
    whisper.save(model, processor, tmp_path / "whole")
    saved = WhisperForConditionalGeneration.from_pretrained(tmp_path / "whole")
    assert saved.config.max_source_positions == 150

    whisper.shorten_window(model, processor, 2)
    whisper.save(model, processor, tmp_path / "short")
    plain = WhisperForConditionalGeneration.from_pretrained(tmp_path / "short").eval()
    torch.testing.assert_close(plain.get_encoder()(features).last_hidden_state, heard)
    for beams, of_beams in zip((1, 2), ids, strict=True):
        assert torch.equal(plain.generate(features, num_beams=beams, **GENERATE), of_beams)


def test_a_shorter_window_loads_again(tmp_path):
    model, processor = load()
    before = model.model.encoder.embed_positions.weight[:100].clone()
    whisper.shorten_window(model, processor, 2)
    whisper.set_language(model, "sinhalese", "transcribe")
    assert torch.equal(model.model.encoder.embed_positions.weight, before)
    whisper.save(model, processor, tmp_path)

    assert whisper.window_s(whisper.load_model(tmp_path)) == 2
    extractor = WhisperProcessor.from_pretrained(tmp_path).feature_extractor
    assert extractor(speechlike(8_000), sampling_rate=16_000).input_features.shape == (1, 80, 200)
    text = pipeline("automatic-speech-recognition", model=str(tmp_path))(speechlike(16_000))["text"]
    assert isinstance(text, str)


@pytest.mark.parametrize(("padding", "frames"), [("longest", 200), ("max_length", 300), (None, 300)])
def test_clips_are_padded_as_the_model_says(tmp_path, padding, frames):
    model, processor = load()
    if padding:
        model.config.padding = padding
    whisper.save(model, processor, tmp_path)
    model = whisper.load_model(tmp_path)
    assert whisper.padded_frames(model, 120) == frames


def test_a_longer_window_than_the_models_is_refused():
    model, processor = load()
    with pytest.raises(ValueError, match="set model.audio_window_s to 3 or less"):
        whisper.shorten_window(model, processor, 30)


def test_the_same_window_changes_nothing():
    model, processor = load()
    before = model.model.encoder.embed_positions.weight.clone()
    whisper.shorten_window(model, processor, 3)
    assert torch.equal(model.model.encoder.embed_positions.weight, before)
    assert not model.model.encoder.embed_positions.weight.requires_grad  # sinusoids stay as they are


def test_a_model_that_transcribes_writes_the_same_with_its_output_layer_packed(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    plain, packed = whisper.load_model(BASE), whisper.load_for_transcription(BASE)
    assert type(packed.proj_out) is not type(plain.proj_out)
    features = torch.randn(3, 80, 300, generator=torch.Generator().manual_seed(3))
    ids = [model.eval().generate(features, **GENERATE) for model in (plain, packed)]
    assert torch.equal(*ids) and ids[0].shape[1] > 4
    hidden = torch.randn(3, 2, 128, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(packed.proj_out(hidden), plain.proj_out(hidden), rtol=1e-5, atol=1e-5)
