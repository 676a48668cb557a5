"""A Common Voice release, tar, gzip or zip, read as it is: nothing is unpacked to disk.

The tables may come after the clips in an archive, and a corpus does not fit in memory, so the archive
is read twice: once for the tables (which stops as soon as it has them) and once for the clips.

Columns differ between releases, so they are looked up by name.
"""

import hashlib
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path, PurePosixPath

from asr.sources.containers import Member, members
from asr.sources.metadata import clean_name, read_release_table
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
    home, missing = _read_tables(path, locale, validated)
    n_listed, folder = len(missing), home / "clips"
    for member in members(path):
        inside = member.name.is_relative_to(folder)
        clip = missing.pop(clean_name(str(member.name.relative_to(folder))), None) if inside else None
        if clip and member.size > MAX_CLIP_BYTES:
            yield replace(clip, problem="too_large", detail=f"{member.size} bytes")
        elif clip:
            yield replace(clip, audio=member.read())
    if len(missing) == n_listed:
        raise ValueError(f"{path}: none of the {n_listed} clips listed in {home} is in {folder}")
    if missing:
        logger.warning("%s: %d of %d listed clips are missing", path, len(missing), n_listed)
    yield from missing.values()


def _read_tables(path: Path, locale: str, validated: bool) -> tuple[PurePosixPath, dict[str, Clip]]:
    """Find a locale's folder; return it and the clips of its tables by id, without audio."""
    wanted = {name: split for name, split in TABLES.items() if name != VALIDATED or validated}
    tables: dict[PurePosixPath, dict[str, list[Clip]]] = {}  # by folder
    locales = set()
    for member in members(path):
        home, name = member.name.parent, member.name.name
        if name not in wanted:
            continue
        locales.add(home.name)
        if home.name in (locale, ""):  # "" is no folder, as in early 2019
            found = tables.setdefault(home, {})
            found[name] = list(_list_clips(member, wanted[name], f"{path}: {member.name}", locale))
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
    listed: dict[str, Clip] = {}
    again = 0
    for clip in chain.from_iterable(found.get(name, []) for name in wanted):
        split = listed.setdefault(clip.id, clip).split
        if split != clip.split and clip.split != "validated":
            raise ValueError(
                f"{path}: clip {clip.id!r} is listed in both {split} and {clip.split}:"
                " a release's splits share no clip, so the archive is not as released; get it anew"
            )
        again += split == clip.split and listed[clip.id] is not clip
    if again:
        logger.warning("%s: %d rows of a clip that their table has listed already are left out", path, again)
    if not listed:
        raise ValueError(f"{path}: the tables of {home} list no clip")
    return home, listed


def _list_clips(member: Member, split: str, name: str, locale: str) -> Iterator[Clip]:
    if not member.size:
        return
    for row in read_release_table(member.pieces(), name, COLUMNS, "is it a Common Voice release?"):
        other = row.get("locale") or locale
        if not member.name.parent.name and other != locale:
            raise ValueError(f"{name} is of locale {other!r}: set download.locale to that")
        file = clean_name(row["path"])
        if not PurePosixPath(file).suffix:
            file += ".mp3"  # releases of 2019 leave it out
        yield Clip(
            id=file,
            split=split,
            speaker=sys.intern(row["client_id"]),  # the same text in many rows, of which there are millions
            sentence=row["sentence"],
            gender=sys.intern(row.get("gender", "")),
            age=sys.intern(row.get("age", "")),
            accent=sys.intern(row.get("accents", row.get("accent", ""))),
        )
