"""The files in a tar (plain, gzip, bzip2, xz) or zip, in its order, read as they are: nothing is unpacked.

The headers of an archive are not to be trusted. Only regular files are read, and none with an absolute name
or with `..` in it; the unpacked size of each file and of all of them is bounded.
"""

import bz2
import errno
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

# No release comes near: clips do not shrink. Gzip can do 1000, and nested headers any number.
MOST_EXPANSION = 100
EXPANSION_FROM = 2**30  # bytes; below, an archive may expand as it likes
HEADER_BYTES = 2**28  # of a single read: tarfile reads extended headers whole, whatever size they name
FILES = (0, stat.S_IFREG)  # a zip need not say
_OPENERS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


class Member(NamedTuple):
    """A regular file of an archive."""

    name: PurePosixPath
    size: int  # bytes, unpacked, as the archive has it
    read: Callable[[], bytes]  # to be called before the next member is asked for


def members(path: Path) -> Iterator[Member]:
    """Yield an archive's regular files. Reads to the very end, where gzip has its checksum.

    Raises
    ------
    ValueError: no archive, damaged, encrypted, or unpacks to far more than its own size.
    """
    with path.open("rb") as file:
        magic = file.read(6)
    with _readable(path):
        for member in (_zip if magic.startswith(b"PK") else _tar)(path, magic):
            if not member.name.is_absolute() and ".." not in member.name.parts:
                yield member


def _tar(path: Path, magic: bytes) -> Iterator[Member]:
    opener = next((open_ for start, open_ in _OPENERS.items() if magic.startswith(start)), open)
    with opener(path, "rb") as stream:
        guarded = _Guarded(stream, path)
        with tarfile.open(fileobj=guarded, mode="r:") as tar:
            while info := tar.next():
                guarded.require(info.offset_data + info.size)
                if info.isreg():
                    read = partial(_read, path, lambda info: tar.extractfile(info).read(), info)
                    yield Member(PurePosixPath(info.name), info.size, read)
                tar.members.clear()  # or tarfile keeps them all
        while guarded.read(2**20):
            pass


def _zip(path: Path, magic: bytes) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        _require_proportion(path, sum(info.file_size for info in archive.infolist()))
        for info in archive.infolist():
            # Not is_dir(), which fails on a name that is empty (Python 3.11).
            if info.filename[-1:] in ("", "/") or stat.S_IFMT(info.external_attr >> 16) not in FILES:
                continue
            if info.flag_bits & 1:
                raise ValueError(f"{path}: {info.filename!r} is encrypted: unpack it, and pack it without")
            name = PurePosixPath(info.filename)
            yield Member(name, info.file_size, partial(_read, path, archive.read, info))


def _read(path: Path, read: Callable, info: tarfile.TarInfo | zipfile.ZipInfo) -> bytes:
    with _readable(path):
        return read(info)


class _Guarded:
    """The part of a stream's interface that tarfile uses, with bounds on what is unpacked."""

    def __init__(self, stream, path: Path) -> None:
        self.stream, self.path = stream, path

    def require(self, position: int) -> None:
        _require_proportion(self.path, position)

    def read(self, size: int) -> bytes:
        if size > HEADER_BYTES:
            raise ValueError(f"{self.path}: a header of {size} bytes: it is made to fill a memory")
        self.require(self.stream.tell())
        return self.stream.read(size)

    def seek(self, position: int) -> int:
        self.require(position)
        return self.stream.seek(position)

    def tell(self) -> int:
        return self.stream.tell()


def _require_proportion(path: Path, unpacked: int) -> None:
    packed = path.stat().st_size
    if unpacked > max(EXPANSION_FROM, MOST_EXPANSION * packed):
        raise ValueError(
            f"{path} has {packed} bytes and unpacks to {unpacked} or more: it is made to fill a disk or a"
            " memory; no release is like that"
        )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn the errors of a damaged archive into a ValueError that names it and says what to do."""
    try:
        yield
    except (
        tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError,
        NotImplementedError, OverflowError, OSError,
    ) as error:  # fmt: skip
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # of the disk, not of what is in the file; a place before its beginning is EINVAL
        raise ValueError(
            f"{path} is no .tar, .tar.gz or .zip, or is cut off or damaged ({error}): move it away and get it"
            " anew"
        ) from error
