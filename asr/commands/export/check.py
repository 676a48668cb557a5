"""Measure an export: its error rates on the recipe's test clips, its speed and its size.

All formats run on the CPU, one clip at a time, with as many threads as PyTorch takes.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset

from asr.audio.decode import decode, resample
from asr.audio.log_mel import FRAMES_PER_SECOND, HOP_LENGTH, SAMPLE_RATE, log_mel, n_frames, pad
from asr.decoding import n_pieces, split_at_pauses
from asr.model import base_model, whisper
from asr.model.generation import DECODING
from asr.model.search import MAX_NEW_TOKENS
from asr.runtime.progress import tracked
from asr.scoring.rates import error_rates
from asr.tables.rows import read_rows

Listener = Callable[[np.ndarray], str]  # from float32 samples at 16 kHz, at most a window of them, to text


@dataclass(frozen=True)
class Utterance:
    """A test clip in pieces that fit the model's window, and its reference."""

    pieces: list[np.ndarray]  # float32, 16 kHz
    reference: str


@dataclass(frozen=True)
class Measured:
    """The measurements of one format."""

    format: str
    megabytes: float  # 10^6 bytes, all files
    wer: float  # percent
    cer: float  # percent
    seconds_per_clip: float  # from samples to text
    clips: int
    computed_in: str  # a type; most CPUs compute in float32 what is stored in float16


def open_rows(recipe: Path, limit: int | None) -> Dataset:
    """Open a recipe's test clips, or `limit` of them, evenly spaced.

    Raises
    ------
    FileNotFoundError: the recipe has no test clips yet.
    """
    test = recipe / "data/filtered/test.csv"
    if not test.exists():
        raise FileNotFoundError(f"no {test}: run `dvc repro` or `dvc pull` in the recipe's folder")
    rows = read_rows(recipe / "data/raw", test)
    if limit is None or limit >= len(rows):
        return rows
    return rows.select(np.linspace(0, len(rows) - 1, limit).round().astype(int))


def read_clips(rows: Dataset, window_s: int, mel_filters: np.ndarray) -> Iterator[Utterance]:
    """Decode and resample clips as `featurize` does, and cut them as `transcribe` does."""
    for row in rows:
        samples = resample(*decode(row["audio"]))
        yield Utterance(_cut(samples, window_s, mel_filters), row["sentence"])


def _cut(samples: np.ndarray, window_s: int, mel_filters: np.ndarray) -> list[np.ndarray]:
    count = n_pieces(n_frames(len(samples)), window_s * FRAMES_PER_SECOND)
    if count == 1:
        return [samples[: window_s * SAMPLE_RATE]]
    parts = split_at_pauses(log_mel(samples, mel_filters), count, window_s * FRAMES_PER_SECOND)
    ends = np.cumsum([part.shape[1] for part in parts[:-1]]) * HOP_LENGTH
    return np.split(samples, ends)


def original(folder: Path, language: str, task: str, padding: str) -> Listener:
    """Load the model to export in transformers, in float32. It hears clips padded as the exports do."""
    checkpoint = base_model.check(folder, str(folder), keep=DECODING)
    model, processor = base_model.load(checkpoint, torch.float32)
    model.eval().config.padding = padding

    def hear(samples: np.ndarray) -> str:
        # As data/features holds them.
        features = log_mel(samples, processor.feature_extractor.mel_filters).astype(np.float16)
        padded = pad(features, whisper.padded_frames(model, features.shape[1]))[None].astype(np.float32)
        with torch.inference_mode():
            ids = model.generate(
                encoder_outputs=model.get_encoder()(torch.from_numpy(padded)),  # features it would pad itself
                language=language,
                task=task,
                return_timestamps=False,
                max_new_tokens=MAX_NEW_TOKENS,
                num_beams=checkpoint.settings.num_beams or 1,
            )
        return processor.tokenizer.decode(ids[0], skip_special_tokens=True).strip()

    return hear


def measure(
    format: str, folder: Path, hear: Listener, computed_in: str, clips: Iterator[Utterance], n_clips: int
) -> Measured:
    """Transcribe all clips in one format. The first clip runs twice, because the first run allocates."""
    references, hypotheses, seconds = [], [], 0.0
    with tracked(n_clips, "clips", "export") as advance:
        for clip in clips:
            if not references:
                hear(clip.pieces[0])
            started = time.perf_counter()
            texts = [hear(piece) for piece in clip.pieces]
            seconds += time.perf_counter() - started
            references.append(clip.reference)
            hypotheses.append(" ".join(text for text in texts if text))
            advance(1)
    rates = error_rates(references, hypotheses)
    return Measured(
        format, megabytes(folder), rates["wer"], rates["cer"], seconds / n_clips, n_clips, computed_in
    )


def megabytes(folder: Path) -> float:
    """Return the size of a folder's files in 10^6 bytes."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
