"""What was heard in a recording, as plain text, JSON, SRT and WebVTT."""

import html
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording and what was heard there."""

    start_s: float
    end_s: float
    text: str


def plain(name: str, segments: list[Segment]) -> str:
    """Join what was heard, as one paragraph."""
    return " ".join(segment.text for segment in segments if segment.text) + "\n"


def as_json(name: str, segments: list[Segment]) -> str:
    """Write one line of JSON: the recording, its text, and each segment with its seconds."""
    heard = {
        "recording": name,
        "text": plain(name, segments).strip(),
        "segments": [
            {"start_s": round(s.start_s, 3), "end_s": round(s.end_s, 3), "text": s.text} for s in segments
        ],
    }
    return json.dumps(heard, ensure_ascii=False) + "\n"


def srt(name: str, segments: list[Segment]) -> str:
    """Write SubRip subtitles: numbered cues, a comma before the milliseconds."""
    cues = [segment for segment in segments if segment.text]
    return "\n".join(
        f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{cue.text}\n"
        for number, cue in enumerate(cues, 1)
    )


def vtt(name: str, segments: list[Segment]) -> str:
    """Write WebVTT subtitles (https://www.w3.org/TR/webvtt1); `<` and `&` are escaped, as it wants them."""
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
