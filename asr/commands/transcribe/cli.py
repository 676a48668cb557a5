"""Transcribe recordings of any length with a fine-tuned model: asr transcribe recording.mp3 …

Takes files, folders and `-` for standard input; writes plain text, JSON, SRT or WebVTT, to standard output or
into a folder. Recordings are cut where they are quiet into pieces that fit the model's window; the times of
subtitles are those of the pieces.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import transformers
from safetensors import SafetensorError
from transformers import GenerationConfig, WhisperForConditionalGeneration, WhisperProcessor

from asr import decoding
from asr.commands.transcribe import recordings
from asr.commands.transcribe.files import find, left_to_do, outputs, write
from asr.commands.transcribe.subtitles import FORMATS, Segment
from asr.model import whisper

MODEL = Path("data/model")
MAX_IDS = 444  # 448 positions less the four ids of the prompt
SHORTEST_PIECE_S = 1.0
HOLD_S = 3600  # of recordings whose features are held at a time, to be sorted into batches
logger = logging.getLogger("transcribe")


class Transcriber:
    """A model that is ready to listen.

    Raises
    ------
    ValueError: it has no languages, or does not say which one it writes, or its weights are not whole.
    """

    def __init__(self, folder: Path, language: str | None, batch_size: int, num_beams: int) -> None:
        settings = GenerationConfig.from_pretrained(folder)
        if not getattr(settings, "is_multilingual", True) or not hasattr(settings, "lang_to_id"):
            raise ValueError(
                f"{folder} knows no languages: it is for English alone, as whisper-small.en is, or its"
                " generation_config.json is too old to have lang_to_id: take a multilingual model of today"
            )
        self.language = language or getattr(settings, "language", None)
        if not self.language:
            raise ValueError(f"{folder} does not say which language it writes: give --language")
        self.task = getattr(settings, "task", None) or "transcribe"
        self.processor: WhisperProcessor = whisper.load_processor(folder, self.language, self.task)
        try:
            self.model: WhisperForConditionalGeneration = whisper.load_for_transcription(folder)
        except SafetensorError as error:
            raise ValueError(
                f"the weights in {folder} are not whole ({error}): delete the folder and run `dvc pull` or"
                " `dvc repro`, or copy it again"
            ) from error
        self.batch_size, self.num_beams = batch_size, num_beams

    def cut(
        self, recording: Path | bytes, piece_s: float | None, warn: Callable[[str], None]
    ) -> list[recordings.Piece]:
        """Cut a recording into pieces of at most `piece_s` seconds, or of the model's window.

        `warn` is told what is missing from a recording that is cut off.
        """
        window_s = whisper.window_s(self.model)
        mel_filters = self.processor.feature_extractor.mel_filters
        return list(recordings.pieces(recording, min(piece_s or window_s, window_s), mel_filters, warn))

    def hear(self, cut: list[list[recordings.Piece]]) -> list[list[Segment]]:
        """Transcribe the pieces of several recordings, sorted into batches all together."""
        pieces = [piece for of_recording in cut for piece in of_recording if piece.features is not None]
        heard = decoding.transcribe(
            self.model,
            self.processor,
            [piece.features.shape[1] for piece in pieces],
            lambda index: pieces[index].features,
            self.language,
            self.task,
            self.batch_size,
            MAX_IDS,
            self.num_beams,
        )
        texts = iter(hypothesis.text for hypothesis in heard)
        return [
            [
                Segment(piece.start_s, piece.end_s, "" if piece.features is None else next(texts))
                for piece in of_recording
            ]
            for of_recording in cut
        ]


def transcripts(
    transcriber: Transcriber, found: list[Path | None], piece_s: float | None
) -> Iterator[tuple[str, list[Segment] | None]]:
    """Transcribe recordings in their order; yields name and segments, None for one that is no audio."""
    names, cut, held_s = [], [], 0.0
    for number, path in enumerate(found, 1):
        names.append(str(path) if path else "stdin")
        try:
            warn = partial(logger.warning, "%s: cut off: %s", names[-1])
            cut.append(transcriber.cut(_take(path), piece_s, warn))
        except (ValueError, OSError) as error:
            logger.error("%s: %s", names[-1], error)
            cut.append(None)
        else:
            held_s += cut[-1][-1].end_s
        if held_s >= HOLD_S or number == len(found):
            heard = iter(transcriber.hear([pieces for pieces in cut if pieces is not None]))
            yield from (
                (name, None if p is None else next(heard)) for name, p in zip(names, cut, strict=True)
            )
            names, cut, held_s = [], [], 0.0


def _take(path: Path | None) -> Path | bytes:
    """Read what can be read only once, standard input and named pipes; a file is left to be streamed."""
    if path is None:
        return sys.stdin.buffer.read()
    return path.read_bytes() if path.is_fifo() else path


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="asr transcribe", description=__doc__.splitlines()[0])
    parser.add_argument("recordings", nargs="+", help="files, folders, or - for standard input")
    parser.add_argument(
        "--model", type=Path, default=MODEL, help="a checkpoint folder (default: %(default)s)"
    )
    parser.add_argument("--language", help="what to write, where the model does not say")
    parser.add_argument("--format", choices=FORMATS, default="txt")
    parser.add_argument("--out", type=Path, help="folder to write to, a file a recording")
    parser.add_argument("--overwrite", action="store_true", help="replace the files that --out has already")
    parser.add_argument(
        "--piece-s", type=float, help="longest piece in seconds (default: the model's window)"
    )
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--num-beams", type=int, default=1)
    args = parser.parse_args(argv)
    if not (args.model / "config.json").exists():
        raise FileNotFoundError(f"no model in {args.model}: run `dvc repro` or `dvc pull`, or give --model")
    if args.piece_s is not None and not args.piece_s >= SHORTEST_PIECE_S:  # nan is not either
        raise ValueError(f"--piece-s is {args.piece_s}: it takes {SHORTEST_PIECE_S} or more")
    for option, value in (("--batch-size", args.batch_size), ("--num-beams", args.num_beams)):
        if value < 1:
            raise ValueError(f"{option} is {value}: it takes 1 or more")
    return args


def main(argv: list[str]) -> None:
    args = _arguments(argv)
    found = find(args.recordings)
    if args.format in ("srt", "vtt") and len(found) > 1 and not args.out:
        raise ValueError(f"{len(found)} recordings make as many .{args.format} files: give --out FOLDER")
    files = outputs(found, args.out, args.format) if args.out else None
    if files and not args.overwrite:
        found, files = left_to_do(found, files)
        if not found:
            return
    # A name need not be UTF-8: what it has instead is written as it is, or as JSON escapes it.
    errors = "backslashreplace" if args.format == "json" else "surrogateescape"
    sys.stdout.reconfigure(encoding="utf-8", errors=errors)
    transformers.utils.logging.disable_progress_bar()  # of loading weights; ours is enough
    transcriber = Transcriber(args.model, args.language, args.batch_size, args.num_beams)
    bad = 0
    for number, (name, segments) in enumerate(transcripts(transcriber, found, args.piece_s)):
        if segments is None:
            bad += 1
            continue
        text = FORMATS[args.format](name, segments)
        if files:
            write(files[number], text, errors)
        else:
            header = f"{name}: " if args.format == "txt" and len(found) > 1 else ""
            sys.stdout.write(header + text)
            sys.stdout.flush()
    if bad:
        raise ValueError(f"{bad} of {len(found)} recordings could not be read; the others are done")
