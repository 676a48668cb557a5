"""A model that transcribes recordings, for `asr transcribe` and `asr demo`."""

import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import torch
import transformers

from asr.audio.log_mel import SAMPLE_RATE
from asr.commands.transcribe.recordings import Piece, pieces
from asr.commands.transcribe.subtitles import Segment
from asr.decoding import MAX_NEW_TOKENS, DecodingOptions, transcribe
from asr.model import base_model, whisper
from asr.model.generation import DECODING
from asr.model.vocabulary import require_language
from asr.runtime import disk
from asr.runtime.terminal import visible

HELD = 8  # batches of pieces, held and sorted together: bounds the memory, however long a recording is
logger = logging.getLogger("transcribe")


class Transcriber:
    """A loaded model, with the language and task that it writes, and the beams and length of its settings.

    Parameters
    ----------
    language, num_beams: None: the model's own

    Raises
    ------
    ValueError: the model cannot be used (asr/model/base_model.py), or does not say or know its language.
    """

    def __init__(self, folder: Path, language: str | None, batch_size: int, num_beams: int | None) -> None:
        checkpoint = base_model.check(folder, str(folder), keep=DECODING)
        settings = checkpoint.settings
        language = language or getattr(settings, "language", None)
        if not language:
            raise ValueError(f"{folder} does not say which language it writes: give --language")
        task = getattr(settings, "task", None) or "transcribe"
        most = min(settings.max_new_tokens or settings.max_length, MAX_NEW_TOKENS)
        self.options = DecodingOptions(language, task, batch_size, most, num_beams or settings.num_beams or 1)
        require_language(checkpoint.tokenizer, language)
        transformers.utils.logging.disable_progress_bar()  # of loading weights
        model, self.processor = base_model.load(checkpoint, torch.float32)
        self.model = whisper.to_transcribe(model)

    def cut(
        self, recording: Path | BinaryIO, piece_s: float | None, warn: Callable[[str], None]
    ) -> Iterator[Piece]:
        """Cut a recording into pieces of at most `piece_s` seconds, and at most the model's window.

        `warn` is called with what is odd about a recording that can be read.
        """
        window_s = whisper.window_s(self.model)
        mel_filters = self.processor.feature_extractor.mel_filters
        return pieces(recording, min(piece_s or window_s, window_s), mel_filters, warn)

    def hear(self, pieces: list[Piece]) -> list[Segment]:
        """Transcribe pieces, of one recording or of several, sorted into batches."""
        spoken = [piece.features for piece in pieces if piece.features is not None]
        lengths = [features.shape[1] for features in spoken]
        heard = []
        if spoken:
            heard = transcribe(self.model, self.processor, lengths, spoken.__getitem__, self.options)
        texts = (visible(" ".join(h.text.splitlines())) for h in heard)  # a cue ends at a blank line
        return [
            Segment(*(place / SAMPLE_RATE for place in p.heard), "" if p.features is None else next(texts))
            for p in pieces
        ]


class _Recording:
    """A recording that is read: its pieces go out, its segments come in."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.name = str(path) if path else "stdin"
        self.segments: list[Segment] | None = []  # None: it cannot be read

    def pieces(self, transcriber: Transcriber, piece_s: float | None) -> Iterator[Piece]:
        """Read it, and log what is wrong with it."""
        is_silent, warn = True, partial(logger.warning, "%s: %s", self.name)
        try:
            for piece in transcriber.cut(_source(self.path), piece_s, warn):
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
    transcriber: Transcriber, found: list[Path | None], piece_s: float | None
) -> Iterator[tuple[str, list[Segment] | None]]:
    """Transcribe recordings in their order; yields name and segments, None for one that cannot be read."""
    read: list[_Recording] = []
    waiting: list[tuple[_Recording, Piece]] = []

    def heard() -> Iterator[tuple[str, list[Segment] | None]]:
        segments = transcriber.hear([piece for _, piece in waiting])
        for (recording, _), segment in zip(waiting, segments, strict=True):
            if recording.segments is not None:
                recording.segments.append(segment)
        yield from ((recording.name, recording.segments) for recording in read)
        waiting.clear()
        read.clear()

    for recording in map(_Recording, found):
        for piece in recording.pieces(transcriber, piece_s):
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
