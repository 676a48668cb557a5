"""CTranslate2: its own converter, and faster-whisper to listen with."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import ctranslate2
import numpy as np
import torch
from ctranslate2.converters import TransformersConverter
from faster_whisper import WhisperModel
from transformers import GenerationConfig, WhisperFeatureExtractor
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from asr.commands.transcribe.cli import MAX_IDS

SETTINGS = "transcribe.json"


class Whisper(WhisperModel):
    """faster-whisper's model, given what it was trained on; docs/exports.md has this class, to be copied."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.max_length = 2 * MAX_IDS  # CTranslate2 ends after half of it, as if a prompt took the other half

    def transcribe(self, audio: np.ndarray, **settings) -> tuple:
        """Transcribe 16 kHz samples, with silence up to a whole window: faster-whisper's padding is none."""
        missing = -len(audio) % self.feature_extractor.n_samples
        return super().transcribe(np.pad(audio, (0, missing)), **settings)

    def encode(self, features: np.ndarray) -> ctranslate2.StorageView:
        """Encode what faster-whisper has padded to 30 s, without what is past the model's window."""
        return super().encode(features[..., : self.feature_extractor.nb_max_frames])


def convert(model: Path, out: Path, language: str, task: str, quantization: str) -> None:
    """Convert a model, and write beside it what faster-whisper needs to hear what the original hears.

    Parameters
    ----------
    quantization: in which the weights are stored: float16, int8
    """
    converter = TransformersConverter(str(model), copy_files=["tokenizer.json"])
    converter.convert(str(out), quantization=quantization, force=True)
    # The length of the window and the number of mel channels: transformers 5 has them in
    # processor_config.json, which faster-whisper does not look for.
    WhisperFeatureExtractor.from_pretrained(model).save_pretrained(out)
    _call_multilingual(out / "vocabulary.json")
    settings = json.dumps(_settings(model, language, task), indent=1)
    (out / SETTINGS).write_text(settings + "\n", encoding="utf-8")


def load(folder: Path) -> tuple[Callable[[np.ndarray], str], str]:
    """Load an export in faster-whisper; returns what hears a piece, and the type that it computes in."""
    # Without this, it warns of each float16 that a CPU computes in float32; the table says so.
    ctranslate2.set_log_level(logging.ERROR)
    model = Whisper(str(folder), device="cpu", cpu_threads=torch.get_num_threads())
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))

    def hear(samples: np.ndarray) -> str:
        segments, _ = model.transcribe(samples, **settings)
        return " ".join(segment.text.strip() for segment in segments).strip()

    return hear, model.model.compute_type


def _settings(model: Path, language: str, task: str) -> dict:
    """Return the arguments with which `WhisperModel.transcribe` does what the original's `generate` does."""
    return {
        "language": TO_LANGUAGE_CODE.get(language.lower(), language.lower()),  # or it guesses
        "task": task,
        "beam_size": 1,
        "temperature": 0.0,  # no second try where the first is unsure
        "no_speech_threshold": None,  # training has not kept the token that tells silence
        "condition_on_previous_text": False,
        "without_timestamps": True,  # the pipeline trains without them
        "suppress_tokens": GenerationConfig.from_pretrained(model).suppress_tokens or [],
    }


def _call_multilingual(vocabulary: Path) -> None:
    """Let CTranslate2 see that a model writes several languages, by an empty token such as Whisper's have.

    The sample's has none, and would get no language in its prompt. There the name of a token that is never
    written makes room; faster-whisper spells texts and prompts by tokenizer.json.
    """
    tokens = json.loads(vocabulary.read_text(encoding="utf-8"))
    if "" not in tokens:
        tokens[tokens.index("<|startoflm|>")] = ""
        vocabulary.write_text(json.dumps(tokens, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
