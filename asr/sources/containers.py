"""The files in a tar (plain, gzip, bzip2, xz) or zip, in its order, read as they are: nothing is unpacked.

A folder is read like an archive of its files, ordered by name.

An archive may say anything about itself. Only regular files are read, and none with an absolute name or with
`..` in it. They are read in small pieces, headers of up to HEADER_BYTES, and what was unpacked is counted.
"""

import bz2
import errno
import gzip
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

PIECE_BYTES = 2**20
HEADER_BYTES = 2**17  # of all headers of a file in a tar together; names and times take a few kilobytes
# No release comes near: clips do not shrink.
MOST_EXPANSION = 100
EXPANSION_FROM = 2**30  # bytes; below, an archive may expand as it likes
FILES = (0, stat.S_IFREG)  # a zip need not say
BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile unpacks the others without a bound
_OPENERS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


class Member(NamedTuple):
    """A regular file of an archive, to be read before the next one is asked for."""

    name: PurePosixPath
    size: int  # bytes, unpacked, as the archive says; no more than these are read
    pieces: Callable[[], Iterator[bytes]]

    def read(self) -> bytes:
        """Read the whole file."""
        return b"".join(self.pieces())


def members(path: Path) -> Iterator[Member]:
    """Yield the regular files of an archive or a folder. Reads to the very end, where gzip has its checksum.

    Raises
    ------
    ValueError: no archive, damaged, encrypted, or unpacks to far more than its own size.
    """
    if path.is_dir():
        yield from _folder(path)
        return
    with path.open("rb") as file:
        magic = file.read(6)
    with _readable(path):
        for member in (_zip if magic.startswith(b"PK") else _tar)(path, magic):
            if not member.name.is_absolute() and ".." not in member.name.parts:
                yield member


def _folder(path: Path) -> Iterator[Member]:
    for place, folders, names in os.walk(path):
        folders.sort()
        for file in [Path(place, name) for name in sorted(names)]:
            status = file.lstat()
            if stat.S_ISREG(status.st_mode):  # no link, which may lead anywhere
                name = PurePosixPath(file.relative_to(path).as_posix())
                yield Member(name, status.st_size, partial(file_pieces, file))


def file_pieces(file: Path) -> Iterator[bytes]:
    """Read a file on the disk in pieces of PIECE_BYTES."""
    with file.open("rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            yield piece


def _tar(path: Path, magic: bytes) -> Iterator[Member]:
    opener = next((open_ for start, open_ in _OPENERS.items() if magic.startswith(start)), open)
    with opener(path, "rb") as stream:
        headers = _Headers(stream, path)
        with tarfile.open(fileobj=headers, mode="r:") as tar:
            while info := tar.next():
                if info.size < 0 or info.issparse():
                    raise ValueError(f"{info.name!r} is a sparse file or has no size: pack it anew")
                _require_proportion(path, info.offset_data + info.size)
                if info.isreg():
                    pieces = partial(_tar_pieces, stream, path, info.offset_data, info.size)
                    yield Member(PurePosixPath(info.name), info.size, pieces)
                # tarfile keeps them all
                tar.members.clear()
                tar.pax_headers.clear()
                headers.left = HEADER_BYTES
        while stream.read(PIECE_BYTES):
            _require_proportion(path, stream.tell())


def _tar_pieces(stream, path: Path, start: int, size: int) -> Iterator[bytes]:
    with _readable(path):
        stream.seek(start)
        while size:
            piece = stream.read(min(size, PIECE_BYTES))
            if not piece:
                raise EOFError("unexpected end of data")
            size -= len(piece)
            yield piece


class _Headers:
    """The part of a stream's interface that tarfile uses, which is to read headers only."""

    def __init__(self, stream, path: Path) -> None:
        self.stream, self.path, self.left = stream, path, HEADER_BYTES

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self.left:
            raise ValueError(f"the headers of one file have more than {HEADER_BYTES} bytes")
        self.left -= size
        return self.stream.read(size)

    def seek(self, position: int) -> int:
        _require_proportion(self.path, position)
        return self.stream.seek(position)

    def tell(self) -> int:
        return self.stream.tell()


def _zip(path: Path, magic: bytes) -> Iterator[Member]:
    unpacked = 0

    def pieces(info: zipfile.ZipInfo) -> Iterator[bytes]:
        nonlocal unpacked
        with _readable(path), archive.open(info) as file:
            while piece := file.read(PIECE_BYTES):
                unpacked += len(piece)
                _require_proportion(path, unpacked)
                yield piece

    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            # Not is_dir(), which fails on a name that is empty (Python 3.11).
            if info.filename[-1:] in ("", "/") or stat.S_IFMT(info.external_attr >> 16) not in FILES:
                continue
            if info.flag_bits & 1:
                raise ValueError(f"{info.filename!r} is encrypted: pack it without a password")
            if info.compress_type not in BOUNDED:
                raise ValueError(f"{info.filename!r} is not packed with deflate: pack it so, or as .tar.gz")
            yield Member(PurePosixPath(info.filename), info.file_size, partial(pieces, info))


def _require_proportion(path: Path, unpacked: int) -> None:
    packed = path.stat().st_size
    if unpacked > max(EXPANSION_FROM, MOST_EXPANSION * packed):
        raise ValueError(f"its {packed} bytes unpack to {unpacked} or more, which no release does")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what is wrong with an archive into one ValueError that names it and says what to do."""
    try:
        yield
    except (
        tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError,
        ValueError, ArithmeticError, LookupError, TypeError, RuntimeError, OSError,
    ) as error:  # fmt: skip
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # of the disk, not of what is in the file; a place before its beginning is EINVAL
        raise ValueError(
            f"{path} cannot be read: {error}. It has to be a whole .tar, .tar.gz or .zip; if it is cut off or"
            " damaged, move it away and get it anew"
        ) from error
