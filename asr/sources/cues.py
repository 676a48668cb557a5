"""Texts with times: subtitles (SRT, https://www.w3.org/TR/webvtt1) and the labels that Audacity exports."""

import html
import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from asr.sources.containers import file_pieces
from asr.sources.lines import read_lines
from asr.sources.segments import seconds
from asr.sources.tiers import Annotation, Tier

_TIMES = re.compile(r"\s*([\d:.,]+)\s*-->\s*([\d:.,]+)")  # cue settings may follow
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_MARKUP = re.compile(r"</?[a-zA-Z][^>]*>|<[\d:.]+>|\{\\[^}]*\}")
_LABEL = re.compile(r"(-?\d+(?:[.,]\d+)?)\t(-?\d+(?:[.,]\d+)?)(?:\t(.*))?")
logger = logging.getLogger(__name__)


def read_subtitles(file: Path) -> list[Tier]:
    """Return a tier for each voice that the cues name, and one for those that name none or several.

    Raises
    ------
    ValueError: a time is none, or there is no cue.
    """
    cues = list(_cues(file))
    if not cues:
        raise ValueError(f"{file} has no cue, such as 00:00:01,000 --> 00:00:02,500 with a text below")
    return _tiers(cues)


def _cues(file: Path) -> Iterator[tuple[float, float, str]]:
    """Yield cues. In SRT, a cue may have blank lines, and its number is the line before its times."""
    is_srt = file.suffix.lower() == ".srt"
    times, lines = None, []
    for number, line in enumerate(_lines(file), start=1):
        found = _TIMES.match(line)
        if found:
            if lines and is_srt and lines[-1].strip().isdigit():
                lines.pop()
            if times:
                yield *times, "\n".join(lines)
            try:
                times, lines = (seconds(found[1]), seconds(found[2])), []
            except ValueError as error:
                raise ValueError(f"{file}, line {number}: {error}") from error
        elif line.strip() and times:
            lines.append(line)
        elif times and not is_srt:
            yield *times, "\n".join(lines)
            times, lines = None, []
    if times:
        yield *times, "\n".join(lines)


def _tiers(cues: list[tuple[float, float, str]]) -> list[Tier]:
    """Sort cues by the voice that they name."""
    spoken, empty = defaultdict(list), 0
    for start_s, end_s, text in cues:
        voices = {html.unescape(voice).strip() for voice in _VOICE.findall(text)}
        words = " ".join(html.unescape(_MARKUP.sub("", text)).split())
        if words:
            spoken[voices.pop() if len(voices) == 1 else ""].append(Annotation(start_s, end_s, words))
        empty += not words
    tiers = [Tier("", voice, sorted(annotations)) for voice, annotations in spoken.items()]
    return [*tiers, Tier("", "", [], n_empty=empty)]


def read_labels(file: Path) -> list[Tier] | None:
    """Return the labels as a tier; None: the file begins with something else.

    Raises
    ------
    ValueError: a line is no label.
    """
    labels = []
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip() or line.startswith("\\"):  # the frequencies of the label before
            continue
        found = _LABEL.fullmatch(line)
        if not found and not labels:
            return None
        if not found:
            raise ValueError(
                f"{file}, line {number}: no label, which is start, end and text with tabs between"
            )
        text = " ".join((found[3] or "").split())
        labels.append(Annotation(seconds(found[1]), seconds(found[2]), text))
    with_text = sorted(label for label in labels if label.text)
    return [Tier("", "", with_text, n_empty=len(labels) - len(with_text))] if labels else None


def _lines(file: Path) -> Iterator[str]:
    return read_lines(file_pieces(file), str(file), logger.warning)
