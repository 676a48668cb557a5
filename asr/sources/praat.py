"""Praat's TextGrids (https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html), long and short.

Praat itself takes the numbers, texts and flags that stand alone, and ignores all else. So does this, in fewer
lines than calls of praatio 6.2.2 would take, which stumbles over texts such as "item [1]" and over texts that
are neither UTF-8 nor UTF-16.
"""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from asr.sources.containers import file_pieces
from asr.sources.lines import read_lines
from asr.sources.tiers import Annotation, Tier

_TOKEN = re.compile(r'(?<!\S)(?:"((?:[^"]|"")*+)"|([-+]?\d[\d.]*(?:[eE][-+]?\d+)?)|<\w+>|!.*)(?!\S)')
logger = logging.getLogger(__name__)


def read(file: Path) -> list[Tier]:
    """Return the tiers of intervals. Intervals without a text are pauses, and left out.

    Raises
    ------
    ValueError: it is no TextGrid as text, or it ends early.
    """
    text = "\n".join(read_lines(file_pieces(file), str(file), logger.warning))
    try:
        return list(_tiers(_TOKEN.finditer(text)))
    except (RuntimeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{file} is no whole TextGrid: save it anew in Praat, as a text file") from error


def _tiers(tokens: Iterator[re.Match]) -> Iterator[Tier]:
    values = (_value(token) for token in tokens if token[1] is not None or token[2])
    if (next(values), next(values)) != ("ooTextFile", "TextGrid"):
        raise ValueError
    next(values), next(values)  # from and to
    for _ in range(int(next(values))):
        kind, name = next(values), next(values)
        next(values), next(values)
        size = int(next(values))
        if kind == "IntervalTier":
            found = [(next(values), next(values), next(values)) for _ in range(size)]
            spans = [
                Annotation(float(start), float(end), " ".join(text.split())) for start, end, text in found
            ]
            yield Tier(name.strip(), "", sorted(span for span in spans if span.text))
        else:
            for _ in range(2 * size):  # points
                next(values)


def _value(token: re.Match) -> str | float:
    return float(token[2]) if token[2] else token[1].replace('""', '"')
