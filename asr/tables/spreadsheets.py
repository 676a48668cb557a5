"""Tables that people open in spreadsheets: a text that begins like a formula must not become one.

Quotation marks do not help: programs take `=cmd|…` for a formula with or without them. An apostrophe in
front does, and `original` takes it away again.
"""

import csv
import re

import pandas as pd

# What OWASP ("CSV Injection") lists, and the full-width forms that some programs take for it.
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_MARKED = re.compile("'+[=+\\-@\t\r\n＝＋－＠]")


def inert(text: str) -> str:
    """Put an apostrophe in front of a text that a spreadsheet would compute."""
    return f"'{text}" if _FORMULA.match(text) else text


def original(text: str) -> str:
    """Take away what `inert` put in front."""
    return text[1:] if _MARKED.match(text) else text


def to_csv(table: pd.DataFrame) -> str:
    """Write a table as CSV with unix line ends, its texts inert."""
    texts = {
        column: table[column].map(lambda value: inert(value) if isinstance(value, str) else value)
        for column in table
        if not pd.api.types.is_numeric_dtype(table[column])
    }
    # pandas leaves a lone carriage return without quotation marks, and takes it for a line's end again.
    returns = any(column.astype("string").str.contains("\r").any() for column in texts.values())
    quoting = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
    return table.assign(**texts).to_csv(index=False, lineterminator="\n", quoting=quoting)
