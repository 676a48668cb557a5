"""A Common Voice release that is on this machine: an archive, or the folder that it was unpacked to."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from asr.sources.release import read_release
from asr.tables.corpus import Clip

CORPORA = Path("corpora")
WAYS_ON = """\
  - you have the release: move it there, or `dvc exp run -S download.archive=/path/to/it.tar.gz`
  - it has an address: `dvc get-url https://… {archive}`
  - Mozilla Data Collective, which has the new releases: accept the dataset's terms there, set MDC_API_KEY
    and download.source=mdc
  - a dataset repository on the model hub: download.source=hub and download.hub.dataset
  - your own recordings: download.source=folder and download.folder
  - no corpus at all: `make sample` runs the whole pipeline on a synthetic one"""


def clips(
    archive: str, sha256: str | None, locale: str, test_fraction: float, validated: bool
) -> Iterator[Clip]:
    """Read the clips of a release, in the archive's order.

    Parameters
    ----------
    archive: path of the file, or of the folder that it was unpacked to
    sha256: 64 hex digits, or None for no check
    locale: of the clips, such as "dv"
    test_fraction: of the speakers, who become the test set of a release without one
    validated: whether to read the rest of validated.tsv too

    Raises
    ------
    FileNotFoundError: no such archive; says where to get one.
    ValueError: not the archive that `sha256` says, damaged, without that locale, or its tables contradict.
    """
    path = Path(archive)
    if not path.exists():
        raise FileNotFoundError(
            f"download.archive: no file or folder {path.absolute()}. Ways on:\n"
            f"{WAYS_ON.format(archive=archive)}"
        )
    if sha256 and path.is_dir():
        raise ValueError(f"{path} is a folder, which has no checksum: set download.archive_sha256 to null")
    if sha256:
        check_sha256(path, sha256)
    return read_release(path, locale, test_fraction, validated)


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
