"""One's own recordings: audio files in a folder, and a table that says what is spoken in each."""

import logging
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from asr.params import Folder
from asr.sources.containers import file_pieces
from asr.sources.held_out import divide
from asr.sources.metadata import clean_name
from asr.sources.user_table import find_table, read_table
from asr.tables import corpus
from asr.tables.corpus import MAX_CLIP_BYTES, Clip

SPLITS = {name: name for name in corpus.SPLITS} | {"dev": "validation"}
logger = logging.getLogger(__name__)


def clips(params: Folder) -> Iterator[Clip]:
    """Yield the clips that the table lists, in its order. A clip that cannot be read has a `problem`.

    Without a split column, `params.test_fraction` of the speakers are test.

    Raises
    ------
    FileNotFoundError: no folder, no table, or none of the files.
    ValueError: several tables, or an ill-formed one.
    """
    table = find_table(Path(params.path), params.table)
    listed, files, has_split = _list(params, table)
    if not any(files):
        tried = ", ".join(repr(clip.id) for clip in listed[:3]) or "none"
        raise FileNotFoundError(
            f"{table}: none of its {len(files)} files is in {params.path} (tried {tried}): the column of"
            " files has to hold paths relative to the folder"
        )
    if not has_split:
        listed = divide(listed, params)
    return _with_audio(listed, files)


def _list(params: Folder, table: Path) -> tuple[list[Clip], list[str], bool]:
    """Read the table; return its clips, each one's path, "" if it has a problem, and if there are splits."""
    root, has_split = Path(params.path).resolve(), False
    files = cache(partial(_by_spelling, root))
    listed: dict[str, tuple[Clip, str]] = {}
    again, respelled = 0, []
    rows = read_table(partial(file_pieces, table), str(table), params.columns.model_dump())
    for number, row in enumerate(rows, 1):
        where, has_split = f"{table}, row {number}", "split" in row
        name = row["audio"]
        file = _find(root, name, files)
        inside = clean_name(file.relative_to(root).as_posix()) if isinstance(file, Path) else ""
        if inside and inside != clean_name(name) and not Path(name).is_absolute():
            respelled.append(f"{name!r} is {inside!r}")
        clip = Clip(
            id=inside or clean_name(name) or f"row {number}",
            split=_split(row["split"], where) if has_split else "train",
            speaker=sys.intern(row.get("speaker", "")),
            sentence=row["sentence"],
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
    return [clip for clip, _ in listed.values()], [file for _, file in listed.values()], has_split


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
