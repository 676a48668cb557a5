import io

import numpy as np
import pytest
import soundfile
from transformers import WhisperFeatureExtractor

from asr.audio.decode import decode, resample
from asr.audio.log_mel import HOP_LENGTH, joined, log_mel, n_frames, own_frames, pad

EXTRACTOR = WhisperFeatureExtractor()


def speechlike(n_samples: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(n_samples)
    return (0.1 * noise * np.sin(np.arange(n_samples) / 3000)).astype(np.float32)


def encoded(samples: np.ndarray, rate: int, **kind) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **kind)
    return file.getvalue()


@pytest.mark.parametrize("n_samples", [1, 159, 160, 4_000, 37_123, 80_000, 479_000])
def test_trimmed_features_restore_whispers_own(n_samples):
    samples = speechlike(n_samples)
    expected = EXTRACTOR(samples, sampling_rate=16_000, return_tensors="np").input_features[0]
    features = log_mel(samples, EXTRACTOR.mel_filters)
    assert features.shape == (80, n_frames(n_samples))
    assert features.shape[1] <= n_samples / HOP_LENGTH + 3
    np.testing.assert_allclose(pad(features, 3000), expected, atol=1e-5)
    stored = features.astype(np.float16)  # as data/features holds them; 2**-11 is float16's rounding
    np.testing.assert_allclose(pad(stored, 3000).astype(np.float32), expected, rtol=2**-10, atol=1e-3)


def test_silence_restores_to_the_floor():
    silence = np.zeros(16_000, dtype=np.float32)
    expected = EXTRACTOR(silence, sampling_rate=16_000, return_tensors="np").input_features[0]
    np.testing.assert_array_equal(pad(log_mel(silence, EXTRACTOR.mel_filters), 3000), expected)


def test_joined_features_are_those_of_joined_clips():
    loud, quiet = speechlike(16_000), speechlike(24_000, seed=1) / 50
    expected = log_mel(np.concatenate([loud, np.zeros(3_200, np.float32), quiet]), EXTRACTOR.mel_filters)
    clips = [log_mel(samples, EXTRACTOR.mel_filters)[:, : len(samples) // 160] for samples in (loud, quiet)]
    found = joined(clips, pause=20)
    assert found.shape == (80, 100 + 20 + 150)
    inside = [*range(3, 97), *range(103, 117), *range(123, 267)]  # frames that reach over no clip's end
    np.testing.assert_allclose(found[:, inside], expected[:, inside], atol=1e-5)


def test_own_length_leaves_half_a_second_of_silence():
    for n in range(1, 3_100):
        frames = own_frames(n, 3_000)
        assert frames == 3_000 or 50 <= frames - n < 100 and frames % 50 == 0
    assert own_frames(3_002, 3_000) == 3_000


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [
        ({"format": "WAV", "subtype": "PCM_16"}, 1e-3),
        ({"format": "WAV", "subtype": "PCM_U8"}, 2e-2),
        ({"format": "FLAC"}, 1e-3),
        ({"format": "OGG", "subtype": "OPUS"}, 5e-2),
        ({"format": "MP3"}, 5e-2),
    ],
    ids=str,
)
def test_decode_reads_the_formats_of_corpora(kind, tolerance):
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.float32)
    samples, rate = decode(encoded(tone, 48_000, **kind))
    assert rate == 48_000 and samples.dtype == np.float32
    middle = slice(12_000, 36_000)
    assert abs(np.std(samples[middle]) - np.std(tone[middle])) < tolerance


def test_decode_mixes_channels_to_mono():
    left, right = speechlike(8_000, 1), speechlike(8_000, 2)
    samples, _ = decode(encoded(np.stack([left, right], axis=1), 16_000, format="WAV", subtype="FLOAT"))
    np.testing.assert_allclose(samples, (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize("kind", [{"format": "WAV"}, {"format": "MP3"}, {"format": "OGG", "subtype": "OPUS"}])
def test_channels_that_cancel_each_other_out_are_not_mixed(kind):
    said, sound = [], speechlike(48_000)
    samples, _ = decode(encoded(np.stack([0.5 * sound, -sound * 0.52], axis=1), 48_000, **kind), said.append)
    assert np.corrcoef(samples, -sound)[0, 1] > 0.7
    assert np.square(samples).mean() == pytest.approx(np.square(0.52 * sound).mean(), rel=0.4)
    assert said == ["its channels cancel each other out: the louder one is taken"]
    one_sided = encoded(np.stack([sound, 0 * sound], axis=1), 48_000, **kind)
    mean = decode(one_sided, pytest.fail)[0]
    assert np.abs(mean).max() == pytest.approx(0.5 * np.abs(sound).max(), rel=0.2)


def wav(n_samples, rate, subtype="PCM_16", value=0.1):
    return encoded(np.full(n_samples, value, dtype=np.float32), rate, format="WAV", subtype=subtype)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a text file", "^Format not recognised$"),
        (b"\xff\xfb" + b"\0" * 40, "^an mp3 without a whole frame$"),
        (wav(0, 16_000), "no samples"),
        (wav(100, 16_000, "FLOAT", np.nan), "not finite"),
        (wav(100, 16_000, "FLOAT", 1e37), "over 100 times full scale"),
        (wav(100, 16_000, "FLOAT", -32768), "over 100 times full scale"),
        (wav(100, 100), "a sample rate of 100 Hz"),
    ],
    ids=["text", "mp3 header", "no samples", "nan", "1e37", "integers", "rate"],
)
def test_decode_refuses_what_is_no_audio(data, message):
    with pytest.raises(ValueError, match=message):
        decode(data)


def test_decode_stops_at_the_longest(monkeypatch):
    monkeypatch.setattr("asr.audio.decode.LONGEST_S", 2)
    assert len(decode(wav(16_000, 8_000))[0]) == 16_000
    with pytest.raises(OverflowError, match="longer than 2 s"):
        decode(wav(16_001, 8_000))


def test_decode_holds_no_more_than_a_block_of_what_a_header_promises(monkeypatch):
    sizes, read = [], soundfile.SoundFile.read

    def spy(file, out):
        sizes.append(len(out))
        return read(file, out=out)

    monkeypatch.setattr(soundfile.SoundFile, "read", spy)
    stereo = np.stack([speechlike(9_000, 1), speechlike(9_000, 2)], axis=1)
    data = encoded(stereo, 16_000, format="FLAC")
    whole = decode(data)[0]
    monkeypatch.setattr("asr.audio.decode.BLOCK_SAMPLES", 1000)
    np.testing.assert_array_equal(decode(data)[0], whole)
    assert set(sizes) == {9_000, 500}


def test_resample_keeps_a_tone_and_removes_what_16_khz_cannot_hold():
    time = np.arange(48_000) / 48_000
    low, high = np.sin(2 * np.pi * 1_000 * time), np.sin(2 * np.pi * 12_000 * time)
    resampled = resample((low + high).astype(np.float32), 48_000)
    assert len(resampled) == 16_000
    expected = np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(resampled[500:-500], expected[500:-500], atol=1e-3)
