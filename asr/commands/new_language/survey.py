"""The sentences, clips and hours of a Common Voice release, from its tables. No clip is decoded."""

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asr.scoring.text import without_tags
from asr.sources.containers import Member, members
from asr.sources.metadata import read_release_table
from asr.sources.release import COLUMNS, HINT, SPONTANEOUS, SPONTANEOUS_COLUMNS, TABLES, VALIDATED

SPLITS = ("train.tsv", "dev.tsv", "test.tsv")
DURATIONS = "clip_durations.tsv"  # of newer releases
CLIP, MILLISECONDS = "clip", "duration[ms]"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Survey:
    clips: dict[str, int]  # by table, such as "train.tsv", or of spontaneous speech by split
    speakers: dict[str, int]
    sentences: list[str]  # of all tables but validated.tsv, in their order
    seconds: dict[str, list[float]]  # of the clips, by table; empty if the release has no durations


def survey(path: Path, locale: str) -> Survey:
    """Read the tables of one locale, and no more of the archive than that takes.

    Raises
    ------
    FileNotFoundError: no such archive.
    ValueError: the archive is damaged, or lacks the locale or one of SPLITS.
    """
    if not path.is_file():
        raise FileNotFoundError(f"--archive: no file {path.absolute()}")
    tables, durations = _read(path, locale)
    return Survey(
        clips={name: len(rows) for name, rows in tables.items()},
        speakers={name: len({speaker for _, speaker, _ in rows}) for name, rows in tables.items()},
        sentences=[
            sentence
            for name, rows in tables.items()
            for *_, sentence in rows
            if name != VALIDATED and sentence.strip()
        ],
        seconds={
            name: [durations[clip] for clip, *_ in rows if clip in durations]
            for name, rows in tables.items()
            if durations
        },
    )


def _read(path: Path, locale: str) -> tuple[dict[str, list[tuple[str, str, str]]], dict[str, float]]:
    """Read path, speaker and sentence of each clip from a locale's tables, and the durations."""
    found, durations, locales = {}, None, set()
    for member in members(path):
        name = member.name.name
        if name == SPONTANEOUS.format(locale):
            return _spontaneous(member, f"{path}: {name}")
        if name not in (*TABLES, DURATIONS):
            continue
        locales.add(member.name.parent.name)
        if member.name.parent.name != locale:
            continue
        if name == DURATIONS:
            durations = _durations(member, f"{path}: {name}")
        else:
            rows = _rows(member, f"{path}: {name}", COLUMNS, HINT)
            found[name] = [(row["path"], sys.intern(row["client_id"]), row["sentence"]) for row in rows]
        if len(found) == len(TABLES) and durations is not None:
            break
    absent = [name for name in SPLITS if name not in found]
    if absent:
        raise ValueError(
            f"{path} has no {', '.join(absent)} in a folder {locale!r}; it has tables of"
            f" {', '.join(sorted(locales)) or 'no locale at all'}"
        )
    return {name: found[name] for name in TABLES if name in found}, durations or {}


def _spontaneous(member: Member, name: str) -> tuple[dict[str, list[tuple[str, str, str]]], dict[str, float]]:
    """Read the same of spontaneous speech: by split, what is transcribed."""
    found, durations = {}, {}
    for row in _rows(member, name, SPONTANEOUS_COLUMNS, HINT):
        clip, speaker, sentence = (row[column] for column in SPONTANEOUS_COLUMNS)
        if sentence.strip():
            split = found.setdefault(row.get("split") or "unassigned", [])
            split.append((clip, sys.intern(speaker), without_tags(sentence)))
        if row.get("duration_ms", "").isdecimal():
            durations[clip] = int(row["duration_ms"]) / 1000
    return found, durations


def _rows(member: Member, name: str, columns: list[str], hint: str) -> Iterator[dict[str, str]]:
    return read_release_table(member.pieces(), name, columns, hint) if member.size else iter([])


def _durations(member: Member, name: str) -> dict[str, float]:
    """Read the seconds of each clip. A table in another form is ignored with a warning."""
    try:
        rows = _rows(member, name, [CLIP, MILLISECONDS], "durations are not known")
        return {row[CLIP]: float(row[MILLISECONDS]) / 1000 for row in rows}
    except ValueError as error:
        logger.warning("%s", error)
        return {}
