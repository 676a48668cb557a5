"""Recordings of any length, read as a stream."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soxr

from asr.audio.decode import BLOCK_SAMPLES, blocks, missing, mix, open_sound
from asr.audio.log_mel import SAMPLE_RATE


def read(recording: Path | BinaryIO, warn: Callable[[str], None]) -> Iterator[np.ndarray]:
    """Decode and resample a recording block by block; yields float32, shape = (n_samples,), 16 kHz.

    Raises and warns as `pieces` does. Closes the file.
    """
    with recording.open("rb") if isinstance(recording, Path) else recording as file:
        try:
            opened = open_sound(file, warn)
        except (ValueError, EOFError) as error:
            raise ValueError(f"not decodable: {error}") from error
        with opened as sound:
            rate, decoded, broken, oddities = sound.samplerate, 0, "", set()
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
            lacking = missing(sound, file, decoded)
    for oddity in oddities:
        warn(oddity)
    if lacking or broken:
        there = lacking or f"{decoded / rate:.1f} s are there"
        warn(f"cut off: {there}, then: {broken}" if broken else f"cut off: {there}")
