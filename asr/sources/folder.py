"""One's own recordings: audio files in a folder, and a table or annotations that say what is spoken."""

import hashlib
import logging
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import NamedTuple

from asr.params import Folder
from asr.sources import annotations
from asr.sources.containers import file_pieces
from asr.sources.held_out import divide
from asr.sources.metadata import Row, clean_name
from asr.sources.segments import Segment, count_overlapping, cut, seconds
from asr.sources.user_table import TAKES, find_table, read_table
from asr.tables import corpus
from asr.tables.corpus import MAX_CLIP_BYTES, Clip

SPLITS = {name: name for name in corpus.SPLITS} | {"dev": "validation"}
logger = logging.getLogger(__name__)


def clips(params: Folder) -> Iterator[Clip]:
    """Yield the clips that the table lists, or else the annotations. What cannot be read has a `problem`.

    Whole recordings come first, in the order of their rows; then the segments, recording by recording.

    Without a split column, `params.test_fraction` of the speakers are test.

    Raises
    ------
    FileNotFoundError: no folder, neither table nor annotations, or none of the files.
    ValueError: several tables, an ill-formed one, or annotations that are not clear.
    """
    root = Path(params.path).resolve()
    files = cache(partial(_by_spelling, root))
    table = find_table(Path(params.path), params.table)
    if table:
        source, hint = str(table), "the column of files has to hold paths relative to the folder"
        rows = read_table(partial(file_pieces, table), source, params.columns.model_dump())
        annotations.warn_of_others(root, table)
    else:
        source, hint = params.path, "an annotation has to lie beside its recording, under the same name"
        rows = annotations.read(root, files(), params.tiers)
        if not rows:
            raise FileNotFoundError(f"no table and no annotations in {root}. {TAKES}")
    listed, has_split = _list(root, rows, source, files)
    if not any(each.file for each in listed):
        tried = ", ".join(repr(each.clip.id) for each in listed[:3]) or "none"
        raise FileNotFoundError(
            f"{source}: none of its {len(listed)} files is in {params.path} (tried {tried}): {hint}"
        )
    if not has_split:
        clips = divide([each.clip for each in listed], params)
        listed = [each._replace(clip=clip) for each, clip in zip(listed, clips, strict=True)]
    return _with_audio(listed)


class _Listed(NamedTuple):
    """A clip before its audio is read."""

    clip: Clip
    file: str  # path; "" if the clip has a problem
    span: tuple[float, float] | None  # seconds, from and to which it is spoken in the file; None: all of it


def _list(
    root: Path, rows: Iterable[Row], source: str, files: Callable[[], dict[str, list[str]]]
) -> tuple[list[_Listed], bool]:
    """Return the clips of rows, and if these say of which splits they are.

    Parameters
    ----------
    source: of the rows, for messages
    files: the names that there are, as `_by_spelling` lists them
    """
    has_split, again, respelled = False, 0, []
    listed: dict[str, _Listed] = {}
    find = lru_cache(partial(_find, root, by_spelling=files))  # many rows may be of one recording
    for number, row in enumerate(rows, 1):
        where, has_split = f"{source}, row {number}", "split" in row
        name, span = row["audio"], _span(row, where)
        file = find(name)
        inside = clean_name(file.relative_to(root).as_posix()) if isinstance(file, Path) else ""
        if inside and inside != clean_name(name) and not Path(name).is_absolute():
            respelled.append(f"{name!r} is {inside!r}")
        clip = Clip(
            id=(inside or clean_name(name) or f"row {number}") + _part(span),
            split=_split(row["split"], where) if has_split else "train",
            speaker=sys.intern(row.get("speaker", "")),
            sentence=row["sentence"],
            problem="" if inside else file,
        )
        same = listed.setdefault(clip.id, _Listed(clip, str(file) if inside else "", span)).clip
        if span and same != clip and same.split == clip.split:  # two speak at once
            spoken = hashlib.sha256(f"{clip.speaker}\t{clip.sentence}".encode()).hexdigest()
            clip = replace(clip, id=f"{clip.id}-{spoken[:8]}")
            same = listed.setdefault(clip.id, _Listed(clip, str(file) if inside else "", span)).clip
        if same != clip:
            raise ValueError(f"{where}: {clip.id!r} is in an earlier row too, and they differ: remove one")
        again += same is not clip
    if again:
        logger.warning("%d rows that repeat another one are left out", again)
    if respelled:
        logger.info("%d files are spelled otherwise in the table: %s, …", len(respelled), respelled[0])
    return list(listed.values()), has_split


def _span(row: Row, where: str) -> tuple[float, float] | None:
    """Return the seconds from and to which a row's text is spoken; None: in all of the recording."""
    if not row.get("start"):
        return None
    try:
        start_s = seconds(row["start"])
        if row.get("end"):
            return start_s, seconds(row["end"])
        return start_s, start_s + seconds(row.get("duration", ""))
    except ValueError as error:
        raise ValueError(f"{where}: start, and end or duration: {error}") from error


def _part(span: tuple[float, float] | None) -> str:
    return f"#{span[0] * 1000:.0f}-{span[1] * 1000:.0f}" if span else ""


def _with_audio(listed: list[_Listed]) -> Iterator[Clip]:
    missing = sum(not each.file for each in listed)
    if missing:
        logger.warning("%d of %d listed files cannot be read", missing, len(listed))
    segments: dict[str, list[Segment]] = defaultdict(list)  # by file
    for clip, file, span in listed:
        if file and span:
            segments[file].append(Segment(*span, clip))
        else:
            yield _read(clip, Path(file)) if file else clip
    overlapping = sum(map(count_overlapping, segments.values()))
    if overlapping:
        logger.warning("%d segments begin before another one has ended: they are kept", overlapping)
    yield from cut(segments)


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
