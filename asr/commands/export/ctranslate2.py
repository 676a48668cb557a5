"""CTranslate2: made by its own converter, run by faster-whisper."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import ctranslate2
import numpy as np
import torch
from ctranslate2.converters import TransformersConverter
from faster_whisper import WhisperModel
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from asr.audio.log_mel import HOP_LENGTH, n_frames, own_frames
from asr.model import base_model
from asr.model.generation import DECODING
from asr.model.search import MAX_NEW_TOKENS
from asr.model.whisper import read_extractor

SETTINGS = "transcribe.json"


class Whisper(WhisperModel):
    """faster-whisper's model with the input that training had; docs/exports.md has a copy for users."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.max_length = 2 * MAX_NEW_TOKENS  # CTranslate2 reserves half of it for a prompt

    def transcribe(self, audio: np.ndarray, *, padding: str = "max_length", **settings) -> tuple:
        """Transcribe 16 kHz samples, padded with silence: to whole windows, or the last to its own length."""
        window, rest = self.feature_extractor.nb_max_frames, len(audio) % self.feature_extractor.n_samples
        frames = own_frames(n_frames(rest), window) if padding == "longest" else window
        return super().transcribe(np.pad(audio, (0, frames * HOP_LENGTH - rest if rest else 0)), **settings)

    def encode(self, features: np.ndarray) -> ctranslate2.StorageView:
        """Encode features without the zeros that faster-whisper has padded them with, to 30 s."""
        heard = np.flatnonzero(features.any(axis=tuple(range(features.ndim - 1))))
        return super().encode(features[..., : heard[-1] + 1])


def convert(model: Path, out: Path, language: str, task: str, padding: str, quantization: str) -> None:
    """Convert a model, and write the settings with which faster-whisper gives the original's transcripts.

    Parameters
    ----------
    quantization: how the weights are stored: float16 or int8
    """
    converter = TransformersConverter(str(model), copy_files=["tokenizer.json"])
    converter.convert(str(out), quantization=quantization, force=True)
    # faster-whisper does not read processor_config.json, where transformers 5 has the window's length and
    # the number of mel channels.
    read_extractor(model).save_pretrained(out)
    _call_multilingual(out / "vocabulary.json")
    settings = json.dumps(_settings(model, language, task) | {"padding": padding}, indent=1)
    (out / SETTINGS).write_text(settings + "\n", encoding="utf-8")


def load(folder: Path) -> tuple[Callable[[np.ndarray], str], str]:
    """Load an export in faster-whisper; returns a function from samples to text, and the compute type."""
    # Without this, it warns of every float16 that the CPU computes in float32. The table says so.
    ctranslate2.set_log_level(logging.ERROR)
    model = Whisper(str(folder), device="cpu", cpu_threads=torch.get_num_threads())
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))

    def hear(samples: np.ndarray) -> str:
        segments, _ = model.transcribe(samples, **settings)
        return " ".join(segment.text.strip() for segment in segments).strip()

    return hear, model.model.compute_type


def _settings(model: Path, language: str, task: str) -> dict:
    """Return arguments for `WhisperModel.transcribe` that decode as the original's `generate` does."""
    own = base_model.check(model, str(model), keep=DECODING).settings
    return {
        "language": TO_LANGUAGE_CODE.get(language.lower(), language.lower()),  # or it is detected
        "task": task,
        "beam_size": own.num_beams or 1,
        "temperature": 0.0,  # no second try at a higher temperature
        "no_speech_threshold": None,  # fine-tuning does not train the no-speech token
        "condition_on_previous_text": False,
        "without_timestamps": True,  # as in training
        "suppress_tokens": own.suppress_tokens or [],
    }


def _call_multilingual(vocabulary: Path) -> None:
    """Mark a vocabulary as multilingual for CTranslate2, which looks for an empty token.

    Whisper's own vocabulary has one. The sample's has none, so CTranslate2 would leave the language out of
    the prompt; here a token that is never generated is renamed. faster-whisper reads tokenizer.json instead.
    """
    tokens = json.loads(vocabulary.read_text(encoding="utf-8"))
    if "" not in tokens:
        tokens[tokens.index("<|startoflm|>")] = ""
        vocabulary.write_text(json.dumps(tokens, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
