"""Tables that name clips: Common Voice's TSVs, and a user's own TSV, CSV or JSONL."""

import csv
import io
import json
from pathlib import PurePath

SUFFIXES = (".tsv", ".csv", ".jsonl")
# A table is read whole, and its rows have every column; what is beyond these was made to fill a memory.
MAX_TABLE_BYTES = 2**31
MAX_COLUMNS = 1_000
MAX_FIELD = 2**17  # characters; the csv module's own limit


def read_table(data: bytes, name: str) -> list[dict[str, str]]:
    """Read a .tsv or .csv file with a header, or a .jsonl file with an object a line, to a dict per row.

    TSV is read as Common Voice writes it: only tabs and line feeds separate, quotation marks are text. CSV
    is read as spreadsheets write it. No value is special: "null" and "NA" are words. Missing fields at the
    end of a row, missing keys and null in JSONL become "", numbers become text. Lines end with a line feed,
    or with a carriage return in a file without line feeds.

    Raises
    ------
    ValueError: names the line that is not UTF-8, or has more fields than the header, or too long a field;
        or the header is missing, names a column twice, or has too many.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"{name}, line {line}: not UTF-8 ({error.reason}): save it as UTF-8") from error
    if "\n" not in text:
        text = text.replace("\r", "\n")
    suffix = PurePath(name).suffix.lower()
    if suffix == ".csv":
        numbered = _csv_lines(text, name)
    elif suffix == ".jsonl":
        numbered = _json_lines(text, name)
    else:
        lines = (line.removesuffix("\r") for line in text.split("\n"))
        numbered = [(number, line.split("\t")) for number, line in enumerate(lines, start=1) if line]
    if not numbered:
        raise ValueError(f"{name} is empty: its first line has to name the columns")
    (_, header), *rows = numbered
    if len(header) > MAX_COLUMNS:
        raise ValueError(f"{name}: {len(header)} columns, more than {MAX_COLUMNS}: that is no table of clips")
    twice = [column for column in dict.fromkeys(header) if header.count(column) > 1]
    if twice:
        raise ValueError(f"{name}: more than one column {', '.join(map(repr, twice))}: rename all but one")
    table = []
    for number, fields in rows:
        if max(map(len, fields)) > MAX_FIELD:
            raise ValueError(
                f"{name}, line {number}: a field of {max(map(len, fields))} characters, more than {MAX_FIELD}"
            )
        if len(fields) > len(header):
            raise ValueError(
                f"{name}, line {number}: {len(fields)} fields, but the header has {len(header)} columns"
            )
        fields += [""] * (len(header) - len(fields))
        table.append(dict(zip(header, fields, strict=True)))
    return table


def require_columns(table: list[dict[str, str]], columns: list[str], name: str, hint: str) -> None:
    """Raise a ValueError that ends with a hint if a table lacks one of the columns."""
    found = list(table[0]) if table else []
    missing = [column for column in columns if column not in found]
    if missing:
        raise ValueError(f"{name}: no column {', '.join(missing)} among {', '.join(found) or 'none'}: {hint}")


def _csv_lines(text: str, name: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [(reader.line_num, fields) for fields in reader if fields]
    except csv.Error as error:
        raise ValueError(f"{name}, line {reader.line_num}: {error}") from error


def _json_lines(text: str, name: str) -> list[tuple[int, list[str]]]:
    """Return a header of all keys, in the order of their first use, and a line of values per object."""
    rows, keys = [], {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            texts = {key: _text(value) for key, value in row.items()}
            "".join([*texts, *texts.values()]).encode()  # a lone surrogate, "\\ud800", is no text
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(
                f"{name}, line {number}: expected an object of texts, such as"
                f' {{"path": "a.wav", "sentence": "…"}} ({type(error).__name__}: {str(error)[:80]})'
            ) from error
        keys |= dict.fromkeys(texts)
        if len(keys) > MAX_COLUMNS:
            raise ValueError(f"{name}, line {number}: more than {MAX_COLUMNS} keys: no table of clips")
        rows.append((number, texts))
    if not rows:
        return []
    return [(0, list(keys)), *((number, [row.get(key, "") for key in keys]) for number, row in rows)]


def _text(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"{value!r} is no text")
