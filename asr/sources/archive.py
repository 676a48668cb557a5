"""A Common Voice release, a `.tar.gz` by path or URL, read as it is: nothing is ever extracted to disk.

The tables may come after the clips in an archive, and a corpus does not fit in memory, so the archive
is read twice: once for the tables (which stops as soon as it has them) and once for the clips.
"""

import gzip
import hashlib
import logging
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from asr.corpus import Clip
from asr.sources.resume import fetch
from asr.sources.tables import read_table, require_columns

CORPORA = Path("corpora")
TABLES = {"train.tsv": "train", "dev.tsv": "validation", "test.tsv": "test"}
VALIDATED = "validated.tsv"  # lists the clips of the three others too
REQUIRED = ("client_id", "path", "sentence")  # in every release
NO_ROWS = "\t".join(REQUIRED).encode()  # what a small language's release may have for dev
WAYS_ON = """\
  - put the release there, or name another with `dvc exp run -S download.archive=/path/to/it.tar.gz`
  - Mozilla Data Collective: set MDC_API_KEY, accept the dataset's terms there, download.source=mdc
  - a dataset repository on the model hub: download.source=hub and download.hub.dataset
  - your own recordings: download.source=folder and download.folder
  - no corpus at all: `make sample` runs the whole pipeline on a synthetic one"""
logger = logging.getLogger(__name__)


def clips(archive: str, sha256: str | None, locale: str, validated: bool) -> Iterator[Clip]:
    """Read the clips of a release's train, dev and test tables, in the archive's order.

    Parameters
    ----------
    archive: path, or http(s) URL, which is first downloaded to corpora/
    sha256: 64 hex digits, or None for no check
    locale: the release's folder, such as "dv"
    validated: whether to read the rest of validated.tsv too

    Raises
    ------
    FileNotFoundError: no such archive; lists the ways on.
    ConnectionError: the URL cannot be reached, or broke off (the next call goes on from there).
    ValueError: not the archive that `sha256` says, damaged, without that locale, or its tables contradict.
    """
    path = Path(archive)
    if archive.startswith(("http://", "https://")):
        path = CORPORA / _file_name(archive)
        if not path.exists():
            fetch(archive, path)
    if not path.is_file():
        raise FileNotFoundError(f"download.archive: no file {path.absolute()}. Ways on:\n{WAYS_ON}")
    if sha256:
        check_sha256(path, sha256)
    return read_release(path, locale, validated)


def check_sha256(path: Path, expected: str) -> None:
    """Compare a file's sha256 with the expected one, given as 64 hex digits."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ValueError(
            f"{path} is not the archive that download.archive_sha256 names.\n"
            f"  found:    {found}\n"
            f"  expected: {expected}\n"
            "  If the release is another one, set download.archive_sha256 to what was found (null: not"
            " checked); if the download is damaged, move the file away and run again."
        )


def read_release(path: Path, locale: str, validated: bool) -> Iterator[Clip]:
    """Read the clips of a release's three tables, in the archive's order.

    With `validated`, those of validated.tsv as well; a clip that one of the three lists keeps its split.
    Listed clips that the archive lacks come last, without audio. Only regular files are read, and none
    whose name is absolute or climbs with `..`.
    """
    with _readable(path):
        home, listed = _read_tables(path, locale, TABLES | {VALIDATED: "validated"} if validated else TABLES)
        missing = dict(listed)
        with tarfile.open(path) as tar:
            for name, member in _regular_files(tar):
                if name.parent == home / "clips" and name.name in missing:
                    del missing[name.name]
                    yield replace(listed[name.name], audio=tar.extractfile(member).read())
            while tar.fileobj.read(2**20):
                pass  # to the very end, where gzip has its checksum
    if len(missing) == len(listed):
        raise ValueError(f"{path}: none of the {len(listed)} clips listed in {home} is in {home}/clips")
    if missing:
        logger.warning("%s: %d of %d listed clips are missing", path, len(missing), len(listed))
    yield from missing.values()


def _read_tables(path: Path, locale: str, wanted: dict[str, str]) -> tuple[PurePosixPath, dict[str, Clip]]:
    """Find a locale's folder and list the clips of its tables, by file name, without their audio.

    Parameters
    ----------
    wanted: the split of each table, by file name; validated.tsv last
    """
    tables: dict[PurePosixPath, dict[str, bytes]] = {}  # by folder
    locales = set()
    with tarfile.open(path) as tar:
        for name, member in _regular_files(tar):
            if name.name not in wanted or len(name.parts) < 2:
                continue
            locales.add(name.parts[-2])
            if name.parts[-2] == locale:
                found = tables.setdefault(name.parent, {})
                found[name.name] = tar.extractfile(member).read()
                if len(found) == len(wanted):
                    break
    if not tables:
        raise ValueError(
            f"{path}: no tables {', '.join(wanted)} in a folder {locale!r}; the archive has"
            f" {', '.join(sorted(locales)) or 'none at all'}: set download.locale"
        )
    home, found = max(tables.items(), key=lambda item: len(item[1]))
    absent = [name for name in wanted if name != "dev.tsv" and name not in found]
    if absent:
        without = ", or filter.add_validated: false" if absent == [VALIDATED] else ""
        absent = " and no ".join(absent)
        raise ValueError(f"{path}: {home} has no {absent}: it takes a whole release{without}")
    listed: dict[str, Clip] = {}
    for name, split in wanted.items():
        for clip in _list_clips(found.get(name, NO_ROWS), split, f"{path}: {home}/{name}"):
            if name == VALIDATED and clip.id in listed and listed[clip.id].split != split:
                continue
            if clip.id in listed:
                raise ValueError(
                    f"{path}: clip {clip.id} is listed in both {listed[clip.id].split} and {split}:"
                    " a release's splits share no clip, so the archive is not as released; get it anew"
                )
            listed[clip.id] = clip
    return home, listed


def _list_clips(data: bytes, split: str, name: str) -> Iterator[Clip]:
    table = read_table(data, name)
    if table:
        require_columns(table, list(REQUIRED), name, "is it a Common Voice release?")
    for row in table:
        yield Clip(
            id=row["path"],
            split=split,
            speaker=row["client_id"],
            sentence=row["sentence"],
            gender=row.get("gender", ""),
            age=row.get("age", ""),
            accent=row.get("accents", row.get("accent", "")),
            audio=b"",
        )


def _regular_files(tar: tarfile.TarFile) -> Iterator[tuple[PurePosixPath, tarfile.TarInfo]]:
    """Walk an archive's regular files; links, devices and names that leave the archive are passed over."""
    for member in tar:
        name = PurePosixPath(member.name)
        if member.isreg() and not name.is_absolute() and ".." not in name.parts:
            yield name, member


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say of a damaged archive which it is and what to do."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path} is no .tar.gz, or is cut off or damaged ({error}): move it away and get it anew"
        ) from error


def _file_name(url: str) -> str:
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    if not name:
        raise ValueError(f"download.archive {url!r}: the URL has to end with a file name")
    return name
