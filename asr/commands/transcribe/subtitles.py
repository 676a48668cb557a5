"""A transcript as plain text, JSON, SRT and WebVTT."""

import html
import json
from dataclasses import dataclass
from itertools import accumulate

import regex

# Scripts that write no space between words: a text may be divided after any letter.
_NO_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = regex.compile(rf"[{_NO_SPACES}][\p{{M}}\p{{P}}\s]*|[^\s{_NO_SPACES}]+\s*")
_SENTENCE_END = regex.compile(r"[\p{STerm}…]\p{P}*\s*$")
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


FORMATS = {"txt": plain, "json": as_json, "srt": srt, "vtt": vtt}


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"
