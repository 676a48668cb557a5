"""One's own recordings: audio files in a folder, and a table that says what is spoken in each."""

import logging
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from itertools import compress
from pathlib import Path

from asr.params import FolderSource
from asr.sources.held_out import hold_out
from asr.sources.metadata import SUFFIXES, clean_name, read_table
from asr.tables import corpus
from asr.tables.corpus import MAX_CLIP_BYTES, Clip

PIECE_BYTES = 2**20
SPLITS = {name: name for name in corpus.SPLITS} | {"dev": "validation"}
logger = logging.getLogger(__name__)


def clips(params: FolderSource, test_fraction: float, validated: bool) -> Iterator[Clip]:
    """Yield the clips that the table lists, in its order. A clip that cannot be read has a `problem`.

    Rows whose split is "validated" are left out unless `validated` is true. Without a split column,
    `test_fraction` of the speakers are test.

    Raises
    ------
    FileNotFoundError: no folder, no table, or none of the files.
    ValueError: the table is ill-formed, or has no split column to say which rows are validated.
    """
    if validated and not params.columns.split:
        raise ValueError(
            "filter.add_validated is true, but download.folder.columns.split is null: give the table a column"
            " with train, validation, test or validated in every row and name it there, or set"
            " filter.add_validated to false"
        )
    table = Path(params.path) / params.table
    if not table.is_file():
        raise FileNotFoundError(
            f"download.folder: no table {table.absolute()}. It takes the audio files and a .tsv, .csv or"
            " .jsonl with a line per file: set download.folder.path and .table; without one, `make sample`"
        )
    if table.suffix.lower() not in SUFFIXES:
        raise ValueError(f"download.folder.table {params.table!r} has to be a .tsv, a .csv or a .jsonl")
    listed, files = _list(params, table)
    if not any(files):
        raise FileNotFoundError(
            f"{table}: none of the {len(files)} files of column {params.columns.audio!r} is in"
            f" {params.path}: the column has to hold paths relative to the folder"
        )
    if not params.columns.split:
        listed = hold_out(listed, test_fraction)
    wanted = [validated or clip.split != "validated" for clip in listed]
    if not all(wanted):
        logger.info("%d validated rows left out: filter.add_validated is false", wanted.count(False))
    return _with_audio(list(compress(listed, wanted)), list(compress(files, wanted)))


def _list(params: FolderSource, table: Path) -> tuple[list[Clip], list[str]]:
    """Read the table; return its clips, and the path of each one's file, "" if it has a problem."""
    columns, root = params.columns, Path(params.path).resolve()
    required = [column for column in columns.model_dump().values() if column is not None]
    hint = "set download.folder.columns to the table's names"
    files = cache(partial(_by_spelling, root))
    listed: dict[str, tuple[Clip, str]] = {}
    again, respelled = 0, []
    for number, row in enumerate(read_table(partial(_pieces, table), str(table), required, hint), 1):
        where = f"{table}, row {number}"
        name = row[columns.audio]
        file = _find(root, name, files)
        inside = clean_name(file.relative_to(root).as_posix()) if isinstance(file, Path) else ""
        if inside and inside != clean_name(name) and not Path(name).is_absolute():
            respelled.append(f"{name!r} is {inside!r}")
        clip = Clip(
            id=inside or clean_name(name) or f"row {number}",
            split=_split(row[columns.split], where) if columns.split else "train",
            speaker=sys.intern(row[columns.speaker]) if columns.speaker else "",
            sentence=row[columns.sentence],
            problem="" if inside else file,
        )
        same, _ = listed.setdefault(clip.id, (clip, str(file) if inside else ""))
        if same != clip:
            raise ValueError(f"{where}: {clip.id!r} is in an earlier row too, and they differ: remove one")
        again += same is not clip
    if again:
        logger.warning("%d rows that repeat another one are left out", again)
    if respelled:
        logger.info("%d files are spelled otherwise in the table: %s, …", len(respelled), respelled[0])
    return [clip for clip, _ in listed.values()], [file for _, file in listed.values()]


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            yield piece


def _with_audio(listed: list[Clip], files: list[str]) -> Iterator[Clip]:
    if not all(files):
        logger.warning("%d of %d listed files cannot be read", files.count(""), len(files))
    for clip, file in zip(listed, files, strict=True):
        yield _read(clip, Path(file)) if file else clip


def _read(clip: Clip, file: Path) -> Clip:
    size = file.stat().st_size
    if size > MAX_CLIP_BYTES:
        return replace(clip, problem="too_large", detail=f"{size} bytes")
    try:
        return replace(clip, audio=file.read_bytes())
    except PermissionError as error:
        return replace(clip, problem="no_audio", detail=error.strerror)


def _find(root: Path, name: str, by_spelling: Callable[[], dict[str, list[str]]]) -> Path | str:
    """Find a file in the folder; return its resolved path, or the problem.

    Its name may be composed otherwise (NFC, NFD), have backslashes, or another case if one file is meant.
    """
    found = _inside(root, name)
    if found == "no_audio":
        names = by_spelling().get(clean_name(name).casefold(), [])
        found = _inside(root, names[0]) if len(names) == 1 else found
    return found


def _inside(root: Path, name: str) -> Path | str:
    """Return a file's resolved path, or the problem. Files outside are not read, through links neither."""
    try:
        file = (root / name).resolve()
        if not file.is_relative_to(root):
            return "outside_folder"
        return file if file.is_file() else "no_audio"
    except (OSError, ValueError, RuntimeError):
        return "no_audio"  # too long, a NUL, links in a circle: no name of a file


def _by_spelling(root: Path) -> dict[str, list[str]]:
    """List the names of a folder's files by their composed form in lower case."""
    names = defaultdict(list)
    for folder, _, files in os.walk(root):
        for file in files:
            name = Path(folder, file).relative_to(root).as_posix()
            names[clean_name(name).casefold()].append(name)
    return names


def _split(value: str, where: str) -> str:
    if value not in SPLITS:
        raise ValueError(f"{where}: the split is {value!r}; it has to be one of {', '.join(SPLITS)}")
    return SPLITS[value]
