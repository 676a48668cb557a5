"""From an encoded clip to mono samples at 16 kHz."""

import io
from collections.abc import Iterator

import numpy as np
import soundfile
import soxr

from asr.audio.damage import FRAMES_UNKNOWN, cut_off, format_hint, reason
from asr.audio.log_mel import SAMPLE_RATE

LONGEST_S = 600  # of a clip that is decoded at all
RATES = (4_000, 384_000)  # Hz; outside of them it is the header that is wrong
SEEK_FAILED = 39  # libsndfile's SFE_PSF_FSEEK
BLOCK_SAMPLES = 2**20  # decoded at a time, of all channels: a header may promise any number of samples


def decode(data: bytes) -> tuple[np.ndarray, int]:
    """Decode an encoded clip (mp3, ogg, opus, flac, wav: libsndfile's formats) to mono.

    Returns
    -------
    float32, shape = (n_samples,), in [-1, 1], and its sample rate in Hz

    Raises
    ------
    ValueError: the bytes are no audio, or contain no sample, or samples that are not finite.
    OverflowError: longer than LONGEST_S.
    EOFError: the file says that it is longer than it is, or is longer than can be decoded.
    """
    stream = io.BytesIO(data)
    try:
        with soundfile.SoundFile(stream) as file:
            rate, declared, log = file.samplerate, file.frames, file.extra_info
            if not RATES[0] <= rate <= RATES[1]:
                raise ValueError(f"a sample rate of {rate} Hz")
            samples = _mono(file)
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        raise ValueError(format_hint(data) or reason(error)) from error
    missing = cut_off(data, rate, declared, len(samples), stream.tell() / len(data), log)
    if missing:
        raise EOFError(missing)
    if len(samples) == 0:
        raise ValueError("no samples")
    if not np.isfinite(samples).all():
        raise ValueError("samples that are not finite")
    return samples, rate


def _mono(file: soundfile.SoundFile) -> np.ndarray:
    """Read a clip; the channels' mean."""
    parts, length = [], 0
    for block, broken in blocks(file, max(1, BLOCK_SAMPLES // file.channels)):
        if broken:
            raise ValueError(broken)
        length += len(block)
        if length > LONGEST_S * file.samplerate:
            raise OverflowError(f"longer than {LONGEST_S} s")
        parts.append(block[:, 0] if file.channels == 1 else block.mean(axis=1))
    return np.concatenate(parts)


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
