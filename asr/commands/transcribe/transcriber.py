"""A model that transcribes recordings, for `asr transcribe` and `asr demo`."""

import logging
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
import transformers

from asr.commands.transcribe.recordings import Chunk, chunks
from asr.commands.transcribe.subtitles import Segment
from asr.decoding import MAX_NEW_TOKENS, DecodingOptions, transcribe
from asr.model import base_model, whisper
from asr.model.generation import DECODING
from asr.model.vocabulary import require_language

HELD_S = 3600  # of recordings, whose chunks are sorted into batches together
logger = logging.getLogger("transcribe")


class Transcriber:
    """A loaded model, with the language and task that it writes.

    Raises
    ------
    ValueError: the model cannot be used (asr/model/base_model.py), or does not say or know its language.
    """

    def __init__(self, folder: Path, language: str | None, batch_size: int, num_beams: int) -> None:
        checkpoint = base_model.check(folder, str(folder), keep=DECODING)
        settings = checkpoint.settings
        language = language or getattr(settings, "language", None)
        if not language:
            raise ValueError(f"{folder} does not say which language it writes: give --language")
        task = getattr(settings, "task", None) or "transcribe"
        self.options = DecodingOptions(language, task, batch_size, MAX_NEW_TOKENS, num_beams)
        require_language(checkpoint.tokenizer, language)
        transformers.utils.logging.disable_progress_bar()  # of loading weights
        model, self.processor = base_model.load(checkpoint, torch.float32)
        self.model = whisper.to_transcribe(model)

    def cut(self, recording: Path | bytes, chunk_s: float | None, warn: Callable[[str], None]) -> list[Chunk]:
        """Cut a recording into chunks of at most `chunk_s` seconds, and at most the model's window.

        `warn` is called with what is missing from a truncated recording.
        """
        window_s = whisper.window_s(self.model)
        mel_filters = self.processor.feature_extractor.mel_filters
        return list(chunks(recording, min(chunk_s or window_s, window_s), mel_filters, warn))

    def hear(self, recordings: list[list[Chunk]]) -> list[list[Segment]]:
        """Transcribe the chunks of several recordings, sorted into batches all together."""
        spoken = [chunk.features for chunks in recordings for chunk in chunks if chunk.features is not None]
        lengths = [features.shape[1] for features in spoken]
        heard = transcribe(self.model, self.processor, lengths, spoken.__getitem__, self.options)
        texts = iter(hypothesis.text for hypothesis in heard)
        return [
            [Segment(c.start_s, c.end_s, "" if c.features is None else next(texts)) for c in chunks]
            for chunks in recordings
        ]


def transcripts(
    transcriber: Transcriber, found: list[Path | None], chunk_s: float | None
) -> Iterator[tuple[str, list[Segment] | None]]:
    """Transcribe recordings in their order; yields name and segments, None for one that cannot be read."""
    names, cut, held_s = [], [], 0.0
    for number, path in enumerate(found, 1):
        names.append(str(path) if path else "stdin")
        try:
            warn = partial(logger.warning, "%s: cut off: %s", names[-1])
            cut.append(transcriber.cut(_source(path), chunk_s, warn))
        except (ValueError, OSError) as error:
            logger.error("%s: %s", names[-1], error)
            cut.append(None)
        else:
            held_s += cut[-1][-1].end_s
        if held_s >= HELD_S or number == len(found):
            heard = iter(transcriber.hear([chunks for chunks in cut if chunks is not None]))
            yield from (
                (name, None if chunks is None else next(heard))
                for name, chunks in zip(names, cut, strict=True)
            )
            names, cut, held_s = [], [], 0.0


def _source(path: Path | None) -> Path | bytes:
    """Read standard input or a named pipe, which can be read only once; a file is streamed later."""
    if path is None:
        return sys.stdin.buffer.read()
    return path.read_bytes() if path.is_fifo() else path
