import io
import re

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

from asr.audio.decode import decode, resample
from asr.audio.log_mel import SAMPLE_RATE, log_mel
from asr.commands.transcribe import recordings
from tests.test_audio import encoded, speechlike
from tests.test_damage import KINDS, without_length
from tests.test_damage import encoded as encoded_as

MEL_FILTERS = WhisperFeatureExtractor().mel_filters
SECOND = SAMPLE_RATE


def refuse(missing):
    raise AssertionError(f"a whole recording is taken for one that is cut off: {missing}")


def read(recording, warn=refuse):
    """Decode a file, or the bytes of one."""
    recording = io.BytesIO(recording) if isinstance(recording, bytes) else recording
    return np.concatenate(list(recordings.read(recording, warn)))


def pieces(samples, window_s=30):
    data = encoded(samples, SECOND, format="WAV", subtype="FLOAT")
    return list(recordings.pieces(io.BytesIO(data), window_s, MEL_FILTERS, refuse))


def in_blocks(samples, size=50_000):
    return (samples[first : first + size] for first in range(0, len(samples), size))


@pytest.mark.parametrize("seconds", [0.05, 2.9, 3.0, 3.1, 5.9, 6.1, 8.95, 9.05, 61.3])
def test_chunks_leave_nothing_out_fit_the_window_and_none_is_a_crumb(seconds):
    samples = speechlike(round(seconds * SECOND))
    chunks = list(recordings.cut(in_blocks(samples), 3 * SECOND))
    np.testing.assert_array_equal(np.concatenate(chunks), samples)
    lengths = [len(chunk) / SECOND for chunk in chunks]
    assert max(lengths) <= 3
    assert min(lengths) >= min(seconds, 0.9)


def test_how_a_recording_comes_in_changes_nothing():
    samples = speechlike(20 * SECOND)
    small, large = (list(recordings.cut(in_blocks(samples, size), 3 * SECOND)) for size in (1_001, 480_000))
    assert [len(chunk) for chunk in small] == [len(chunk) for chunk in large]


def test_cuts_are_made_in_the_pauses():
    samples = speechlike(14 * SECOND) + 0.1
    pauses = [(2.0, 2.3), (4.5, 4.8), (6.6, 6.9), (9.2, 9.5), (11.4, 11.7)]
    for begin, end in pauses:
        samples[round(begin * SECOND) : round(end * SECOND)] = 0
    ends = np.cumsum([len(chunk) for chunk in recordings.cut(in_blocks(samples), 3 * SECOND)]) / SECOND
    assert all(begin < end < stop for end, (begin, stop) in zip(ends, pauses, strict=False))
    assert len(ends) == 6


@pytest.mark.parametrize(
    ("rate", "channels", "kind"),
    [
        (48_000, 1, {"format": "MP3"}),
        (44_100, 2, {"format": "FLAC"}),
        (16_000, 1, {"format": "WAV"}),
        (24_000, 2, {"format": "OGG", "subtype": "VORBIS"}),
    ],
)
def test_a_stream_is_what_the_stages_decode(rate, channels, kind, tmp_path):
    samples = speechlike(40 * rate)
    data = encoded(np.stack([samples, samples / 2], axis=1)[:, :channels], rate, **kind)
    (tmp_path / "recording").write_bytes(data)
    expected = resample(*decode(data))
    for recording in (data, tmp_path / "recording"):
        found = read(recording)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-5)


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
    assert np.array(piece.heard) / SECOND == pytest.approx(expected, abs=0.06)


def test_what_does_not_change_in_loudness_is_heard_from_its_start_to_its_end():
    (piece,) = pieces(0.1 * np.random.default_rng(0).standard_normal(4 * SECOND).astype(np.float32))
    assert piece.heard == (0, 4 * SECOND)


@pytest.mark.parametrize(
    "data",
    [b"a text file", encoded(np.full(100, np.nan, np.float32), SECOND, format="WAV", subtype="FLOAT")],
    ids=["text", "nan"],
)
def test_what_is_no_audio_is_refused(data):
    with pytest.raises(ValueError, match="not decodable"):
        read(data)


def test_an_empty_file_is_called_empty():
    with pytest.raises(ValueError, match="^not decodable: the file is empty$"):
        read(b"")


def test_a_pause_always_parts_two_sentences_and_the_second_begins_at_once():
    said = [1.1, 0.7, 2.0, 1.3]  # seconds; any two would fit the window
    silence = np.full(round(0.6 * SECOND), 1e-4, np.float32)
    samples = np.concatenate([part for s in said for part in (speechlike(round(s * SECOND)), silence)])
    chunks = list(recordings.cut(in_blocks(samples), 5 * SECOND))
    assert [len(chunk) / SECOND for chunk in chunks] == pytest.approx([s + 0.6 for s in said], abs=0.12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_file", [False, True])
def test_of_a_recording_that_is_cut_off_the_rest_is_kept_and_it_is_said(kind, is_file, tmp_path):
    data = encoded_as(kind, seconds=70)
    whole = read(data)
    (tmp_path / "recording").write_bytes(cut := data[: int(0.52 * len(data))])
    said = []
    found = read(tmp_path / "recording" if is_file else cut, said.append)
    seconds = len(found) / SECOND
    assert seconds == pytest.approx(0.52 * 70, abs=3)
    if kind in ("wav", "flac", "mp3"):
        (missing,) = said
        assert missing.startswith(f"cut off: {seconds:.1f} s are there of 70.0 s")
    else:
        assert said == ["cut off: the last page is not whole"]
    last = len(found) - SECOND // 2  # what a decoder made of the last bytes may differ
    np.testing.assert_allclose(found[:last], whole[:last], atol=1e-4)


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_a_stream_of_unknown_length_is_whole(kind):
    found = read(without_length(kind, seconds=40))
    assert len(found) / SECOND == pytest.approx(40, abs=0.01)


def test_a_stream_of_unknown_length_that_breaks_off_is_said():
    data, said = without_length("flac", seconds=40), []
    found = read(data[: len(data) // 2], said.append)
    assert len(found) / SECOND == pytest.approx(20, abs=2)
    assert re.fullmatch(rf"cut off: {len(found) / SECOND:.1f} s are there, then: .*lost sync", *said)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("photo.raw", b"II*\0" + bytes(100), "not decodable: samplerate must be specified"),
        ("call.wav", b"a text file", "not decodable: Format not recognised"),
    ],
)
def test_why_a_file_cannot_be_read_is_said(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=re.escape(message)):
        read(tmp_path / name)


def test_why_the_rest_of_a_damaged_recording_is_missing_is_said():
    data, said = bytearray(encoded_as("flac", seconds=70)), []
    third = len(data) // 3
    data[third : third + 500] = bytes(500)
    seconds = len(read(bytes(data), said.append)) / SECOND
    assert 0 < seconds < 60
    assert re.fullmatch(rf"cut off: {seconds:.1f} s are there of 70\.0 s, then: .*flac.*", *said)


def with_header(at, value):
    """Return a WAV of a second with another number of four bytes in its header (RIFF, fmt chunk first)."""
    data = bytearray(encoded_as("wav", seconds=1))
    data[at : at + 4] = value.to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (with_header(40, 0)[:44], "no samples: its header tells of 0"),
        (encoded(np.ones(1, np.float32), 44_100, format="WAV"), "no samples: its header tells of 1"),
        (with_header(24, 1), "a sample rate of 1 Hz"),
        (with_header(24, 2**31 - 1), "a sample rate of 2147483647 Hz"),
    ],
)
def test_a_header_that_cannot_be_right_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        read(data)


@pytest.mark.parametrize("is_file", [False, True])
def test_what_is_odd_about_a_recording_is_said_and_it_is_read(is_file, tmp_path):
    samples = speechlike(2 * SECOND)
    data = bytearray(encoded(np.stack([samples, -samples], axis=1), SECOND, format="WAV"))
    at = data.index(b"data") + 4
    data[at : at + 4] = bytes(4)
    (tmp_path / "recording").write_bytes(data)
    said = []
    found = read(tmp_path / "recording" if is_file else bytes(data), said.append)
    np.testing.assert_allclose(np.abs(found), np.abs(samples), atol=1e-3)
    assert len(said) == 2 and "did not write the length" in said[0] and "cancel each other out" in said[1]
    assert (tmp_path / "recording").read_bytes() == data
