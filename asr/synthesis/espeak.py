"""eSpeak NG, in process: text in Sinhala script to samples.

Library and voice data come with the PyPI package `espeakng-loader`. Source of the constants:
eSpeak NG's `speak_lib.h`.
"""

import ctypes
import functools
from pathlib import Path

import espeakng_loader
import numpy as np

AUDIO_OUTPUT_SYNCHRONOUS = 2  # the call returns when the samples are there; needs no sound device
CHARS_UTF8 = 1
POS_CHARACTER = 1
RATE, PITCH, RANGE = 1, 3, 4  # espeak_PARAMETER
RANDOM_SEED = 1

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """The synthesiser. The library has one global state: use `espeak()` and one thread.

    Its output depends, by a few samples, on what it spoke before, so a reproducible corpus is
    spoken in a fixed order by one process.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = str(Path(espeakng_loader.get_data_path()).parent)
        self.sample_rate = self._library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, data.encode(), 0)
        if self.sample_rate <= 0:
            raise OSError(f"eSpeak NG does not start with the data in {data}")
        # Some voices breathe, with random numbers that are otherwise seeded with the clock.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(RANDOM_SEED))
        self._pieces: list[np.ndarray] = []
        self._callback = _Callback(self._receive)  # kept, or it would be collected
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples, count, _events) -> int:
        if samples and count:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, variant: str, rate_wpm: int, pitch: int, pitch_range: int):
        """Speak Sinhala text.

        Parameters
        ----------
        variant: one of eSpeak NG's `!v` voices, such as "f2"
        rate_wpm: words a minute, 80 to 450
        pitch, pitch_range: 0 to 100, the voice's own is 50

        Returns
        -------
        float32, shape = (n_samples,), in [-1, 1], at `sample_rate`
        """
        voice = f"si+{variant}"
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"eSpeak NG has no voice {voice!r}")
        for parameter, value in ((RATE, rate_wpm), (PITCH, pitch), (RANGE, pitch_range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._pieces.clear()
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, POS_CHARACTER, 0, CHARS_UTF8, None, None)
        return np.concatenate(self._pieces).astype(np.float32) / 32768


@functools.cache
def espeak() -> Espeak:
    """Return the process's one synthesiser, started at the first call."""
    return Espeak()
