"""One's own recordings: audio files in a folder, and a table that says what is spoken in each."""

import hashlib
import logging
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from itertools import compress
from pathlib import Path

from asr.params import FolderSource
from asr.sources.metadata import MAX_TABLE_BYTES, SUFFIXES, read_table, require_columns
from asr.tables import corpus
from asr.tables.corpus import MAX_CLIP_BYTES, Clip

SPLITS = {name: name for name in corpus.SPLITS} | {"dev": "validation"}
logger = logging.getLogger(__name__)


def clips(params: FolderSource, validated: bool) -> Iterator[Clip]:
    """Yield the clips that the table lists, in its order. A clip that cannot be read has a `problem`.

    Rows whose split is "validated" are left out unless `validated` is true.

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
    root, table = Path(params.path), Path(params.path) / params.table
    if not table.is_file():
        raise FileNotFoundError(
            f"download.folder: no table {table.absolute()}. It takes the audio files and a .tsv, .csv or"
            " .jsonl with a line per file: set download.folder.path and .table; without one, `make sample`"
        )
    if table.suffix.lower() not in SUFFIXES:
        raise ValueError(f"download.folder.table {params.table!r} has to be a .tsv, a .csv or a .jsonl")
    if table.stat().st_size > MAX_TABLE_BYTES:
        raise ValueError(f"{table} has {table.stat().st_size} bytes: that is no table of clips")
    rows = read_table(table.read_bytes(), str(table))
    columns = params.columns
    wanted = [column for column in columns.model_dump().values() if column is not None]
    require_columns(rows, wanted, str(table), "set download.folder.columns to the table's names")
    files = [_find(root, row[columns.audio]) for row in rows]
    if not any(isinstance(file, Path) for file in files):
        raise FileNotFoundError(
            f"{table}: none of the {len(files)} files of column {columns.audio!r} is in {root}:"
            " the column has to hold paths relative to the folder"
        )
    listed = [
        Clip(
            id=unicodedata.normalize("NFC", row[columns.audio]),
            split=_split(row[columns.split], f"{table}, row {number}") if columns.split else "train",
            speaker=row[columns.speaker] if columns.speaker else "",
            sentence=row[columns.sentence],
        )
        for number, row in enumerate(rows, 1)
    ]
    if not columns.split:
        listed = hold_out(listed, params.test_fraction)
    wanted = [validated or clip.split != "validated" for clip in listed]
    if not all(wanted):
        logger.info("%d validated rows left out: filter.add_validated is false", wanted.count(False))
    return _with_audio(list(compress(listed, wanted)), list(compress(files, wanted)))


def hold_out(listed: list[Clip], fraction: float) -> list[Clip]:
    """Move a fraction of the speakers to test, or of the sentences if fewer than two speakers are named.

    Clips without a speaker stay in train if others have one: they could be anyone's. Speakers are chosen by
    hash, so that a new clip moves few others.

    Raises
    ------
    ValueError: fewer than two speakers and fewer than two sentences.
    """
    unit, keys = "speakers", [clip.speaker for clip in listed]
    if len(set(keys) - {""}) < 2:
        unit, keys = "sentences", [_spelling(clip.sentence) for clip in listed]
    known = sorted(set(keys) - {""}, key=lambda key: hashlib.sha256(key.encode()).digest())
    if len(known) < 2:
        raise ValueError(
            "download.folder: fewer than two speakers and two sentences, so there is nothing to hold out for"
            " testing: add recordings, or name the split column in download.folder.columns.split"
        )
    held_out = set(known[: min(max(1, round(fraction * len(known))), len(known) - 1)])
    logger.info("no split column: %d of %d %s are test, chosen by hash", len(held_out), len(known), unit)
    return [
        replace(clip, split="test" if key in held_out else "train")
        for clip, key in zip(listed, keys, strict=True)
    ]


def _with_audio(listed: list[Clip], files: list[Path | str]) -> Iterator[Clip]:
    absent = [file for file in files if isinstance(file, str)]
    if absent:
        logger.warning("%d of %d listed files cannot be read", len(absent), len(files))
    for clip, file in zip(listed, files, strict=True):
        yield replace(clip, problem=file) if isinstance(file, str) else _read(clip, file)


def _read(clip: Clip, file: Path) -> Clip:
    size = file.stat().st_size
    if size > MAX_CLIP_BYTES:
        return replace(clip, problem="too_large", detail=f"{size} bytes")
    try:
        return replace(clip, audio=file.read_bytes())
    except PermissionError as error:
        return replace(clip, problem="no_audio", detail=error.strerror)


def _find(root: Path, name: str) -> Path | str:
    """Find a file under the folder, its name in any Unicode composition; return its path or the problem.

    Files outside the folder are not read, through links neither.
    """
    # macOS stores names decomposed (NFD), tables and other systems mostly have them composed.
    for form in (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)):
        try:
            file = root / form
            if not file.resolve().is_relative_to(root.resolve()):
                return "outside_folder"
            if name and file.is_file():
                return file
        except (OSError, ValueError, RuntimeError):
            continue  # too long, a NUL, links in a circle: no name of a file
    return "no_audio"


def _split(value: str, where: str) -> str:
    if value not in SPLITS:
        raise ValueError(f"{where}: the split is {value!r}; it has to be one of {', '.join(SPLITS)}")
    return SPLITS[value]


def _spelling(sentence: str) -> str:
    return " ".join(unicodedata.normalize("NFC", sentence).split())
