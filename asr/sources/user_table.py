"""A table of one's own that names clips: TSV, CSV, JSONL or a spreadsheet program's file. Read row by row."""

import csv
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from asr.sources import workbook
from asr.sources.columns import find, matches
from asr.sources.lines import read_lines
from asr.sources.metadata import MAX_COLUMNS, with_header

SUFFIXES = (".tsv", ".csv", ".jsonl", *workbook.SUFFIXES)
DELIMITERS = ",;\t|"  # of a .csv: spreadsheets write the one that is usual in the country
TAKES = (
    f"It takes the audio files and a table ({', '.join(SUFFIXES)}) with a row per file, or annotations: set"
    " path and table; without any, `make sample`"
)
SHOWN = 5  # tables in a message
MOST_LINES = 1_000  # of one row
# A row as the csv module writes it: a field with a quotation mark is quoted, and the mark is doubled.
_FIELD = r'(?:[^"\t\n]*|"(?:[^"]|"")*+")'
_QUOTED_ROW = re.compile(rf"{_FIELD}(?:\t{_FIELD})*")
Pieces = Iterable[bytes]
Columns = dict[str, str | None]  # as `columns.find` takes them
logger = logging.getLogger(__name__)


def find_table(folder: Path, name: str | None) -> Path | None:
    """Return the path of the named table, or of the only one in the folder; None: it has none.

    Raises
    ------
    FileNotFoundError: there is no such table.
    ValueError: there are several, or the named one is of another kind.
    """
    if name is None:
        visible = (file for file in folder.glob("*") if not file.name.startswith((".", "~$")))  # ~$: a lock
        tables = sorted(file for file in visible if file.suffix.lower() in SUFFIXES and file.is_file())
        if len(tables) > 1:
            several = ", ".join(file.name for file in tables[:SHOWN]) + ", …" * (len(tables) > SHOWN)
            raise ValueError(f"{folder} has several tables ({several}): set table to one")
        return tables[0] if tables else None
    table = folder / name
    if not table.is_file():
        raise FileNotFoundError(f"no table {table.absolute()}. {TAKES}")
    if table.suffix.lower() not in SUFFIXES:
        raise ValueError(f"table {name!r} has to be one of {', '.join(SUFFIXES)}")
    return table


def read_table(pieces: Callable[[], Pieces], name: str, columns: Columns) -> Iterator[dict[str, str]]:
    """Read a table with a header, or a .jsonl file with an object a line; a dict per row.

    Quotation marks in a TSV are text, unless the whole table has them as the csv module writes them. A CSV,
    and a TSV whose header has no tab, has that one of DELIMITERS that gives most of the columns. No value is
    special: "null" and "NA" are words. Missing fields at the end of a row, missing keys and null in JSONL
    become "", numbers become text. Rows and columns that spreadsheets leave, without a text or without a
    name, are passed over.

    Parameters
    ----------
    pieces: returns the file's bytes, from its beginning
    name: its path, which ends in one of SUFFIXES; a workbook is read from there

    Yields
    ------
    the texts under those keys of `columns` for which the table has a column

    Raises
    ------
    ValueError: names the line that is in another encoding, is too long, or has more fields than the header;
        or the table is empty, has too many columns, or not the right ones.
    """
    suffix = Path(name).suffix.lower()
    if suffix == ".jsonl":
        return _read_jsonl(pieces, name, columns)
    if suffix in workbook.SUFFIXES:
        return _with_columns(workbook.read_rows(Path(name)), name, columns)
    first = next(read_lines(pieces(), name, _ignore), "")
    cells = {mark: [cell.strip(' "') for cell in first.split(mark)] for mark in DELIMITERS}
    mark = max(cells, key=lambda mark: (matches(columns, cells[mark]), len(cells[mark])))
    lines = read_lines(pieces(), name, logger.warning)
    if suffix == ".csv" or mark != "\t" and "\t" not in first:
        rows = _unquoted(lines, name, mark)
    elif _is_quoted(read_lines(pieces(), name, _ignore)):
        logger.info("%s: quotation marks are read as in a CSV file", name)
        rows = _unquoted(lines, name, "\t")
    else:
        rows = ((number, line.split("\t")) for number, line in enumerate(lines, start=1))
    return _with_columns(rows, name, columns)


def _ignore(_: str) -> None:
    """Say nothing of a table that is read once more."""


def _with_columns(
    rows: Iterator[tuple[int, list[str]]], name: str, columns: Columns
) -> Iterator[dict[str, str]]:
    """Yield the texts of the rows after the header, as `read_table` does."""
    rows = with_header(rows, name)
    _, header = next(rows)
    found = find(columns, header, name)
    places = {key: header.index(column) for key, column in found.items()}
    for _, fields in rows:
        yield {key: fields[place] if place < len(fields) else "" for key, place in places.items()}


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


def _read_jsonl(pieces: Callable[[], Pieces], name: str, columns: Columns) -> Iterator[dict[str, str]]:
    """Read all keys first: any row may lack some."""
    keys: dict[str, None] = {}  # in the order of their first use
    for number, row in _objects(read_lines(pieces(), name, logger.warning), name):
        keys |= dict.fromkeys(row)
        if len(keys) > MAX_COLUMNS:
            raise ValueError(f"{name}, line {number}: more than {MAX_COLUMNS} keys: no table of clips")
    if not keys:
        raise ValueError(f"{name} is empty: every line has to be an object of texts")
    found = find(columns, list(keys), name)
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
