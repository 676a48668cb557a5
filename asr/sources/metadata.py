"""Common Voice's tables of clips, read row by row, and what all tables have in common."""

import logging
import posixpath
import unicodedata
from collections.abc import Iterable, Iterator

from asr.sources.lines import read_lines

MAX_COLUMNS = 1_000
NAMED = 5  # lines in a message
Pieces = Iterable[bytes]
Row = dict[str, str]
logger = logging.getLogger(__name__)


def read_release_table(pieces: Pieces, name: str, required: list[str], hint: str) -> Iterator[Row]:
    """Read a TSV as Common Voice writes it: only tabs and line feeds separate, quotation marks are text.

    A row that a line feed in a text has broken is joined again. What is then no row of all columns is left
    out. The log has the number of both, and lines.

    Raises
    ------
    ValueError: names the line that is not UTF-8 or is too long; or the table is empty, has too many columns,
        or has a required one not just once.
    """
    rows = with_header(_joined(read_lines(pieces, name), name), name)
    _, header = next(rows)
    _require_columns(required, header, name, hint)
    for _, fields in rows:
        yield dict(zip(header, fields, strict=True))


def clean_name(name: str) -> str:
    """Write the name of a file in a folder in one way: "./a.wav" and "b\\..\\a.wav" become "a.wav"; NFC."""
    return posixpath.normpath(unicodedata.normalize("NFC", name.replace("\\", "/"))) if name else ""


def with_header(rows: Iterator[tuple[int, list[str]]], name: str) -> Iterator[tuple[int, list[str]]]:
    """Pass on number and fields of the header and of the rows after it, without those that are blank."""
    rows = ((number, fields) for number, fields in rows if any(map(str.strip, fields)))
    number, header = next(rows, (0, []))
    if not header:
        raise ValueError(f"{name} is empty: its first line has to name the columns")
    if len(header) > MAX_COLUMNS:
        raise ValueError(f"{name}: {len(header)} columns, more than {MAX_COLUMNS}: that is no table of clips")
    yield number, [column.strip() for column in header]
    for number, fields in rows:
        if any(map(str.strip, fields[len(header) :])):
            raise ValueError(
                f"{name}, line {number}: {len(fields)} fields, but the header has {len(header)} columns"
            )
        yield number, fields


def _require_columns(required: list[str], found: list[str], name: str, hint: str) -> None:
    missing = [column for column in required if column not in found]
    if missing:
        named = ", ".join(filter(None, found)) or "none"
        raise ValueError(f"{name}: no column {', '.join(missing)} among {named}: {hint}")
    twice = [column for column in required if found.count(column) > 1]
    if twice:
        raise ValueError(f"{name}: more than one column {', '.join(map(repr, twice))}: rename all but one")


def _joined(lines: Iterator[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield rows as wide as the first one."""
    width, start, waiting, joined, lost = 0, 0, [], [], []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        fields = line.split("\t")
        width = width or len(fields)
        if waiting and len(fields) < width and len(waiting) + len(fields) - 1 <= width:
            waiting = [*waiting[:-1], f"{waiting[-1]} {fields[0]}", *fields[1:]]
        else:
            lost += [start] if waiting else []
            start, waiting = number, fields
        if len(waiting) == width:
            joined += [start] if start < number else []
            yield start, waiting
        elif len(waiting) > width:
            lost.append(start)
        if len(waiting) >= width:
            waiting = []
    lost += [start] if waiting else []
    for numbers, what in ((joined, "rows that a line feed had broken are joined"), (lost, "are left out")):
        if numbers:
            some = ", ".join(map(str, numbers[:NAMED])) + ", …" * (len(numbers) > NAMED)
            logger.warning("%s: %d %s (lines %s)", name, len(numbers), what, some)
