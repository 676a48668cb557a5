"""Tables that name clips: Common Voice's TSVs, and a user's own TSV or CSV."""

import csv
import io
from pathlib import PurePath


def read_table(data: bytes, name: str) -> list[dict[str, str]]:
    """Read a .tsv or .csv file with a header to a dict per row.

    TSV as Common Voice writes it: tabs and line feeds part, all else is text, quotation marks too. CSV as
    spreadsheets write it. No value is special: "null" and "NA" are words. A row that ends early is
    filled up with "".

    Raises
    ------
    ValueError: not UTF-8, no header, or a row with more fields than the header; names the line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"{name}, line {line}: not UTF-8 ({error.reason}): save it as UTF-8") from error
    if PurePath(name).suffix.lower() == ".csv":
        numbered = _csv_lines(text, name)
    else:
        lines = (line.removesuffix("\r") for line in text.split("\n"))
        numbered = [(number, line.split("\t")) for number, line in enumerate(lines, start=1) if line]
    if not numbered:
        raise ValueError(f"{name} is empty: its first line has to name the columns")
    (_, header), *rows = numbered
    table = []
    for number, fields in rows:
        if len(fields) > len(header):
            raise ValueError(
                f"{name}, line {number}: {len(fields)} fields, but the header has {len(header)} columns"
            )
        fields += [""] * (len(header) - len(fields))
        table.append(dict(zip(header, fields, strict=True)))
    return table


def require_columns(table: list[dict[str, str]], columns: list[str], name: str, hint: str) -> None:
    """Raise a ValueError, with a hint how to mend it, if a table lacks one of the columns."""
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
