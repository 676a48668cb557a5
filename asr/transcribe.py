"""Transcribe recordings of any length with a fine-tuned model: python -m asr.transcribe recording.mp3 …

Takes files, folders and `-` for standard input; writes plain text, JSON, SRT or WebVTT, to standard output or
into a folder. Recordings are cut where they are quiet into pieces that fit the model's window; the times of
subtitles are those of the pieces.
"""

import argparse
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import soundfile
import transformers
from transformers import GenerationConfig, WhisperForConditionalGeneration, WhisperProcessor

from asr import decoding, recordings, whisper
from asr.stage import report_errors
from asr.subtitles import FORMATS, Segment

MODEL = Path("data/model")
MAX_IDS = 444  # 448 positions less the four ids of the prompt
SHORTEST_PIECE_S = 1.0
HOLD_S = 3600  # of recordings whose features are held at a time, to be sorted into batches
SUFFIXES = {f".{name.lower()}" for name in soundfile.available_formats()} | {".opus", ".oga", ".aif"}
logger = logging.getLogger("transcribe")


class Transcriber:
    """A model that is ready to listen."""

    def __init__(self, folder: Path, language: str | None, batch_size: int, num_beams: int) -> None:
        settings = GenerationConfig.from_pretrained(folder)
        self.language = language or getattr(settings, "language", None)
        if not self.language:
            raise ValueError(f"{folder} does not say which language it writes: give --language")
        self.task = getattr(settings, "task", None) or "transcribe"
        self.processor: WhisperProcessor = whisper.load_processor(folder, self.language, self.task)
        self.model: WhisperForConditionalGeneration = whisper.load_for_transcription(folder)
        self.batch_size, self.num_beams = batch_size, num_beams

    def cut(self, recording: Path | bytes, piece_s: float | None) -> list[recordings.Piece]:
        """Cut a recording into pieces of at most `piece_s` seconds, or of the model's window."""
        window_s = whisper.window_s(self.model)
        mel_filters = self.processor.feature_extractor.mel_filters
        return list(recordings.pieces(recording, min(piece_s or window_s, window_s), mel_filters))

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


def find(names: list[str]) -> list[Path | None]:
    """List the recordings that names stand for: files, all audio files below folders, None for `-`.

    Raises
    ------
    FileNotFoundError: no such file, or a folder without a recording.
    """
    found: list[Path | None] = []
    for name in names:
        path = Path(name)
        if name == "-":
            found.append(None)
        elif path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
            if not inside:
                raise FileNotFoundError(
                    f"{path}: no recording below this folder ({', '.join(sorted(SUFFIXES))})"
                )
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise FileNotFoundError(f"no file or folder {path}")
    return found


def transcripts(
    transcriber: Transcriber, found: list[Path | None], piece_s: float | None
) -> Iterator[tuple[str, list[Segment] | None]]:
    """Transcribe recordings in their order; yields name and segments, None for one that is no audio."""
    names, cut, held_s = [], [], 0.0
    for number, path in enumerate(found, 1):
        names.append(str(path) if path else "stdin")
        try:
            cut.append(transcriber.cut(path or sys.stdin.buffer.read(), piece_s))
        except ValueError as error:
            logger.error("%s: %s", names[-1], error)
            cut.append(None)
        else:
            held_s += cut[-1][-1].end_s if cut[-1] else 0.0
        if held_s >= HOLD_S or number == len(found):
            heard = iter(transcriber.hear([pieces for pieces in cut if pieces is not None]))
            yield from (
                (name, None if p is None else next(heard)) for name, p in zip(names, cut, strict=True)
            )
            names, cut, held_s = [], [], 0.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m asr.transcribe", description=__doc__.splitlines()[0])
    parser.add_argument("recordings", nargs="+", help="files, folders, or - for standard input")
    parser.add_argument(
        "--model", type=Path, default=MODEL, help="a checkpoint folder (default: %(default)s)"
    )
    parser.add_argument("--language", help="what to write, where the model does not say")
    parser.add_argument("--format", choices=FORMATS, default="txt")
    parser.add_argument("--out", type=Path, help="folder to write to, a file a recording")
    parser.add_argument(
        "--piece-s", type=float, help="longest piece in seconds (default: the model's window)"
    )
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--num-beams", type=int, default=1)
    args = parser.parse_args()
    if not (args.model / "config.json").exists():
        raise FileNotFoundError(f"no model in {args.model}: run `dvc repro` or `dvc pull`, or give --model")
    if args.piece_s is not None and args.piece_s < SHORTEST_PIECE_S:
        raise ValueError(f"--piece-s is {args.piece_s}: it takes {SHORTEST_PIECE_S} or more")
    found = find(args.recordings)
    files = _outputs(found, args.out, args.format) if args.out else None
    if args.format in ("srt", "vtt") and len(found) > 1 and not args.out:
        raise ValueError(f"{len(found)} recordings make as many .{args.format} files: give --out FOLDER")
    transformers.utils.logging.disable_progress_bar()  # of loading weights; ours is enough
    transcriber = Transcriber(args.model, args.language, args.batch_size, args.num_beams)
    bad = 0
    for number, (name, segments) in enumerate(transcripts(transcriber, found, args.piece_s)):
        if segments is None:
            bad += 1
            continue
        text = FORMATS[args.format](name, segments)
        if files:
            files[number].parent.mkdir(parents=True, exist_ok=True)
            files[number].write_text(text, encoding="utf-8")
        else:
            header = f"{name}: " if args.format == "txt" and len(found) > 1 else ""
            sys.stdout.write(header + text)
            sys.stdout.flush()
    if bad:
        raise ValueError(f"{bad} of {len(found)} recordings could not be read; the others are done")


def _outputs(found: list[Path | None], out: Path, suffix: str) -> list[Path]:
    """Name a file for each recording.

    Raises
    ------
    ValueError: two recordings would be written to the same one.
    """
    files = [out / f"{path.stem if path else 'stdin'}.{suffix}" for path in found]
    for file in files:
        if files.count(file) > 1:
            raise ValueError(f"--out: two recordings are called {file.stem}: transcribe them apart")
    return files


if __name__ == "__main__":
    with report_errors("transcribe", alone=False):
        main()
