"""Foreign text on its way to a terminal or a log: names from archives and tables, sentences, transcripts."""

import logging
import re
from typing import TextIO

# Less tab and line feed: C0, delete and C1, and what turns the direction of the text around it.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Write control characters as escapes, such as `\\x1b`, so that none of them moves a cursor."""
    return CONTROL.sub(lambda control: ascii(control[0])[1:-1], text)


class Formatter(logging.Formatter):
    """Make all that is logged visible."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


class Output:
    """Make all that is written to a stream visible. Progress bars go to another stream, standard error."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        return self.stream.write(visible(text))

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)
