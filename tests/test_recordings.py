import io
import re

import numpy as np
import pytest

from asr.audio.decode import decode, resample
from asr.audio.log_mel import SAMPLE_RATE
from asr.commands.transcribe import recordings
from tests.test_audio import encoded, speechlike
from tests.test_damage import KINDS, without_length
from tests.test_damage import encoded as encoded_as

SECOND = SAMPLE_RATE


def refuse(missing):
    raise AssertionError(f"a whole recording is taken for one that is cut off: {missing}")


def read(recording, warn=refuse):
    """Decode a file, or the bytes of one."""
    recording = io.BytesIO(recording) if isinstance(recording, bytes) else recording
    return np.concatenate(list(recordings.read(recording, warn)))


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
