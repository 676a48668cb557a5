"""Recordings of any length, read as a stream."""

import io
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from asr.audio import damage
from asr.audio.decode import BLOCK_SAMPLES, RATES, blocks, mix
from asr.audio.log_mel import SAMPLE_RATE

LARGEST_PAGE = 27 + 255 + 255 * 255  # bytes, of Ogg (RFC 3533)


def read(recording: Path | BinaryIO, warn: Callable[[str], None]) -> Iterator[np.ndarray]:
    """Decode and resample a recording block by block; yields float32, shape = (n_samples,), 16 kHz.

    Raises and warns as `pieces` does. Closes the file.
    """
    with recording.open("rb") if isinstance(recording, Path) else recording as file:
        with _open(file, warn) as sound:
            rate, decoded, broken, oddities = sound.samplerate, 0, "", set()
            if not RATES[0] <= rate <= RATES[1]:
                raise ValueError(f"not decodable: a sample rate of {rate} Hz")
            resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
            for block, broken in blocks(sound, max(1, BLOCK_SAMPLES // sound.channels)):
                decoded += len(block)
                if broken and not decoded:
                    raise ValueError(f"not decodable: {broken}")
                try:
                    samples = mix(block, oddities.add)
                except ValueError as error:
                    raise ValueError(f"not decodable: {error}") from error
                yield samples if rate == SAMPLE_RATE else resampler.resample_chunk(samples)
            if decoded * SAMPLE_RATE < rate:
                raise ValueError(f"no samples: its header tells of {decoded}")
            if rate != SAMPLE_RATE:
                yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            taken, size = file.tell(), file.seek(0, os.SEEK_END)
            log = sound.extra_info
            missing = damage.cut_off(_ends(file), size, rate, sound.frames, decoded, taken, log)
    for oddity in oddities:
        warn(oddity)
    if missing or broken:
        there = missing or f"{decoded / rate:.1f} s are there"
        warn(f"cut off: {there}, then: {broken}" if broken else f"cut off: {there}")


def _open(file: BinaryIO, warn: Callable[[str], None]) -> soundfile.SoundFile:
    start, size = file.read(LARGEST_PAGE), file.seek(0, os.SEEK_END)
    at = damage.unfinished(start, size)
    if at and not isinstance(file, io.BytesIO):  # it may be hours long, and stays as it is
        file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        file[at : at + 4] = damage.LENGTH
    elif at:
        file.getbuffer()[at : at + 4] = damage.LENGTH
    if at:
        warn(damage.UNFINISHED)
    file.seek(0)
    try:
        return soundfile.SoundFile(file)
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:  # TypeError: it is called .raw
        data = _ends(file)
        hint = damage.format_hint(data) if data else "the file is empty"
        raise ValueError(hint or f"not decodable: {damage.reason(error)}") from error


def _ends(file: BinaryIO) -> bytes:
    """Return the first and the last bytes of an encoded file, which show whether it is whole."""
    file.seek(0)
    start = file.read(LARGEST_PAGE)
    file.seek(max(len(start), file.seek(0, os.SEEK_END) - LARGEST_PAGE))
    return start + file.read()
