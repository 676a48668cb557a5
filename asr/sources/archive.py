"""A Common Voice release that is on this machine: an archive, or the folder that it was unpacked to."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from asr.params import Archive
from asr.sources.release import read_release
from asr.tables.corpus import Clip


def clips(corpus: Archive) -> Iterator[Clip]:
    """Read the clips of a release, in the archive's order.

    Raises
    ------
    ValueError: not the archive that `sha256` says, damaged, without that locale, or its tables contradict.
    """
    path = Path(corpus.path)
    if corpus.sha256 and path.is_dir():
        raise ValueError(f"{path} is a folder, which has no checksum: set sha256 to null")
    if corpus.sha256:
        check_sha256(path, corpus.sha256)
    return read_release(path, corpus)


def check_sha256(path: Path, expected: str) -> None:
    """Raise a ValueError unless a file has the expected sha256, 64 hex digits."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ValueError(
            f"{path} is not the archive that sha256 names.\n"
            f"  found:    {found}\n"
            f"  expected: {expected}\n"
            "  For another release, set sha256 to what was found (null: not checked). If the"
            " file should be the expected one, it is damaged: download it again."
        )
