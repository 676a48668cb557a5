"""The sentences, clips and hours of a Common Voice release, from its tables. No clip is decoded."""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr.sources.archive import COLUMNS, TABLES
from asr.sources.containers import members
from asr.sources.metadata import MAX_TABLE_BYTES, read_table, require_columns

SPLITS = ("train.tsv", "dev.tsv", "test.tsv")
DURATIONS = "clip_durations.tsv"  # of newer releases
CLIP, MILLISECONDS = "clip", "duration[ms]"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Survey:
    clips: dict[str, int]  # by table, such as "train.tsv"
    speakers: dict[str, int]
    sentences: list[str]  # of train, dev and test, in this order
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
    data = _read(path, locale)
    durations = _durations(data.pop(DURATIONS, b""), f"{path}: {DURATIONS}")
    tables = {name: _clips(data[name], f"{path}: {name}") for name in TABLES if name in data}
    return Survey(
        clips={name: len(rows) for name, rows in tables.items()},
        speakers={name: len({row["client_id"] for row in rows}) for name, rows in tables.items()},
        sentences=[row["sentence"] for name in SPLITS for row in tables[name] if row["sentence"].strip()],
        seconds={
            name: [durations[row["path"]] for row in rows if row["path"] in durations]
            for name, rows in tables.items()
            if durations
        },
    )


def _read(path: Path, locale: str) -> dict[str, bytes]:
    """Read the tables of a locale's folder."""
    found, locales = {}, set()
    for member in members(path):
        if member.name.name not in (*TABLES, DURATIONS):
            continue
        locales.add(member.name.parent.name)
        if member.name.parent.name != locale:
            continue
        if member.size > MAX_TABLE_BYTES:
            raise ValueError(f"{path}: {member.name} has {member.size} bytes, too many for a table")
        found[member.name.name] = member.read()
        if len(found) == len(TABLES) + 1:
            break
    absent = [name for name in SPLITS if name not in found]
    if absent:
        raise ValueError(
            f"{path} has no {', '.join(absent)} in a folder {locale!r}; it has tables of"
            f" {', '.join(sorted(locales)) or 'no locale at all'}"
        )
    return found


def _clips(data: bytes, name: str) -> list[dict[str, str]]:
    rows = read_table(data, name) if data else []
    if rows:
        require_columns(rows, COLUMNS, name, "is it a Common Voice release?")
    return rows


def _durations(data: bytes, name: str) -> dict[str, float]:
    """Read the seconds of each clip. A table in another form is ignored with a warning."""
    try:
        rows = read_table(data, name) if data else []
        if rows:
            require_columns(rows, [CLIP, MILLISECONDS], name, "durations are not known")
        return {row[CLIP]: float(row[MILLISECONDS]) / 1000 for row in rows}
    except ValueError as error:
        logger.warning("%s", error)
        return {}
