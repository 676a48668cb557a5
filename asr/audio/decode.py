"""From an encoded clip to mono samples at 16 kHz."""

import io
from collections.abc import Callable, Iterator

import numpy as np
import soundfile
import soxr

from asr.audio.damage import FRAMES_UNKNOWN, LENGTH, UNFINISHED, cut_off, format_hint, reason, unfinished
from asr.audio.log_mel import SAMPLE_RATE

LONGEST_S = 600  # of a clip that is decoded at all
RATES = (4_000, 384_000)  # Hz; outside of them it is the header that is wrong
LOUDEST = 100.0  # of full scale, which a file of floating-point numbers may exceed a little
CANCELLED = 0.1  # of the louder channel: a mean that is weaker is not what was recorded
CANCEL = "its channels cancel each other out: the louder one is taken"
SEEK_FAILED = 39  # libsndfile's SFE_PSF_FSEEK
BLOCK_SAMPLES = 2**20  # decoded at a time, of all channels: a header may promise any number of samples


def decode(data: bytes, warn: Callable[[str], None] = lambda _: None) -> tuple[np.ndarray, int]:
    """Decode an encoded clip (mp3, ogg, opus, flac, wav: libsndfile's formats) to mono.

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
    at = unfinished(data, len(data))
    if at:
        warn(UNFINISHED)
        data = data[:at] + LENGTH + data[at + 4 :]
    stream = io.BytesIO(data)
    try:
        with soundfile.SoundFile(stream) as file:
            rate, declared, log = file.samplerate, file.frames, file.extra_info
            if not RATES[0] <= rate <= RATES[1]:
                raise ValueError(f"a sample rate of {rate} Hz")
            samples = _mono(file, warn)
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        raise ValueError(format_hint(data) or reason(error)) from error
    missing = cut_off(data, len(data), rate, declared, len(samples), stream.tell(), log)
    if missing:
        raise EOFError(missing)
    if len(samples) == 0:
        raise ValueError("no samples")
    return samples, rate


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
