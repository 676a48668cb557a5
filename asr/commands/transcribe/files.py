"""The files of `asr transcribe`: the recordings that it is given, and the texts that it writes."""

import logging
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

import soundfile

from asr.audio.damage import DECODABLE

# Not .raw: nothing in such a file says its sample rate, and cameras call their photographs so.
SUFFIXES = {f".{name.lower()}" for name in soundfile.available_formats()} - {".raw"}
SUFFIXES |= {".opus", ".oga", ".aif", ".aifc", ".snd", ".sph", ".mp2", ".mpga"}
# What phones, cameras and browsers record, and libsndfile does not decode.
FOREIGN = {
    ".3ga", ".3gp", ".3gpp", ".aac", ".ac3", ".amr", ".ape", ".avi", ".dss", ".m4a", ".m4b", ".m4v", ".mka",
    ".mkv", ".mov", ".mp4", ".mpg", ".webm", ".wma", ".wmv", ".wv",
}  # fmt: skip
SHOWN = 3  # names in a message
logger = logging.getLogger("transcribe")


def find(names: list[str]) -> list[Path | None]:
    """List the recordings that names stand for: files, all audio files below folders, None for `-`.

    Raises
    ------
    FileNotFoundError: no such file, or a folder without a recording.
    ValueError: standard input twice.
    """
    if names.count("-") > 1:
        raise ValueError("- is there twice: standard input can be read once")
    if "-" in names and sys.stdin is None:
        raise ValueError("- is standard input, and that is closed")
    found: list[Path | None] = []
    for name in names:
        path = Path(name)
        if name == "-":
            found.append(None)
        elif path.is_dir():
            found += _below(path)
        elif path.is_file() or path.is_fifo():
            found.append(path)
        else:
            raise FileNotFoundError(f"no file or folder {path}")
    return found


def _below(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES | FOREIGN)
    # macOS puts one called ._a.wav beside a.wav in an archive.
    files = [file for file in files if file.is_file() and not file.name.startswith("._")]
    foreign = [file for file in files if file.suffix.lower() in FOREIGN]
    what = f"{len(foreign)} in formats that are not decoded here ({_some(foreign)}): convert to {DECODABLE}"
    if len(files) == len(foreign):
        expected = what if foreign else ", ".join(sorted(SUFFIXES))
        raise FileNotFoundError(f"{folder}: no recording below this folder ({expected})")
    if foreign:
        logger.warning("%s: left out %s", folder, what)
    return [file for file in files if file not in set(foreign)]


def outputs(found: list[Path | None], out: Path, suffix: str) -> list[Path]:
    """Name a file below `out` for each recording, and see to it that they can be written.

    Raises
    ------
    ValueError: two recordings would be written to the same one, or nothing can be written there.
    """
    files = [out / f"{path.stem if path else 'stdin'}.{suffix}" for path in found]
    twice = [file.stem for file, times in Counter(files).items() if times > 1]
    if twice:
        raise ValueError(f"--out: two recordings are called {twice[0]}: transcribe them apart")
    folders = [file for file in files if file.is_dir()]
    if folders:
        raise ValueError(f"--out: {folders[0]} is a folder: move it, or give another")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(
            f"--out {out} is no folder in which a file can be made ({error.strerror}): give another"
        ) from error
    return files


def left_to_do(found: list[Path | None], files: list[Path]) -> tuple[list[Path | None], list[Path]]:
    """Leave out the recordings whose files are there: of a run that was interrupted, or since corrected."""
    there = [file for file in files if file.exists()]
    if there:
        logger.warning(
            "%d of %d files are there already and stay as they are (%s): --overwrite replaces them",
            len(there), len(files), _some(there),
        )  # fmt: skip
    left = [(path, file) for path, file in zip(found, files, strict=True) if not file.exists()]
    return [path for path, _ in left], [file for _, file in left]


def _some(files: list[Path]) -> str:
    return ", ".join(map(str, files[:SHOWN])) + (", …" if len(files) > SHOWN else "")


def write(file: Path, text: str, errors: str) -> None:
    """Write a file as a whole or not at all; `errors` is what to do with names that are not UTF-8."""
    part = file.with_name(f".{os.getpid()}.part")  # short: the file's own name may be as long as names can be
    try:
        part.write_text(text, encoding="utf-8", errors=errors)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
