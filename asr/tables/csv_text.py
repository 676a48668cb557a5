"""Tables as text, for the files that are committed."""

import re

import pandas as pd

# Less tab and line feed: C0, delete and C1, and what turns the direction of the text around it.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def to_csv(table: pd.DataFrame) -> str:
    """Write a table as CSV with unix line ends; `pandas.read_csv` reads the same texts.

    Control characters are written as escapes, such as `\\x1b`: people look at committed tables in terminals.
    """
    text = table.to_csv(index=False, lineterminator="\n")
    return CONTROL.sub(lambda control: ascii(control[0])[1:-1], text)
