"""Tables as text, for the files that are committed."""

import csv

import pandas as pd


def to_csv(table: pd.DataFrame) -> str:
    """Write a table as CSV with unix line ends; `pandas.read_csv` reads the same texts.

    Before Python 3.13, a lone carriage return is written without quotation marks and then read as the end
    of a row. A table with such a text has quotation marks around all of its texts.
    """
    text = table.to_csv(index=False, lineterminator="\n")
    if "\r" in text:
        return table.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    return text
