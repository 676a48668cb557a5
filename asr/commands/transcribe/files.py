"""The recordings that `asr transcribe` reads, and the files that it writes."""

import logging
import os
import tempfile
from collections import Counter
from pathlib import Path

from asr.audio.formats import SUFFIXES

SHOWN = 3  # names in a message
logger = logging.getLogger("transcribe")


def find(names: list[str]) -> list[Path | None]:
    """List recordings: files as they are, all audio files below folders, None for standard input (`-`).

    Raises
    ------
    FileNotFoundError: no such file, or a folder without a recording.
    ValueError: standard input twice.
    """
    if names.count("-") > 1:
        raise ValueError("- is given twice: standard input can be read once")
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
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    # macOS puts one called ._a.wav beside a.wav in an archive.
    files = [file for file in files if file.is_file() and not file.name.startswith("._")]
    if not files:
        expected = ", ".join(sorted(SUFFIXES))
        raise FileNotFoundError(f"{folder}: no recording below this folder ({expected})")
    return files


def outputs(names: list[str], found: list[Path | None], out: Path, suffix: str) -> list[Path]:
    """Name a file in `out` for each recording that `find` found for the names.

    `out` gets the folders below the deepest one that holds all the names. Makes `out`, and checks that it can
    be written to.

    Raises
    ------
    ValueError: two recordings have the same file, or the folder cannot be written to.
    """
    paths = [Path(os.path.abspath(name)) for name in names if name != "-"]
    top = os.path.commonpath([path if path.is_dir() else path.parent for path in paths]) if paths else ""
    below = [os.path.relpath(path, top) if path else "stdin" for path in found]
    files = [(out / name).with_suffix(f".{suffix}") for name in below]
    twice = [file for file, times in Counter(files).items() if times > 1]
    if twice:
        both = [path for path, file in zip(found, files, strict=True) if file == twice[0]]
        raise ValueError(
            f"--out: {_some(both)} would all be {twice[0]}: rename them, or write them to different folders"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(
            f"--out: no file can be written in {out} ({error.strerror}): give another folder"
        ) from error
    return files


def left_to_do(found: list[Path | None], files: list[Path]) -> tuple[list[Path | None], list[Path]]:
    """Skip recordings whose file exists, from an interrupted run or corrected by hand since."""
    there = [file for file in files if file.exists()]
    if there:
        logger.warning(
            "skipped %d of %d recordings, because their files exist (%s): --overwrite writes them again",
            len(there), len(files), _some(there),
        )  # fmt: skip
    left = [(path, file) for path, file in zip(found, files, strict=True) if not file.exists()]
    return [path for path, _ in left], [file for _, file in left]


def _some(files: list[Path | None]) -> str:
    return ", ".join(str(file or "stdin") for file in files[:SHOWN]) + (", …" if len(files) > SHOWN else "")


def write(file: Path, text: str, errors: str) -> None:
    """Write a whole file or none; `errors` is for names that are not UTF-8, as in `str.encode`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{os.getpid()}.part")  # the file's own name may be as long as a name can be
    try:
        part.write_text(text, encoding="utf-8", errors=errors)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
