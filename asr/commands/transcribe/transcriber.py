"""A model that transcribes recordings, for `asr transcribe` and `asr demo`."""

import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
import transformers

from asr.audio.log_mel import SAMPLE_RATE
from asr.commands.transcribe.pieces import Piece, pieces
from asr.commands.transcribe.subtitles import Segment, divided
from asr.decoding import split_at_pauses, transcribe
from asr.language_model import fusion
from asr.model import base_model, whisper
from asr.model.generation import DECODING
from asr.model.search import MAX_NEW_TOKENS, DecodingOptions
from asr.model.vocabulary import require_language
from asr.runtime import disk
from asr.runtime.terminal import visible

HELD = 16  # times the batch size: pieces held and sorted together, however long a recording is
SHORTEST = 0.3  # of a window, to be halved
logger = logging.getLogger("transcribe")


class Transcriber:
    """A loaded model, with the language and task that it writes, its language model, beams and length.

    Parameters
    ----------
    language, num_beams: None: the model's own

    Raises
    ------
    ValueError: the model cannot be used (asr/model/base_model.py), or does not say or know its language.
    """

    def __init__(
        self,
        folder: Path,
        language: str | None,
        batch_size: int,
        num_beams: int | None,
        packed: bool | None = None,
    ) -> None:
        checkpoint = base_model.check(folder, str(folder), keep=DECODING)
        settings = checkpoint.settings
        language = language or getattr(settings, "language", None)
        if not language:
            raise ValueError(f"{folder} does not say which language it writes: give --language")
        task = getattr(settings, "task", None) or "transcribe"
        most = min(settings.max_new_tokens or settings.max_length, MAX_NEW_TOKENS)
        beams = num_beams or settings.num_beams or 1
        language_model = fusion.load(folder, checkpoint.tokenizer)
        self.options = DecodingOptions(language, task, batch_size, most, beams, language_model)
        require_language(checkpoint.tokenizer, language)
        transformers.utils.logging.disable_progress_bar()  # of loading weights
        model, self.processor = base_model.load(checkpoint, torch.float32)
        self.model = whisper.to_transcribe(model)
        self.packed = whisper.hears_several(self.model) if packed is None else packed

    def cut(self, recording: Path | BinaryIO, warn: Callable[[str], None]) -> Iterator[Piece]:
        """Cut a recording into pieces that fit the model's window.

        `warn` is called with what is odd about a recording that can be read.
        """
        mel_filters = self.processor.feature_extractor.mel_filters
        return pieces(recording, whisper.window_s(self.model), self.packed, mel_filters, warn)

    def hear(self, pieces: list[Piece]) -> list[list[Segment]]:
        """Transcribe pieces, of one recording or of several; returns the cues of each."""
        spoken = [piece for piece in pieces if piece.features is not None]
        texts = iter(self._texts([p.features for p in spoken], [len(p.cues) > 1 for p in spoken]))
        return [_cues(piece, "" if piece.features is None else next(texts)) for piece in pieces]

    def _texts(self, features: list[np.ndarray], several: list[bool]) -> list[str]:
        """Transcribe features, sorted into batches.

        What has `several` utterances and does not end within the model's length is halved and heard again: it
        is a loop, or has more text than that. A single one is left as the stage `transcribe` leaves it.
        """
        if not features:
            return []
        lengths, window = [clip.shape[1] for clip in features], whisper.window_frames(self.model)
        heard = transcribe(self.model, self.processor, lengths, features.__getitem__, self.options)
        texts = [hypothesis.text for hypothesis in heard]
        for number, hypothesis in enumerate(heard):
            if several[number] and hypothesis.hit_limit and lengths[number] > SHORTEST * window:
                halves = split_at_pauses(features[number], 2, window)
                texts[number] = " ".join(self._texts(halves, [True, True]))
        return texts


def _cues(piece: Piece, text: str) -> list[Segment]:
    text = visible(" ".join(text.splitlines()))  # a cue ends at a blank line
    parts = divided(text, [last - first for first, last in piece.cues])
    return [
        Segment(first / SAMPLE_RATE, last / SAMPLE_RATE, part)
        for (first, last), part in zip(piece.cues, parts, strict=True)
    ]


class _Recording:
    """A recording that is read: its pieces go out, its segments come in."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.name = str(path) if path else "stdin"
        self.segments: list[Segment] | None = []  # None: it cannot be read

    def pieces(self, transcriber: Transcriber) -> Iterator[Piece]:
        """Read it, and log what is wrong with it."""
        is_silent, warn = True, partial(logger.warning, "%s: %s", self.name)
        try:
            for piece in transcriber.cut(_source(self.path), warn):
                is_silent = is_silent and piece.features is None
                yield piece
        except (ValueError, OSError) as error:
            if disk.is_full(error):
                raise
            logger.error("%s: %s", self.name, error)
            self.segments = None
        else:
            if is_silent:
                logger.warning("%s: silent throughout, so its transcript is empty", self.name)


def transcripts(
    transcriber: Transcriber, found: list[Path | None]
) -> Iterator[tuple[str, list[Segment] | None]]:
    """Transcribe recordings in their order; yields name and segments, None for one that cannot be read."""
    read: list[_Recording] = []
    waiting: list[tuple[_Recording, Piece]] = []

    def heard() -> Iterator[tuple[str, list[Segment] | None]]:
        cues = transcriber.hear([piece for _, piece in waiting])
        for (recording, _), of_piece in zip(waiting, cues, strict=True):
            if recording.segments is not None:
                recording.segments += of_piece
        yield from ((recording.name, recording.segments) for recording in read)
        waiting.clear()
        read.clear()

    for recording in map(_Recording, found):
        for piece in recording.pieces(transcriber):
            waiting.append((recording, piece))
            if len(waiting) == HELD * transcriber.options.batch_size:
                yield from heard()
        read.append(recording)
    yield from heard()


def _source(path: Path | None) -> Path | BinaryIO:
    """Copy standard input or a named pipe, which can be read only once, to a file without a name."""
    if path and not path.is_fifo():
        return path
    copy = tempfile.TemporaryFile()
    with path.open("rb") if path else sys.stdin.buffer as pipe:
        shutil.copyfileobj(pipe, copy)
    copy.seek(0)
    return copy
