from dataclasses import replace
from pathlib import Path

import espeakng_loader
import numpy as np
import pytest

from asr.synthesis.voices import TEST_VARIANTS, TRAINING_VARIANTS, Voice, speak

VOICE = Voice(variant="m1", rate_wpm=170, pitch=50, pitch_range=50, tract_scale=1.0, snr_db=60.0)
TEXT = "පන්සාස් දෙක"


def say(voice=VOICE, text=TEXT, seed=1, sample_rate=48_000):
    return speak(text, voice, np.random.default_rng(seed), sample_rate)


def test_training_and_test_share_no_variant():
    assert not set(TRAINING_VARIANTS) & set(TEST_VARIANTS)


@pytest.mark.parametrize("variant", TRAINING_VARIANTS + TEST_VARIANTS)
def test_every_variant_can_be_heard(variant):
    samples = say(replace(VOICE, variant=variant), sample_rate=16_000)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert 0.4 < len(samples) / 16_000 < 3
    assert np.abs(samples).max() == pytest.approx(0.7)
    assert np.sqrt(np.mean(samples**2)) > 0.03


def test_espeak_has_every_variant():
    # One that it does not have it replaces by the plain voice, without a word.
    found = {path.name for path in Path(espeakng_loader.get_data_path()).glob("voices/!v/*")}
    assert set(TRAINING_VARIANTS + TEST_VARIANTS) <= found


def test_the_sample_rate_is_the_one_asked_for():
    assert len(say(sample_rate=48_000)) / len(say(sample_rate=16_000)) == pytest.approx(3, rel=0.01)


def test_a_faster_speaker_takes_less_time():
    assert len(say(replace(VOICE, rate_wpm=210))) < 0.85 * len(say(replace(VOICE, rate_wpm=140)))


def test_noise_is_as_loud_as_the_voice_says():
    power = {}
    for snr_db in (10.0, 60.0):
        samples = say(replace(VOICE, snr_db=snr_db), sample_rate=16_000)
        frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
        power[snr_db] = np.sort((frames**2).mean(axis=1))
    quiet = {snr_db: frames[:3].mean() / frames.mean() for snr_db, frames in power.items()}
    assert 10 * np.log10(quiet[10.0]) == pytest.approx(-10, abs=2)
    assert 10 * np.log10(quiet[60.0]) < -40


def test_a_shorter_tract_moves_the_spectrum_up_and_keeps_the_pace():
    small, large = (say(replace(VOICE, tract_scale=scale)) for scale in (1.09, 0.92))
    assert centroid_hz(small) > 1.08 * centroid_hz(large)
    assert len(small) / len(large) == pytest.approx(1, abs=0.05)


def centroid_hz(samples):
    power = np.abs(np.fft.rfft(samples)) ** 2
    return (np.fft.rfftfreq(len(samples), 1 / 48_000) * power).sum() / power.sum()
