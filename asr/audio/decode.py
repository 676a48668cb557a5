"""From an encoded clip to mono samples at 16 kHz."""

import io
import mmap
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from asr.audio.damage import (
    FRAMES_UNKNOWN,
    LENGTH,
    NO_INDEX,
    UNFINISHED,
    cut_off,
    lacks_index,
    reason,
    unfinished,
)
from asr.audio.log_mel import SAMPLE_RATE

LONGEST_S = 600  # of a clip that is decoded at all
RATES = (4_000, 384_000)  # Hz; outside of them it is the header that is wrong
LOUDEST = 100.0  # of full scale, which a file of floating-point numbers may exceed a little
CANCELLED = 0.1  # of the louder channel: a mean that is weaker is not what was recorded
CANCEL = "its channels cancel each other out: the louder one is taken"
SEEK_FAILED = 39  # libsndfile's SFE_PSF_FSEEK
LARGEST_PAGE = 27 + 255 + 255 * 255  # bytes, of Ogg (RFC 3533)
BLOCK_SAMPLES = 2**20  # decoded at a time, of all channels: a header may promise any number of samples


def decode(data: bytes, warn: Callable[[str], None] = lambda _: None) -> tuple[np.ndarray, int]:
    """Decode an encoded clip, in any format of libsndfile's or of `ffmpeg.FORMATS`, to mono.

    Parameters
    ----------
    warn: called with what is odd about a clip that can be used

    Returns
    -------
    float32, shape = (n_samples,), in [-1, 1], and its sample rate in Hz

    Raises
    ------
    ValueError: the bytes are no audio, or contain no sample, or samples that no recorder writes.
    OverflowError: longer than LONGEST_S.
    EOFError: the file says that it is longer than it is, or is longer than can be decoded.
    """
    file = io.BytesIO(data)
    with open_sound(file, warn) as sound:
        samples = _mono(sound, warn)
        lacking = missing(sound, file, len(samples))
    if lacking:
        raise EOFError(lacking)
    if len(samples) == 0:
        raise ValueError("no samples")
    return samples, sound.samplerate


def open_sound(file: BinaryIO, warn: Callable[[str], None] = lambda _: None) -> soundfile.SoundFile:
    """Open a recording by libsndfile. What it does not know becomes an `FFmpegFile`, which is read alike.

    Raises
    ------
    ValueError: not audio, or at a rate that cannot be right.
    EOFError: an MPEG-4 file without its index.
    """
    start, size = file.read(LARGEST_PAGE), file.seek(0, os.SEEK_END)
    if not size:
        raise ValueError("the file is empty")
    at, readable = unfinished(start, size), file
    if at and not isinstance(file, io.BytesIO):  # it may be hours long, and stays as it is
        readable = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        readable[at : at + 4] = LENGTH
    elif at:
        file.getbuffer()[at : at + 4] = LENGTH
    if at:
        warn(UNFINISHED)
    file.seek(0)
    try:
        sound = soundfile.SoundFile(readable)
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:  # TypeError: it is called .raw
        sound = _by_ffmpeg(file, error)
    if not RATES[0] <= sound.samplerate <= RATES[1]:
        raise ValueError(f"a sample rate of {sound.samplerate} Hz")
    return sound


def _by_ffmpeg(file: BinaryIO, unknown: Exception) -> soundfile.SoundFile:
    from asr.audio.ffmpeg import FFmpegFile  # 90 MB of libraries, which most corpora do not need

    try:
        return FFmpegFile(file)
    except RuntimeError as error:
        if lacks_index(file):
            raise EOFError(NO_INDEX) from error
        raise ValueError(reason(unknown)) from unknown


def missing(sound: soundfile.SoundFile, file: BinaryIO, decoded: int) -> str:
    """Tell how much is missing of a recording of which all was read, "" if it is whole as far as one can see.

    Parameters
    ----------
    file: from which `sound` was opened
    decoded: samples that came
    """
    if not isinstance(sound, soundfile.SoundFile):
        return sound.missing
    taken, size = file.tell(), file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(LARGEST_PAGE)
    file.seek(max(len(start), size - LARGEST_PAGE))
    ends = start + file.read()
    return cut_off(ends, size, sound.samplerate, sound.frames, decoded, taken, sound.extra_info)


def _mono(file: soundfile.SoundFile, warn: Callable[[str], None]) -> np.ndarray:
    parts, length = [], 0
    for block, broken in blocks(file, max(1, BLOCK_SAMPLES // file.channels)):
        if broken:
            raise ValueError(broken)
        length += len(block)
        if length > LONGEST_S * file.samplerate:
            raise OverflowError(f"longer than {LONGEST_S} s")
        parts.append(mix(block, warn))
    return np.concatenate(parts)


def mix(block: np.ndarray, warn: Callable[[str], None]) -> np.ndarray:
    """Mix channels to one: their mean, or the loudest one where they cancel each other out.

    Parameters
    ----------
    block: float32, shape = (n_samples, n_channels)
    warn: called if they do

    Raises
    ------
    ValueError: samples that are no numbers, or over LOUDEST.
    """
    if not len(block):
        return block[:, 0]
    peaks = np.abs(block).max(axis=0)
    if not peaks.max() <= LOUDEST:  # NaN neither
        raise ValueError(f"samples that are not finite, or over {LOUDEST:g} times full scale")
    if block.shape[1] == 1:
        return block[:, 0]
    mean, power = block.mean(axis=1), np.square(block).mean(axis=0)
    if np.square(mean).mean() >= CANCELLED**2 * power.max():
        return mean
    warn(CANCEL)
    return block[:, power.argmax()]


def blocks(file: soundfile.SoundFile, size: int) -> Iterator[tuple[np.ndarray, str]]:
    """Decode all there is, not what the header promises, `size` samples of each channel at a time.

    `SoundFile.blocks` goes by the header, and fills up what is not there with samples that it gave before.

    Yields
    ------
    float32, shape = (n_samples, n_channels), and what is wrong with the rest, "" if nothing is
    """
    while True:
        block, broken = np.zeros((min(size, file.frames), file.channels), np.float32), ""
        try:
            block = file.read(out=block)
        except (soundfile.SoundFileError, RuntimeError) as error:
            block = block[: np.flatnonzero(block.any(axis=1)).max(initial=-1) + 1]
            # soundfile seeks after reading: at the end of a stream of unknown length that fails.
            if not (file.frames == FRAMES_UNKNOWN and getattr(error, "code", None) == SEEK_FAILED):
                broken = reason(error)
        yield block, broken
        if broken or len(block) < size:
            return


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """Resample float32 mono samples from `rate` Hz to 16 kHz with soxr's high quality."""
    if rate == SAMPLE_RATE:
        return samples
    return soxr.resample(samples, rate, SAMPLE_RATE, quality="HQ")
