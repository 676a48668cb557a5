"""The lines of a text file of any size, one at a time."""

import codecs
from collections.abc import Iterable, Iterator
from itertools import chain

MAX_LINE = 2**20  # bytes; nobody speaks for so long


def read_lines(pieces: Iterable[bytes], name: str) -> Iterator[str]:
    """Split UTF-8, or UTF-16 with its mark, at line feeds.

    A file that begins without line feeds is split at carriage returns.

    Parameters
    ----------
    pieces: the file's bytes
    name: for messages

    Raises
    ------
    ValueError: names the line that is in another encoding, or longer than MAX_LINE.
    """
    pieces = iter(pieces)
    first = next(pieces, b"")
    pieces = chain([first], pieces)
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        pieces = _from_utf16(pieces, name)
    end = b"\n" if b"\n" in first or b"\r" not in first else b"\r"
    number, rest = 1, b""
    for piece in chain(pieces, [end]):
        *whole, rest = (rest + piece).split(end)
        for line in whole:
            text = _decoded(line, f"{name}, line {number}").removesuffix("\r")
            yield text.removeprefix("\ufeff") if number == 1 else text
            number += 1
        _require_length(rest, f"{name}, line {number}")


def _from_utf16(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    try:
        for text in codecs.iterdecode(pieces, "utf-16"):
            yield text.encode()
    except UnicodeError as error:
        raise ValueError(f"{name}: not UTF-16, as its first bytes say: save it as UTF-8") from error


def _decoded(line: bytes, where: str) -> str:
    _require_length(line, where)
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: not UTF-8 ({error.reason}): save it as UTF-8") from error


def _require_length(line: bytes, where: str) -> None:
    if len(line) > MAX_LINE:
        raise ValueError(f"{where}: over {MAX_LINE} bytes without a line feed: that is no table of clips")
