import io

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

from asr.audio.log_mel import SAMPLE_RATE, log_mel
from asr.commands.transcribe import pieces as cutting
from tests.test_audio import encoded, speechlike

MEL_FILTERS = WhisperFeatureExtractor().mel_filters
SECOND = SAMPLE_RATE


def pieces(samples, window_s=30, packed=True):
    data = encoded(samples, SECOND, format="WAV", subtype="FLOAT")
    return list(cutting.pieces(io.BytesIO(data), window_s, packed, MEL_FILTERS, warn=pytest.fail))


def in_blocks(samples, size=50_000):
    return (samples[first : first + size] for first in range(0, len(samples), size))


@pytest.mark.parametrize("seconds", [0.05, 2.9, 3.0, 3.1, 5.9, 6.1, 8.95, 9.05, 61.3])
def test_chunks_leave_nothing_out_fit_the_window_and_none_is_a_crumb(seconds):
    samples = speechlike(round(seconds * SECOND))
    chunks = list(cutting.cut(in_blocks(samples), 3 * SECOND))
    np.testing.assert_array_equal(np.concatenate(chunks), samples)
    lengths = [len(chunk) / SECOND for chunk in chunks]
    assert max(lengths) <= 3
    assert min(lengths) >= min(seconds, 0.9)


def test_how_a_recording_comes_in_changes_nothing():
    samples = speechlike(20 * SECOND)
    small, large = (list(cutting.cut(in_blocks(samples, size), 3 * SECOND)) for size in (1_001, 480_000))
    assert [len(chunk) for chunk in small] == [len(chunk) for chunk in large]


def test_cuts_are_made_in_the_pauses():
    samples = speechlike(14 * SECOND) + 0.1
    pauses = [(2.0, 2.3), (4.5, 4.8), (6.6, 6.9), (9.2, 9.5), (11.4, 11.7)]
    for begin, end in pauses:
        samples[round(begin * SECOND) : round(end * SECOND)] = 0
    ends = np.cumsum([len(chunk) for chunk in cutting.cut(in_blocks(samples), 3 * SECOND)]) / SECOND
    assert all(begin < end < stop for end, (begin, stop) in zip(ends, pauses, strict=False))
    assert len(ends) == 6


def test_a_short_recording_has_the_features_of_the_stages():
    samples = speechlike(2 * SECOND)
    samples[SECOND : SECOND + SECOND // 2] = 0  # a pause, at which a longer one would be cut
    (piece,) = pieces(samples, 3)
    assert (piece.start, piece.end) == (0, 2 * SECOND)
    np.testing.assert_array_equal(piece.features, log_mel(samples, MEL_FILTERS).astype(np.float16))


def test_silence_is_not_listened_to():
    found = pieces(np.concatenate([speechlike(3 * SECOND), np.zeros(9 * SECOND, np.float32)]), 3)
    assert found[0].features is not None and found[-1].features is None
    assert found[-1].end == 12 * SECOND
    assert [piece.start for piece in found[1:]] == [piece.end for piece in found[:-1]]


@pytest.mark.parametrize("noise", [0, 1e-3], ids=["silence", "noise"])
@pytest.mark.parametrize(("start_s", "length_s"), [(0, 2), (13, 2), (28, 2), (9, 0.3)])
def test_a_piece_says_where_something_is_heard(noise, start_s, length_s):
    samples = noise * np.random.default_rng(0).standard_normal(30 * SECOND).astype(np.float32)
    said = speechlike(round(length_s * SECOND))
    samples[start_s * SECOND : start_s * SECOND + len(said)] += said
    (piece,) = pieces(samples)
    expected = (max(0, start_s - 0.1), min(30, start_s + length_s + 0.1))
    (cue,) = piece.cues
    assert np.array(cue) / SECOND == pytest.approx(expected, abs=0.06)


def test_what_does_not_change_in_loudness_is_heard_from_its_start_to_its_end():
    (piece,) = pieces(0.1 * np.random.default_rng(0).standard_normal(4 * SECOND).astype(np.float32))
    assert piece.cues == [(0, 4 * SECOND)]


def test_a_pause_always_parts_two_sentences_and_the_second_begins_at_once():
    said = [1.1, 0.7, 2.0, 1.3]  # seconds; any two would fit the window
    silence = np.full(round(0.6 * SECOND), 1e-4, np.float32)
    samples = np.concatenate([part for s in said for part in (speechlike(round(s * SECOND)), silence)])
    chunks = list(cutting.cut(in_blocks(samples), 5 * SECOND))
    assert [len(chunk) / SECOND for chunk in chunks] == pytest.approx([s + 0.6 for s in said], abs=0.12)


def with_pauses(said, pause_s=0.6):
    """Make a recording of utterances of so many seconds, each with a pause after it."""
    silence = np.full(round(pause_s * SECOND), 1e-4, np.float32)
    return np.concatenate([part for s in said for part in (speechlike(round(s * SECOND)), silence)])


SAID = [4.0, 3.0, 2.0, 1.2, 6.0, 0.7, 5.0]  # seconds


@pytest.mark.parametrize(
    ("packed", "groups"), [(True, [SAID[:3], SAID[3:6], SAID[6:]]), (False, [[s] for s in SAID])]
)
def test_a_piece_has_one_utterance_or_as_many_as_fit(packed, groups):
    found = pieces(with_pauses(SAID), 11, packed)
    assert [len(piece.cues) for piece in found] == [len(group) for group in groups]
    lengths = [(piece.end - piece.start) / SECOND for piece in found]
    assert lengths == pytest.approx([sum(group) + 0.6 * len(group) for group in groups], abs=0.12)
    assert [piece.start for piece in found[1:]] == [piece.end for piece in found[:-1]]
    assert [piece.features.shape[1] / 100 for piece in found] == pytest.approx(lengths, abs=0.03)


@pytest.mark.parametrize("packed", [True, False])
def test_cues_say_where_each_utterance_is_in_the_recording(packed):
    cues = [cue for piece in pieces(with_pauses(SAID), 11, packed) for cue in piece.cues]
    starts = np.cumsum([0, *SAID[:-1]]) + 0.6 * np.arange(len(SAID))
    expected = np.stack([np.maximum(starts - 0.1, 0), starts + SAID + 0.1], axis=1)
    np.testing.assert_allclose(np.array(cues) / SECOND, expected, atol=0.06)


def test_a_cue_is_never_longer_than_somebody_would_read_it():
    samples = with_pauses([20.0, 2.0])
    samples[round(5.9 * SECOND) : round(6.1 * SECOND)] = 0  # too short a pause to part utterances
    (piece,) = pieces(samples)
    assert max(last - first for first, last in piece.cues) <= 7 * SECOND
    *within, (first, last) = piece.cues
    assert within[0][1] / SECOND == pytest.approx(6, abs=0.1)
    assert all(end == start for (_, end), (start, _) in zip(within[:-1], within[1:], strict=True))
    assert (first / SECOND, last / SECOND) == pytest.approx((20.5, 22.7), abs=0.06)
