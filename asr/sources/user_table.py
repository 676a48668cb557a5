"""A table of one's own that names clips: text, JSON, or a spreadsheet program's file. Read row by row."""

import csv
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from asr.sources import workbook
from asr.sources.columns import REQUIRED, by_number, find, matches
from asr.sources.lines import read_lines
from asr.sources.metadata import MAX_COLUMNS, with_header

JSON = (".jsonl", ".json")
SUFFIXES = (".tsv", ".csv", ".txt", *JSON, *workbook.SUFFIXES)
DELIMITERS = ",;\t|"  # spreadsheets write the one that is usual in the country
SAMPLE = 100  # rows that say which column is which where no line names them
MOST_LINES = 1_000  # of one row
Pieces = Iterable[bytes]
Columns = dict[str, str | None]  # as `columns.find` takes them
Rows = Iterator[tuple[int, list[str]]]  # each with its number
Names = Callable[[str], bool]
logger = logging.getLogger(__name__)


def is_table(pieces: Callable[[], Pieces], name: str, columns: Columns, names_file: Names) -> bool:
    """Tell whether a file's first line is that of a table of clips; a workbook is taken for one."""
    suffix = Path(name).suffix.lower()
    if suffix in workbook.SUFFIXES:
        return True
    try:
        first = next(filter(str.strip, read_lines(pieces(), name, _ignore)), "")
        if suffix in JSON:
            return matches(columns, [*json.loads(first)], REQUIRED) == len(REQUIRED)
        return _delimiter(first, suffix, columns, names_file)[1] is not None
    except (ValueError, TypeError, RecursionError):
        return False


def read_table(
    pieces: Callable[[], Pieces],
    name: str,
    columns: Columns,
    names_file: Names = lambda name: False,
    log: Callable[..., None] = logger.info,
) -> Iterator[dict[str, str]]:
    """Read a table with a header, or a .jsonl file with an object a line; a dict per row.

    Quotation marks in a TSV are text, unless the whole table has them as the csv module writes them. A CSV,
    and a TSV whose header has no tab, has that one of DELIMITERS that gives most of the columns. No value is
    special: "null" and "NA" are words. Missing fields at the end of a row, missing keys and null in JSONL
    become "", numbers become text. Rows and columns that spreadsheets leave, without a text or without a
    name, are passed over.

    A table without a header is one whose first field names a file. Its sentences are in the column of long
    texts; of several, which only a `|` may separate, in the last, as LJSpeech has its normalised texts.

    Parameters
    ----------
    pieces: returns the file's bytes, from its beginning
    name: its path, which ends in one of SUFFIXES; a workbook is read from there
    names_file: tells whether there is a file of that name
    log: is told what was taken for what

    Yields
    ------
    the texts under those keys of `columns` for which the table has a column

    Raises
    ------
    ValueError: names the line that is in another encoding, is too long, or has more fields than the header;
        or the table is empty, has too many columns, or not the right ones.
    """
    suffix = Path(name).suffix.lower()
    if suffix in JSON:
        return _read_jsonl(pieces, name, columns, log)
    if suffix in workbook.SUFFIXES:
        return _with_columns(workbook.read_rows(Path(name)), name, columns, log)
    first = next(filter(str.strip, read_lines(pieces(), name, _ignore)), "")
    mark, has_header = _delimiter(first, suffix, columns, names_file)
    lines = read_lines(pieces(), name, logger.warning)
    if mark == " ":
        rows = ((number, line.split(None, 1)) for number, line in enumerate(lines, start=1))
    elif mark in ",;" or suffix == ".csv" and has_header is not False:
        rows = _unquoted(lines, name, mark)
    elif _is_quoted(read_lines(pieces(), name, _ignore), mark, has_header is not False):
        logger.info("%s: quotation marks are read as in a CSV file", name)
        rows = _unquoted(lines, name, mark)
    else:
        rows = ((number, line.split(mark)) for number, line in enumerate(lines, start=1))
    if has_header is False:
        sample = list(islice(rows, SAMPLE))
        columns, header = by_number([fields for _, fields in sample], name, mark)
        rows = chain([(0, header)], sample, rows)
    return _with_columns(rows, name, columns, log)


def _ignore(_: str) -> None:
    """Say nothing of a table that is read once more."""


def _delimiter(first: str, suffix: str, columns: Columns, names_file: Names) -> tuple[str, bool | None]:
    """Return what separates a table's fields, and if its first line names them (False: it names a file)."""
    marks = "\t" if suffix == ".tsv" and "\t" in first else DELIMITERS
    cells = {mark: [cell.strip(' "') for cell in first.split(mark)] for mark in marks}
    best = max(cells, key=lambda mark: (matches(columns, cells[mark]), len(cells[mark])))
    if matches(columns, cells[best], REQUIRED) == len(REQUIRED):
        return best, True
    if suffix == ".txt":
        cells[" "] = first.split(None, 1) or [""]
    if not any(columns.values()):
        for mark, (start, *others) in cells.items():
            if others and names_file(start):
                return mark, False
    return best, None


def _with_columns(
    rows: Rows, name: str, columns: Columns, log: Callable[..., None]
) -> Iterator[dict[str, str]]:
    """Yield the texts of the rows after the header, as `read_table` does."""
    rows = with_header(rows, name)
    _, header = next(rows)
    found = find(columns, header, name, log)
    places = {key: header.index(column) for key, column in found.items()}
    for _, fields in rows:
        yield {key: fields[place] if place < len(fields) else "" for key, place in places.items()}


def _unquoted(lines: Iterator[str], name: str, delimiter: str) -> Rows:
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
    try:
        for fields in reader:
            yield reader.line_num, fields
    except csv.Error as error:
        raise ValueError(f"{name}, line {reader.line_num}: {error}") from error


def _is_quoted(lines: Iterator[str], mark: str, has_header: bool) -> bool:
    """Tell whether a table can be read as quoted, and has a doubled quotation mark or a quoted header."""
    # A row as the csv module writes it: a field with a quotation mark is quoted, and the mark is doubled.
    field = rf'(?:[^"{mark}\n]*|"(?:[^"]|"")*+")'
    quoted_row = re.compile(rf"{field}(?:[{mark}]{field})*")
    needed, is_open, row = False, False, []
    for number, line in enumerate(lines):
        row.append(line)
        is_open ^= line.count('"') % 2
        if is_open and len(row) < MOST_LINES:
            continue
        text = "\n".join(row)
        if '"' in text and not quoted_row.fullmatch(text):
            return False
        needed |= '""' in text or '"' in text and number == 0 and has_header
        row = []
    return needed and not row


def _read_jsonl(
    pieces: Callable[[], Pieces], name: str, columns: Columns, log: Callable[..., None]
) -> Iterator[dict[str, str]]:
    """Read all keys first: any row may lack some."""
    keys: dict[str, None] = {}  # in the order of their first use
    for number, row in _objects(read_lines(pieces(), name, logger.warning), name):
        keys |= dict.fromkeys(row)
        if len(keys) > MAX_COLUMNS:
            raise ValueError(f"{name}, line {number}: more than {MAX_COLUMNS} keys: no table of clips")
    if not keys:
        raise ValueError(f"{name} is empty: every line has to be an object of texts")
    found = find(columns, list(keys), name, log)
    for number, row in _objects(read_lines(pieces(), name, _ignore), name):
        try:
            texts = {key: _value(row.get(column)) for key, column in found.items()}
            "".join(texts.values()).encode()  # a lone surrogate, "\\ud800", is no text
        except (ValueError, TypeError) as error:
            raise _no_object(name, number, error) from error
        yield texts


def _objects(lines: Iterator[str], name: str) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            row.keys()
        except (ValueError, AttributeError, RecursionError) as error:
            raise _no_object(name, number, error) from error
        yield number, row


def _no_object(name: str, number: int, error: Exception) -> ValueError:
    return ValueError(
        f"{name}, line {number}: expected an object of texts, such as"
        f' {{"path": "a.wav", "sentence": "…"}} ({type(error).__name__}: {str(error)[:80]})'
    )


def _value(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"{value!r} is no text")
