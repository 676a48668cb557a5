"""Made-up speakers: an eSpeak NG variant with a rate, a pitch, a vocal tract and a noisy room."""

import random
from dataclasses import dataclass

import numpy as np
import soxr

from asr.synthesis.espeak import espeak

# eSpeak NG's human-like variants. What is left out whispers, croaks, or is a robot or caricature on purpose.
TEST_VARIANTS = ("Andrea", "Henrique", "antonio", "david", "f4", "linda", "m6", "paul")
TRAINING_VARIANTS = tuple(
    "Alex Alicia Andy Annie Denis Diogo Gene Gene2 Hugo Jacky Mario Michael Mike Nguyen Reed"
    " adam anika aunty benjamin caleb ed edward edward2 f1 f2 f3 f5 grandma grandpa gustave"
    " iven iven2 iven3 iven4 john kaukovalta m1 m2 m3 m4 m5 m7 m8 marcelo max michel miguel"
    " mike2 norbert pablo pedro quincy rob robert sandro shelby steph steph2 steph3 travis victor".split()
)


@dataclass(frozen=True)
class Voice:
    """A speaker, who sounds alike in all of his clips."""

    variant: str  # of eSpeak NG
    rate_wpm: int
    pitch: int  # 0 to 100
    pitch_range: int  # 0 to 100
    tract_scale: float  # above 1: a shorter vocal tract, all formants that much higher
    snr_db: float  # speech over the room's white noise


def draw_voice(rng: random.Random, variants: tuple[str, ...], spread: float = 1.0) -> Voice:
    """Draw a speaker from the given eSpeak NG variants.

    A `spread` above 1 makes speakers differ more from one another: what a model has to be trained on to
    understand voices that it has never heard.
    """
    return Voice(
        variant=rng.choice(variants),
        rate_wpm=rng.randint(140, 210),
        pitch=round(50 + spread * rng.uniform(-25, 25)),
        pitch_range=round(50 + spread * rng.uniform(-25, 25)),
        tract_scale=round(1 + spread * rng.uniform(-0.08, 0.08), 3),
        snr_db=round(rng.uniform(18, 40), 1),
    )


def speak(sinhala: str, voice: Voice, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Let a voice say a text in Sinhala script.

    Returns
    -------
    float32, shape = (n_samples,), in [-1, 1], at `sample_rate` Hz
    """
    synthesiser = espeak()
    # The tract is scaled by replaying faster or slower; the rate is corrected beforehand.
    rate_wpm = round(voice.rate_wpm / voice.tract_scale)
    samples = synthesiser.say(sinhala, voice.variant, rate_wpm, voice.pitch, voice.pitch_range)
    samples = soxr.resample(samples, synthesiser.sample_rate * voice.tract_scale, sample_rate)
    loudness = np.sqrt(np.mean(samples**2)) * 10 ** (-voice.snr_db / 20)
    noisy = samples + loudness * rng.standard_normal(len(samples), dtype=np.float32)
    return (noisy * (0.7 / np.abs(noisy).max())).astype(np.float32)
