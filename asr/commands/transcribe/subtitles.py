"""A transcript as plain text, JSON, SRT, WebVTT, and as a tier of ELAN or Praat."""

import html
import json
import mimetypes
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from xml.etree import ElementTree

import regex

from asr.runtime.terminal import visible

# Scripts that write no space between words: a text may be divided after any letter.
_NO_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = regex.compile(rf"[{_NO_SPACES}][\p{{M}}\p{{P}}\s]*|[^\s{_NO_SPACES}]+\s*")
_SENTENCE_END = regex.compile(r"[\p{STerm}…]\p{P}*\s*$")
TIER = "transcript"
EAF = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
TEXTGRID = """\
File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = {xmax}
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "{tier}"
        xmin = 0
        xmax = {xmax}
        intervals: size = {size}
"""
INTERVAL = """\
        intervals [{number}]:
            xmin = {xmin}
            xmax = {xmax}
            text = "{text}"
"""
NEAR = 10  # characters; a text is divided at the end of a sentence that is so much nearer


@dataclass(frozen=True)
class Segment:
    """A part of a recording and its text."""

    start_s: float
    end_s: float
    text: str


def plain(name: str, segments: list[Segment]) -> str:
    """Join the texts to one paragraph."""
    return " ".join(segment.text for segment in segments if segment.text) + "\n"


def as_json(name: str, segments: list[Segment]) -> str:
    """Write one line of JSON: the recording, its text, and the segments with their seconds."""
    transcript = {
        "recording": name,
        "text": plain(name, segments).strip(),
        "segments": [
            {"start_s": round(s.start_s, 3), "end_s": round(s.end_s, 3), "text": s.text} for s in segments
        ],
    }
    return json.dumps(transcript, ensure_ascii=False, allow_nan=False) + "\n"


def srt(name: str, segments: list[Segment]) -> str:
    """Write SubRip subtitles: numbered cues, a comma before the milliseconds."""
    cues = [segment for segment in segments if segment.text]
    return "\n".join(
        f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{cue.text}\n"
        for number, cue in enumerate(cues, 1)
    )


def vtt(name: str, segments: list[Segment]) -> str:
    """Write WebVTT subtitles (https://www.w3.org/TR/webvtt1), in which `<` and `&` are escaped."""
    cues = [
        f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n{html.escape(cue.text, quote=False)}\n"
        for cue in segments
        if cue.text
    ]
    return "\n".join(["WEBVTT\n", *cues])


def eaf(name: str, segments: list[Segment]) -> str:
    """Write an annotation file of ELAN, which follows the schema EAF.

    Parameters
    ----------
    name: path of the recording, seen from where the file will be; "": it is unknown
    """
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    schema = {"xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance", "xsi:noNamespaceSchemaLocation": EAF}
    document = ElementTree.Element(
        "ANNOTATION_DOCUMENT", schema, AUTHOR="", DATE=now, FORMAT="3.0", VERSION="3.0"
    )
    header = ElementTree.SubElement(document, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if name:
        link, kind = visible(name), mimetypes.guess_type(name)[0] or "unknown"
        media = {"MEDIA_URL": link, "RELATIVE_MEDIA_URL": link, "MIME_TYPE": kind}
        ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", media)
    slots = ElementTree.SubElement(document, "TIME_ORDER")
    tier = ElementTree.SubElement(document, "TIER", TIER_ID=TIER, LINGUISTIC_TYPE_REF="default-lt")
    for number, segment in enumerate((segment for segment in segments if segment.text), start=1):
        ids = [f"ts{2 * number - 1}", f"ts{2 * number}"]
        for slot, time_s in zip(ids, (segment.start_s, segment.end_s), strict=True):
            value = str(_milliseconds(time_s))
            ElementTree.SubElement(slots, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=value)
        annotation = ElementTree.SubElement(
            ElementTree.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION",
            ANNOTATION_ID=f"a{number}", TIME_SLOT_REF1=ids[0], TIME_SLOT_REF2=ids[1],
        )  # fmt: skip
        ElementTree.SubElement(annotation, "ANNOTATION_VALUE").text = segment.text
    ElementTree.SubElement(
        document, "LINGUISTIC_TYPE",
        LINGUISTIC_TYPE_ID="default-lt", TIME_ALIGNABLE="true", GRAPHIC_REFERENCES="false",
    )  # fmt: skip
    ElementTree.indent(document)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(document, "unicode")}\n'


def textgrid(name: str, segments: list[Segment]) -> str:
    """Write a TextGrid of Praat, with intervals without a text where nothing is said."""
    intervals, at = [], 0.0
    for segment in segments:
        if segment.text:
            intervals += [(at, segment.start_s, "")] if segment.start_s > at else []
            intervals.append((segment.start_s, segment.end_s, segment.text.replace('"', '""')))
            at = segment.end_s
    end = segments[-1].end_s if segments else 1.0  # Praat reads none of no length
    intervals += [(at, end, "")] if end > at else []
    parts = [
        INTERVAL.format(number=number, xmin=f"{start:.3f}", xmax=f"{stop:.3f}", text=text)
        for number, (start, stop, text) in enumerate(intervals, 1)
    ]
    return TEXTGRID.format(xmax=f"{end:.3f}", tier=TIER, size=len(parts)) + "".join(parts)


def divided(text: str, lengths: list[int]) -> list[str]:
    """Divide a text among utterances of these lengths; returns one for each, of which some may be empty.

    A model says what it heard, and not when. So the text is divided in proportion, or at the end of a
    sentence that is NEAR.
    """
    words, parts = _WORD.findall(text), []
    for number, length in enumerate(lengths[:-1]):
        due = sum(map(len, words)) * length / sum(lengths[number:])  # characters
        ends = accumulate(map(len, words), initial=0)
        ended = [False, *(_SENTENCE_END.search(word) for word in words)]
        off = [abs(end - due) + (0 if at_end else NEAR) for end, at_end in zip(ends, ended, strict=True)]
        taken = off.index(min(off))
        parts.append("".join(words[:taken]).strip())
        words = words[taken:]
    return [*parts, "".join(words).strip()]


FORMATS = {"txt": plain, "json": as_json, "srt": srt, "vtt": vtt, "eaf": eaf, "textgrid": textgrid}


def _clock(seconds: float, point: str) -> str:
    minutes, milliseconds = divmod(_milliseconds(seconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
