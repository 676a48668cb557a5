"""Recordings cut at their pauses, into what a model hears at once and into the cues of subtitles."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from asr.audio.log_mel import SAMPLE_RATE, log_mel
from asr.commands.transcribe.recordings import read

PAUSE = round(0.4 * SAMPLE_RATE)  # samples; a pause this long always separates two pieces
LEAD = SAMPLE_RATE // 20  # samples of a pause that stay before the speech that follows
FRAME = SAMPLE_RATE // 100  # samples whose loudness is measured together
FLOOR_DB = -80.0  # a quieter frame counts as this loud
DISTINCT_DB = 12.0  # between the quietest and the loudest frames; with less there is no pause to find
QUIET = 0.35  # share of that range, above the quietest, that is still a pause
EARLIEST_CUT = 0.3  # of a window, where there is no pause
AROUND_S = 0.2  # around a cut, over which it has to be quiet
CUE = 7 * SAMPLE_RATE  # the longest that a subtitle is shown
MARGIN = SAMPLE_RATE // 10  # samples that a subtitle is shown before and after what is heard
SILENCE = 10 ** (-70 / 20)  # of full scale: a piece that is never louder is not transcribed


@dataclass(frozen=True)
class Piece:
    """A part of a recording that fits a model's window. Places are samples at 16 kHz, from its beginning."""

    start: int
    end: int
    cues: list[tuple[int, int]]  # from where to where an utterance is heard
    features: np.ndarray | None  # log-mel, float16, shape = (n_mels, n_frames); None: silence


def pieces(
    recording: Path | BinaryIO,
    window_s: float,
    packed: bool,
    mel_filters: np.ndarray,
    warn: Callable[[str], None],
) -> Iterator[Piece]:
    """Cut a recording into consecutive pieces of at most `window_s` seconds, while it is read.

    Parameters
    ----------
    recording: a file in one of the formats of `decode.open_sound`, or its path
    packed: a piece has as many utterances as fit. Otherwise it has one, for a model that was trained on
        single sentences, which does badly with two.
    mel_filters: shape = (201, n_mels)
    warn: called with what is odd about a recording that can be read, such as what is missing at its end

    Raises
    ------
    ValueError: not audio, or samples that are not finite.
    """
    window, start = round(window_s * SAMPLE_RATE), 0
    utterances = cut(read(recording, warn), window)
    for samples in pack(utterances, window) if packed else utterances:
        end = start + len(samples)
        if np.abs(samples).max() > SILENCE:
            cues = [(start + first, start + last) for first, last in heard(samples)]
            yield Piece(start, end, cues, log_mel(samples, mel_filters).astype(np.float16))
        else:
            yield Piece(start, end, [(start, end)], None)
        start = end


def pack(utterances: Iterator[np.ndarray], window: int) -> Iterator[np.ndarray]:
    """Join consecutive arrays to arrays of at most `window` samples, as many as fit."""
    waiting: list[np.ndarray] = []
    for samples in utterances:
        if waiting and sum(map(len, waiting)) + len(samples) > window:
            yield np.concatenate(waiting)
            waiting = []
        waiting.append(samples)
    if waiting:
        yield np.concatenate(waiting)


def cut(blocks: Iterator[np.ndarray], window: int) -> Iterator[np.ndarray]:
    """Join blocks and cut them anew into arrays of at most `window` samples.

    A recording that fits the window stays whole, as in `stages.transcribe`. A longer one is cut at every
    pause of PAUSE samples. Speech without a pause is cut where it is quietest, and its last two parts have
    about the same length, because models hallucinate on half a second of speech.
    """
    waiting, ended, whole = np.zeros(0, np.float32), False, True
    while not ended or len(waiting):
        while not ended and len(waiting) <= 2 * window + 2 * PAUSE:
            block = next(blocks, None)
            ended = block is None
            waiting = waiting if ended else np.concatenate([waiting, block])
        if not len(waiting):
            return
        if whole and len(waiting) <= window:
            yield waiting
            return
        whole = False
        at = _first_pause(waiting[: window + PAUSE], window)
        if at is None and len(waiting) > 2 * window:
            at = quietest(waiting, int(EARLIEST_CUT * window), window)
        elif at is None and len(waiting) > window:
            middle, reach = len(waiting) // 2, window - -(-len(waiting) // 2)
            reach = min(reach, int((0.5 - EARLIEST_CUT) * window))
            at = quietest(waiting, middle - reach, middle + reach)
        yield waiting[:at]
        waiting = waiting[at:] if at else waiting[:0]


def _first_pause(samples: np.ndarray, window: int) -> int | None:
    """Find the end of the first pause after speech; None if the window has no such pause.

    A frame is quiet if it is below QUIET of the range from the quietest to the loudest 5 %, in decibels.
    """
    loudness = _loudness(samples)
    n_frames = len(loudness)
    if not n_frames:
        return None
    low, high = np.percentile(loudness, [5, 95])
    if high - low < DISTINCT_DB:
        return None  # all speech, or all noise
    speech = np.flatnonzero(loudness >= low + QUIET * (high - low))  # frames
    pauses = np.diff(speech) - 1
    long = np.flatnonzero(pauses * FRAME >= PAUSE)
    if len(long):
        at = speech[long[0] + 1] * FRAME - LEAD
    elif (n_frames - 1 - speech[-1]) * FRAME >= PAUSE:
        at = n_frames * FRAME  # goes on in silence
    else:
        return None
    return min(int(at), window)


def heard(samples: np.ndarray) -> list[tuple[int, int]]:
    """Find from where to where each utterance is heard: all of it if the loudness differs little.

    Utterances are parted by pauses of PAUSE samples. One that is longer than CUE is divided as `cut` does it.
    In two seconds of speech among thirty, few frames are loud, so the loudest one counts here.
    """
    loudness = _loudness(samples)
    low, high = (np.percentile(loudness, 5), loudness.max()) if len(loudness) else (0, 0)
    if high - low < DISTINCT_DB:
        spans = [(0, len(samples))]
    else:
        loud = np.flatnonzero(loudness >= low + QUIET * (high - low))  # frames
        runs = np.split(loud, np.flatnonzero((np.diff(loud) - 1) * FRAME >= PAUSE) + 1)
        spans = [(run[0] * FRAME - MARGIN, (run[-1] + 1) * FRAME + MARGIN) for run in runs]
    found = []
    for first, last in spans:
        first, last = max(0, int(first)), min(len(samples), int(last))
        ends = first + np.cumsum([len(part) for part in cut(iter([samples[first:last]]), CUE)])
        found += pairwise([first, *map(int, ends)])
    return found


def _loudness(samples: np.ndarray) -> np.ndarray:
    """Return the power of each whole frame in decibels of full scale."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    return np.maximum(10 * np.log10((frames**2).mean(axis=1) + 1e-12), FLOOR_DB)


def quietest(samples: np.ndarray, first: int, last: int) -> int:
    """Return the quietest sample from `first` to `last`; of equals, the last."""
    half = int(AROUND_S * SAMPLE_RATE) // 2
    around = samples[max(0, first - half) : last + half].astype(np.float64)
    power = np.concatenate([np.zeros(1), np.cumsum(around**2)])
    centres = np.arange(first, last + 1)
    offset = max(0, first - half)
    begins = np.maximum(centres - half - offset, 0)
    ends = np.minimum(centres + half - offset, len(around))
    loudness = (power[ends] - power[begins]) / np.maximum(ends - begins, 1)
    ties = np.flatnonzero(loudness <= loudness.min() * 1.001 + 1e-12)
    return int(centres[ties[-1]])
