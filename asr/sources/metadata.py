"""Tables that name clips: Common Voice's TSVs, and a user's own TSV, CSV or JSONL. Read row by row."""

import csv
import json
import logging
import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import PurePath

from asr.sources.lines import read_lines

SUFFIXES = (".tsv", ".csv", ".jsonl")
MAX_COLUMNS = 1_000
DELIMITERS = ",;\t|"  # of a .csv: spreadsheets write the one that is usual in the country
NAMED = 5  # lines in a message
MOST_LINES = 1_000  # of one row
# A row as the csv module writes it: a field with a quotation mark is quoted, and the mark is doubled.
_FIELD = r'(?:[^"\t\n]*|"(?:[^"]|"")*+")'
_QUOTED_ROW = re.compile(rf"{_FIELD}(?:\t{_FIELD})*")
Pieces = Iterable[bytes]
Row = dict[str, str]
logger = logging.getLogger(__name__)


def read_table(pieces: Callable[[], Pieces], name: str, required: list[str], hint: str) -> Iterator[Row]:
    """Read a user's .tsv or .csv file with a header, or .jsonl file with an object a line; a dict per row.

    Quotation marks in a TSV are text, unless the whole table has them as the csv module writes them. A CSV
    has that one of DELIMITERS that gives the required columns. No value is special: "null" and "NA" are
    words. Missing fields at the end of a row, missing keys and null in JSONL become "", numbers become text.
    Rows and columns that spreadsheets leave, without a text or without a name, are passed over.

    Parameters
    ----------
    pieces: returns the file's bytes, from its beginning
    name: ends in one of SUFFIXES
    required: columns; there may be others
    hint: what to do if one of them is missing

    Raises
    ------
    ValueError: names the line that is not UTF-8, is too long, or has more fields than the header; or the
        table is empty, has too many columns, or has a required one not just once.
    """
    lines = read_lines(pieces(), name)
    suffix = PurePath(name).suffix.lower()
    if suffix == ".jsonl":
        return _read_jsonl(lines, name, required, hint)
    if suffix == ".csv":
        first = next(lines, "")
        found = {mark: {cell.strip(' "') for cell in first.split(mark)} for mark in DELIMITERS}
        mark = max(DELIMITERS, key=lambda mark: len(found[mark].intersection(required)))
        rows = _unquoted(chain([first], lines), name, mark)
    elif _is_quoted(read_lines(pieces(), name)):
        logger.info("%s: quotation marks are read as in a CSV file", name)
        rows = _unquoted(lines, name, "\t")
    else:
        rows = ((number, line.split("\t")) for number, line in enumerate(lines, start=1))
    return _with_header(rows, name, required, hint)


def read_release_table(pieces: Pieces, name: str, required: list[str], hint: str) -> Iterator[Row]:
    """Read a TSV as Common Voice writes it: only tabs and line feeds separate, quotation marks are text.

    A row that a line feed in a text has broken is joined again. What is then no row of all columns is left
    out. The log has the number of both, and lines.

    Raises
    ------
    ValueError: as `read_table`, but whatever the number of fields.
    """
    return _with_header(_joined(read_lines(pieces, name), name), name, required, hint)


def clean_name(name: str) -> str:
    """Write the name of a file in a folder in one way: "./a.wav" and "b\\..\\a.wav" become "a.wav"; NFC."""
    return posixpath.normpath(unicodedata.normalize("NFC", name.replace("\\", "/"))) if name else ""


def _with_header(
    rows: Iterator[tuple[int, list[str]]], name: str, required: list[str], hint: str
) -> Iterator[Row]:
    """Yield a dict for each row after the first that is not blank."""
    rows = ((number, fields) for number, fields in rows if any(map(str.strip, fields)))
    _, header = next(rows, (0, []))
    if not header:
        raise ValueError(f"{name} is empty: its first line has to name the columns")
    if len(header) > MAX_COLUMNS:
        raise ValueError(f"{name}: {len(header)} columns, more than {MAX_COLUMNS}: that is no table of clips")
    header = [column.strip() for column in header]
    _require_columns(required, header, name, hint)
    for number, fields in rows:
        if any(map(str.strip, fields[len(header) :])):
            raise ValueError(
                f"{name}, line {number}: {len(fields)} fields, but the header has {len(header)} columns"
            )
        yield dict.fromkeys(header, "") | dict(zip(header, fields, strict=False))


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


def _unquoted(lines: Iterator[str], name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
    try:
        for fields in reader:
            yield reader.line_num, fields
    except csv.Error as error:
        raise ValueError(f"{name}, line {reader.line_num}: {error}") from error


def _is_quoted(lines: Iterator[str]) -> bool:
    """Tell whether a TSV can be read as quoted, and has a doubled mark or a quoted header."""
    needed, is_open, row = False, False, []
    for number, line in enumerate(lines):
        row.append(line)
        is_open ^= line.count('"') % 2
        if is_open and len(row) < MOST_LINES:
            continue
        text = "\n".join(row)
        if '"' in text and not _QUOTED_ROW.fullmatch(text):
            return False
        needed |= '""' in text or '"' in text and number == 0
        row = []
    return needed and not row


def _read_jsonl(lines: Iterator[str], name: str, required: list[str], hint: str) -> Iterator[Row]:
    found: dict[str, None] = {}  # in the order of their first use
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = {key: _value(value) for key, value in json.loads(line).items()}
            "".join([*row, *row.values()]).encode()  # a lone surrogate, "\\ud800", is no text
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(
                f"{name}, line {number}: expected an object of texts, such as"
                f' {{"path": "a.wav", "sentence": "…"}} ({type(error).__name__}: {str(error)[:80]})'
            ) from error
        found |= dict.fromkeys(row)
        if len(found) > MAX_COLUMNS:
            raise ValueError(f"{name}, line {number}: more than {MAX_COLUMNS} keys: no table of clips")
        yield dict.fromkeys(required, "") | row
    if not found:
        raise ValueError(f"{name} is empty: every line has to be an object of texts")
    _require_columns(required, list(found), name, hint)


def _value(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"{value!r} is no text")
