"""The lines of a text file of any size, one at a time."""

import codecs
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

WINDOWS = "cp1252"  # of Western European languages
SHOWN = 80  # characters of a line in a message
MAX_LINE = 2**20  # bytes; nobody speaks for so long


def read_lines(
    pieces: Iterable[bytes], name: str, warn: Callable[[str], None] | None = None
) -> Iterator[str]:
    """Split UTF-8, or UTF-16 with its mark, or what a Western Windows writes, at line feeds.

    A file that begins without line feeds is split at carriage returns.

    Parameters
    ----------
    pieces: the file's bytes
    name: for messages
    warn: called if the file is read as Windows-1252, because its first line beyond ASCII is not UTF-8; None:
        that is refused

    Raises
    ------
    ValueError: names the line that is in another encoding than those before, or longer than MAX_LINE.
    """
    pieces = iter(pieces)
    first = next(pieces, b"")
    pieces = chain([first], pieces)
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        pieces = _from_utf16(pieces, name)
    end = b"\n" if b"\n" in first or b"\r" not in first else b"\r"
    number, rest, encoding = 1, b"", None  # of the lines beyond ASCII
    for piece in chain(pieces, [end]):
        *whole, rest = (rest + piece).split(end)
        for line in whole:
            where = f"{name}, line {number}"
            _require_length(line, where)
            if not line.isascii():
                found = _encoding(line, where)
                if encoding is None and found == WINDOWS and warn:
                    some = line.decode(WINDOWS)[:SHOWN]
                    warn(f"{where} is not UTF-8, so it is read as Windows-1252: {some!r}")
                elif found != (encoding or "utf-8"):
                    raise ValueError(f"{where}: not {(encoding or 'utf-8').upper()}: save it as UTF-8")
                encoding = found
            text = line.decode(encoding or "utf-8").removesuffix("\r")
            yield text.removeprefix("\ufeff") if number == 1 else text
            number += 1
        _require_length(rest, f"{name}, line {number}")


def _from_utf16(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    try:
        for text in codecs.iterdecode(pieces, "utf-16"):
            yield text.encode()
    except UnicodeError as error:
        raise ValueError(f"{name}: not UTF-16, as its first bytes say: save it as UTF-8") from error


def _encoding(line: bytes, where: str) -> str:
    for encoding in ("utf-8", WINDOWS):
        try:
            line.decode(encoding)
            return encoding
        except UnicodeDecodeError:
            pass
    raise ValueError(f"{where}: not UTF-8: save it as UTF-8")


def _require_length(line: bytes, where: str) -> None:
    if len(line) > MAX_LINE:
        raise ValueError(
            f"{where}: over {MAX_LINE} bytes without a line feed: which no table or annotation has"
        )
