"""Segments of long recordings, cut out one at a time, in a process that a decoder may crash."""

import io
import logging
import math
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from asr.audio.damage import SLACK_S, reason
from asr.audio.decode import BLOCK_SAMPLES, LONGEST_S, blocks, mix, open_sound
from asr.runtime import workers
from asr.tables.corpus import Clip

# Format and subtype that keep the samples of a recording. For all others, FLAC with 16 bits does.
KEEPING = {
    "PCM_24": ("FLAC", "PCM_24"),
    "PCM_32": ("FLAC", "PCM_24"),
    "FLOAT": ("WAV", "FLOAT"),  # its samples may exceed full scale
    "DOUBLE": ("WAV", "FLOAT"),
}
_CLOCK = re.compile(r"(?:(\d{1,6}):)?(\d{1,6}):(\d{1,6}(?:\.\d*)?)")  # 01:02:03.5 or 2:03
LATEST_S = 1e9
logger = logging.getLogger(__name__)


class Segment(NamedTuple):
    """A part of a recording."""

    start_s: float
    end_s: float
    clip: Clip  # without audio


def seconds(text: str) -> float:
    """Read a time: seconds, or hours, minutes and seconds with colons; with a point or a comma.

    Raises
    ------
    ValueError: it is neither.
    """
    number = text.strip().replace(",", ".")
    clock = _CLOCK.fullmatch(number)
    if clock:
        hours, minutes, rest = clock.groups("0")
        return int(hours) * 3600 + int(minutes) * 60 + float(rest)
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not abs(value) < LATEST_S:  # NaN neither
        raise ValueError(f"{text!r} is no time: write seconds, or hh:mm:ss.mmm")
    return value


def count_overlapping(segments: list[Segment]) -> int:
    """Count the segments of a recording that begin before an earlier one has ended."""
    ended_s, overlapping = 0.0, 0
    for start_s, end_s, _ in sorted(segments, key=lambda segment: segment[:2]):
        overlapping += start_s < ended_s
        ended_s = max(ended_s, end_s)
    return overlapping


def cut(recordings: dict[str, list[Segment]]) -> Iterator[Clip]:
    """Read each recording once; yield its segments as clips, in the order of their starts.

    A clip has the recording's rate, and one channel as `mix` makes it, because featurize would mix it so. A
    segment that cannot be used has a `problem`.

    Parameters
    ----------
    recordings: segments by path
    """
    rows = [
        (file, segment)
        for file, segments in recordings.items()
        for segment in sorted(segments, key=lambda segment: segment[:2])
    ]
    said = set()
    for (file, segment), result in zip(rows, workers.in_turn(_cut, rows), strict=True):
        if isinstance(result, workers.Died):
            yield replace(segment.clip, problem="decoder_died", detail=result)
            continue
        clip, oddities = result
        for oddity in {(file, oddity) for oddity in oddities} - said:
            logger.warning("%s: %s", *oddity)
            said.add(oddity)
        yield clip


def _cut(rows: list[tuple[str, Segment]]) -> Iterator[tuple[Clip, list[str]]]:
    """Yield a clip for each segment of recordings that are in order, and what is odd about it."""
    for file, segments in groupby(rows, key=itemgetter(0)):
        yield from _clips(Path(file), [segment for _, segment in segments])


def _clips(file: Path, segments: list[Segment]) -> Iterator[tuple[Clip, list[str]]]:
    oddities: list[str] = []
    with ExitStack() as stack:
        try:
            sound = stack.enter_context(open_sound(stack.enter_context(file.open("rb")), oddities.append))
        except (PermissionError, EOFError, ValueError) as error:
            problem = {PermissionError: "no_audio", EOFError: "cut_off"}.get(type(error), "undecodable")
            detail = getattr(error, "strerror", str(error))
            for segment in segments:
                yield replace(segment.clip, problem=problem, detail=detail), []
            return
        recording = _Recording(sound)
        for start_s, end_s, clip in segments:
            length_s = end_s - start_s
            if not 0 <= start_s < end_s:
                clip = replace(clip, problem="no_audio", detail=f"from {start_s:g} s to {end_s:g} s")
            elif length_s > LONGEST_S:
                clip = replace(clip, problem="too_large", detail=f"{length_s:.0f} s, over {LONGEST_S} s")
            else:
                samples = recording.read(start_s, end_s)
                there_s = len(samples) / sound.samplerate
                if length_s - there_s > min(SLACK_S, length_s / 2):
                    there = f"{there_s:.1f} s are there of {length_s:.1f} s from {start_s:.1f} s"
                    clip = replace(clip, problem="cut_off", detail=f"{there}: {recording.broken}")
                else:
                    clip = _stored(clip, samples, sound, oddities.append)
            yield clip, oddities
            oddities = []


def _stored(clip: Clip, samples: np.ndarray, sound: soundfile.SoundFile, warn: Callable[[str], None]) -> Clip:
    format, subtype = KEEPING.get(getattr(sound, "subtype", ""), ("FLAC", "PCM_16"))
    audio = io.BytesIO()
    try:
        soundfile.write(audio, mix(samples, warn), sound.samplerate, format=format, subtype=subtype)
    except ValueError as error:
        return replace(clip, problem="undecodable", detail=str(error))
    return replace(clip, audio=audio.getvalue())


class _Recording:
    """A sound, of which parts are read that start no earlier than the part before."""

    def __init__(self, sound: soundfile.SoundFile) -> None:
        self.broken = ""  # why nothing follows
        # FFmpeg's are read on. Where in an mp3 a sample is can be an estimate.
        self._can_seek = isinstance(sound, soundfile.SoundFile) and sound.format != "MP3"
        self._sound, self._blocks = sound, iter(())
        self._go_on(at=0)

    def _go_on(self, at: int) -> None:
        sound = self._sound
        self._at, self._held = at, np.zeros((0, sound.channels), np.float32)
        self._blocks = blocks(sound, max(1, BLOCK_SAMPLES // sound.channels))
        self.broken = ""

    def read(self, start_s: float, end_s: float) -> np.ndarray:
        """Return the samples that there are of a part: float32, shape = (n_samples, n_channels)."""
        start, stop = round(start_s * self._sound.samplerate), round(end_s * self._sound.samplerate)
        if self._can_seek and self._at + len(self._held) < start < self._sound.frames:
            try:
                self._sound.seek(start)
                self._go_on(at=start)
            except (soundfile.SoundFileError, RuntimeError) as error:
                self.broken = reason(error)
        while self._at + len(self._held) < stop and not self.broken:
            block, self.broken = next(self._blocks, (self._held[:0], "the recording ends there"))
            passed = min(start - self._at, len(self._held))
            self._held, self._at = np.concatenate([self._held[passed:], block]), self._at + passed
        return self._held[start - self._at : stop - self._at]
