"""One's own recordings: audio files in a folder, and what is spoken in each, as `layouts` finds it there."""

import hashlib
import logging
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from asr.params import Folder
from asr.sources.files import Files
from asr.sources.held_out import divide
from asr.sources.layouts import SPLITS, read_rows, split_of
from asr.sources.metadata import Row, clean_name
from asr.sources.segments import Segment, count_overlapping, cut, seconds
from asr.tables.corpus import MAX_CLIP_BYTES, Clip

logger = logging.getLogger(__name__)


def clips(params: Folder) -> Iterator[Clip]:
    """Yield the clips that a folder's tables or annotations list. What cannot be read has a `problem`.

    Whole recordings come first, in the order of their rows; then the segments, recording by recording.

    Where neither a column nor the names of tables or folders say the split, `params.test_fraction` of the
    speakers are test.

    Raises
    ------
    FileNotFoundError: no folder, neither tables nor annotations, or none of the files.
    ValueError: several tables, an ill-formed one, or annotations that are not clear.
    """
    listed, has_split = _list(params)
    if not any(each.file for each in listed):
        tried = ", ".join(repr(each.clip.id) for each in listed[:3]) or "none"
        raise FileNotFoundError(
            f"none of the {len(listed)} files that are named is in {params.path} (tried {tried}): a table has"
            " to have paths relative to the folder or to itself, an annotation the name of its recording"
        )
    if not has_split:
        clips = _divided([each.clip for each in listed], params)
        listed = [each._replace(clip=clip) for each, clip in zip(listed, clips, strict=True)]
    return _with_audio(listed)


class _Listed(NamedTuple):
    """A clip before its audio is read."""

    clip: Clip
    file: str  # path; "" if the clip has a problem
    span: tuple[float, float] | None  # seconds, from and to which it is spoken in the file; None: all of it


def _list(params: Folder) -> tuple[list[_Listed], bool]:
    """Read what the folder has; return its clips, and if it says of which splits they are."""
    files, has_split = Files(Path(params.path)), False
    listed: dict[str, _Listed] = {}
    again, respelled = 0, []
    find = lru_cache(files.find)  # many rows may be of one recording
    rows = read_rows(files, params.table, params.columns.model_dump(), params.tiers)
    for number, (where, home, row) in enumerate(rows, 1):
        has_split |= "split" in row
        span = _span(row, where)
        path, problem = find(row["audio"], home)
        inside, file = clean_name(path), path and os.path.join(files.root, path)
        named = row["audio"] and clean_name(os.path.join(home, row["audio"]))
        if inside and inside != named and not named.startswith(str(files.root)):
            respelled.append(f"{named!r} is {inside!r}")
        clip = Clip(
            id=(inside or named or f"row {number}") + _part(span),
            split=_split(row["split"], where) if "split" in row else "train",
            speaker=sys.intern(row.get("speaker", "")),
            sentence=row["sentence"],
            gender=sys.intern(row.get("gender", "")),
            problem=problem,
        )
        same = listed.setdefault(clip.id, _Listed(clip, file, span)).clip
        if span and same != clip and same.split == clip.split:  # two speak at once
            spoken = hashlib.sha256(f"{clip.speaker}\t{clip.sentence}".encode()).hexdigest()
            clip = replace(clip, id=f"{clip.id}-{spoken[:8]}")
            same = listed.setdefault(clip.id, _Listed(clip, file, span)).clip
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


def _divided(clips: list[Clip], params: Folder) -> list[Clip]:
    """Take the splits that folders are named by if all clips are in one; or divide as the corpus says."""
    splits = [split_of(PurePosixPath(clip.id).parent) for clip in clips]
    if not {"train", "test"} <= {*splits} or None in splits:
        return divide(clips, params)
    logger.info("the splits are those of the clips' folders: %r is %s", clips[0].id, splits[0])
    return [replace(clip, split=split) for clip, split in zip(clips, splits, strict=True)]


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


def _split(value: str, where: str) -> str:
    if value not in SPLITS:
        raise ValueError(f"{where}: the split is {value!r}; it has to be one of {', '.join(SPLITS)}")
    return SPLITS[value]
