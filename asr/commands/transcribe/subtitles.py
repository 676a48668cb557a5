"""A transcript as plain text, JSON, SRT and WebVTT."""

import html
import json
from dataclasses import dataclass


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


FORMATS = {"txt": plain, "json": as_json, "srt": srt, "vtt": vtt}


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"
