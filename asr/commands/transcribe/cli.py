"""Transcribe recordings of any length, as plain text, JSON, SRT, WebVTT, or for ELAN or Praat.

    asr transcribe recording.mp3
    asr transcribe interviews/ --format srt --out subtitles/
    asr transcribe interviews/ --format eaf --out interviews/
    ffmpeg -i film.mkv -f wav - | asr transcribe - --format json

A recording that is longer than the model's window is cut at its pauses. Subtitles have a cue for each
utterance, a tier of ELAN or Praat an annotation. --out keeps the folders in which recordings lie. Files that
it already has are skipped.
"""

import argparse
import os
import sys
from pathlib import Path

from asr.commands import arguments
from asr.commands.arguments import positive
from asr.commands.transcribe.subtitles import FORMATS

SUFFIXES = {"textgrid": "TextGrid"}  # as Praat spells it; the others are called like the format


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = arguments.command_parser("transcribe", __doc__)
    parser.add_argument("recordings", nargs="+", help="files, folders, or - for standard input")
    arguments.add_model(parser)
    parser.add_argument("--format", choices=FORMATS, default="txt", help="default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write a file for each recording there")
    parser.add_argument("--overwrite", action="store_true", help="write files again that --out already has")
    what = "what the model hears at once: a window full, or an utterance (default: as in its training)"
    parser.add_argument("--pieces", choices=("windows", "utterances"), help=what)
    windows = "windows at a time, or more pieces if they are shorter (default: 16)"
    parser.add_argument("--batch-size", type=positive, default=16, help=windows)
    parser.add_argument("--num-beams", type=positive, help="default: the model's own; 1 is greedy search")
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    args = _arguments(argv)
    model = arguments.model_folder(args)
    from asr.commands.transcribe.files import find, left_to_do, outputs, write

    found = find(args.recordings)
    if args.format not in ("txt", "json") and len(found) > 1 and not args.out:
        raise ValueError(f"{len(found)} recordings make {len(found)} .{args.format} files: give --out FOLDER")
    files = (
        outputs(args.recordings, found, args.out, SUFFIXES.get(args.format, args.format))
        if args.out
        else None
    )
    if files and not args.overwrite:
        found, files = left_to_do(found, files)
        if not found:
            return
    from asr.commands.transcribe.transcriber import Transcriber, transcripts

    packed = None if args.pieces is None else args.pieces == "windows"
    transcriber = Transcriber(model, args.language, args.batch_size, args.num_beams, packed)
    # A file's name need not be UTF-8. Its other bytes are written unchanged, or escaped in JSON and XML.
    errors = "backslashreplace" if args.format in ("json", "eaf") else "surrogateescape"
    sys.stdout.reconfigure(encoding="utf-8", errors=errors)
    n_failed = 0
    for number, (name, segments) in enumerate(transcripts(transcriber, found)):
        if segments is None:
            n_failed += 1
            continue
        if args.format == "eaf":
            name = os.path.relpath(name, files[number].parent if files else ".") if found[number] else ""
        text = FORMATS[args.format](name, segments)
        if files:
            write(files[number], text, errors)
        else:
            header = f"{name}: " if args.format == "txt" and len(found) > 1 else ""
            sys.stdout.write(header + text)
            sys.stdout.flush()
    if n_failed:
        others = "; the others are done" if n_failed < len(found) else ""
        raise ValueError(f"{n_failed} of {len(found)} recordings could not be read{others}")
