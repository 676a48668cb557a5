"""A Common Voice release, tar, gzip or zip, read as it is: nothing is unpacked to disk.

The tables may come after the clips in an archive, and a corpus does not fit in memory, so the archive
is read twice: once for the tables (which stops as soon as it has them) and once for the clips.

Columns differ between releases, so they are looked up by name.
"""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from asr.sources.containers import members
from asr.sources.metadata import MAX_TABLE_BYTES, read_table, require_columns
from asr.tables.corpus import MAX_CLIP_BYTES, Clip

CORPORA = Path("corpora")
VALIDATED = "validated.tsv"  # has the rows of the three others too
TABLES = {"train.tsv": "train", "dev.tsv": "validation", "test.tsv": "test", VALIDATED: "validated"}
COLUMNS = ["path", "client_id", "sentence"]  # of every release since 2019
WAYS_ON = """\
  - you have the release: move it there, or `dvc exp run -S download.archive=/path/to/it.tar.gz`
  - it has an address: `dvc get-url https://… {archive}`
  - Mozilla Data Collective, which has the new releases: accept the dataset's terms there, set MDC_API_KEY
    and download.source=mdc
  - a dataset repository on the model hub: download.source=hub and download.hub.dataset
  - your own recordings: download.source=folder and download.folder
  - no corpus at all: `make sample` runs the whole pipeline on a synthetic one"""
logger = logging.getLogger(__name__)


def clips(archive: str, sha256: str | None, locale: str, validated: bool) -> Iterator[Clip]:
    """Read the clips of a release's train, dev and test tables, in the archive's order.

    Parameters
    ----------
    archive: path of the file
    sha256: 64 hex digits, or None for no check
    locale: the release's folder, such as "dv"
    validated: whether to read the rest of validated.tsv too

    Raises
    ------
    FileNotFoundError: no such archive; says where to get one.
    ValueError: not the archive that `sha256` says, damaged, without that locale, or its tables contradict.
    """
    path = Path(archive)
    if not path.is_file():
        raise FileNotFoundError(
            f"download.archive: no file {path.absolute()}. Ways on:\n{WAYS_ON.format(archive=archive)}"
        )
    if sha256:
        check_sha256(path, sha256)
    return read_release(path, locale, validated)


def check_sha256(path: Path, expected: str) -> None:
    """Raise a ValueError unless a file has the expected sha256, 64 hex digits."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ValueError(
            f"{path} is not the archive that download.archive_sha256 names.\n"
            f"  found:    {found}\n"
            f"  expected: {expected}\n"
            "  For another release, set download.archive_sha256 to what was found (null: not checked). If the"
            " file should be the expected one, it is damaged: download it again."
        )


def read_release(path: Path, locale: str, validated: bool) -> Iterator[Clip]:
    """Read the clips of a release's three tables, in the archive's order.

    With `validated`, the clips of validated.tsv come too; a clip that is also in one of the three tables
    keeps that table's split. Listed clips that are not in the archive come last, without audio.
    """
    home, listed = _read_tables(path, locale, validated)
    missing = dict(listed)
    for member in members(path):
        clip = missing.pop(member.name, None)
        if clip and member.size > MAX_CLIP_BYTES:
            yield replace(clip, problem="too_large", detail=f"{member.size} bytes")
        elif clip:
            yield replace(clip, audio=member.read())
    if len(missing) == len(listed):
        folder = next(iter(listed)).parent
        raise ValueError(f"{path}: none of the {len(listed)} clips listed in {home} is in {folder}")
    if missing:
        logger.warning("%s: %d of %d listed clips are missing", path, len(missing), len(listed))
    yield from missing.values()


def _read_tables(path: Path, locale: str, validated: bool) -> tuple[PurePosixPath, dict[PurePosixPath, Clip]]:
    """Find a locale's folder; return it and the clips of its tables by file name, without audio."""
    wanted = {name: split for name, split in TABLES.items() if name != VALIDATED or validated}
    tables: dict[PurePosixPath, dict[str, bytes]] = {}  # by folder
    locales = set()
    for member in members(path):
        if member.name.name not in wanted:
            continue
        locales.add(member.name.parent.name)
        if member.name.parent.name in (locale, ""):  # "" is no folder, as in early 2019
            if member.size > MAX_TABLE_BYTES:
                raise ValueError(f"{path}: {member.name} has {member.size} bytes: that is no table of clips")
            found = tables.setdefault(member.name.parent, {})
            found[member.name.name] = member.read()
            if len(found) == len(wanted):
                break
    if not tables:
        raise ValueError(
            f"{path}: no tables {', '.join(TABLES)} in a folder {locale!r}; the archive has"
            f" {', '.join(sorted(locales)) or 'none at all'}: set download.locale"
        )
    home, found = max(tables.items(), key=lambda item: (item[0].name == locale, len(item[1])))
    absent = [name for name in wanted if name not in found and name != "dev.tsv"]
    if absent:
        without = ", or filter.add_validated: false" if absent == [VALIDATED] else ""
        raise ValueError(f"{path}: {home} has no {' and no '.join(absent)}: give a whole release{without}")
    listed: dict[PurePosixPath, Clip] = {}
    for name, split in wanted.items():
        for file, clip in _list_clips(found.get(name, b""), split, home, f"{path}: {home / name}", locale):
            if name == VALIDATED and file in listed and listed[file].split != split:
                continue
            if file in listed:
                raise ValueError(
                    f"{path}: clip {clip.id} is listed in both {listed[file].split} and {split}:"
                    " a release's splits share no clip, so the archive is not as released; get it anew"
                )
            listed[file] = clip
    if not listed:
        raise ValueError(f"{path}: the tables of {home} list no clip")
    return home, listed


def _list_clips(
    data: bytes, split: str, home: PurePosixPath, name: str, locale: str
) -> Iterator[tuple[PurePosixPath, Clip]]:
    """Yield a table's clips, each with its file's name in the archive."""
    table = read_table(data, name) if data else []
    if table:
        require_columns(table, COLUMNS, name, "is it a Common Voice release?")
        other = table[0].get("locale") or locale
        if not home.name and other != locale:
            raise ValueError(f"{name} is of locale {other!r}: set download.locale to that")
    for row in table:
        file = row["path"]
        if not PurePosixPath(file).suffix:
            file += ".mp3"  # releases of 2019 leave it out
        yield home / "clips" / file, Clip(
            id=file,
            split=split,
            speaker=row["client_id"],
            sentence=row["sentence"],
            gender=row.get("gender", ""),
            age=row.get("age", ""),
            accent=row.get("accents", row.get("accent", "")),
        )
