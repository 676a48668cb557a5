import io
import struct

import numpy as np
import pytest
import soundfile

from asr.audio.decode import decode
from tests import test_audio
from tests.test_audio import speechlike

KINDS = {
    "wav": {"format": "WAV", "subtype": "PCM_16"},
    "flac": {"format": "FLAC"},
    "mp3": {"format": "MP3"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
}


def encoded(kind, seconds=3):
    return test_audio.encoded(speechlike(16_000 * seconds), 16_000, **KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0.3, 0.5, 0.7])
def test_half_a_clip_is_not_taken_for_a_whole_one(kind, kept):
    data = encoded(kind)
    assert len(decode(data)[0]) == 48_000
    with pytest.raises((EOFError, ValueError)) as caught:
        decode(data[: int(kept * len(data))])
    if kind in ("wav", "mp3", "ogg"):
        assert caught.type is EOFError
    if kind == "wav":
        assert f"{3 * kept:.1f} s are there of 3.0 s" in str(caught.value)


def without_length(kind, seconds=3):
    """Return what a program writes to a pipe: it cannot go back to put the length into the header."""
    data = bytearray(encoded(kind, seconds))
    if kind == "wav":
        at = data.index(b"data") + 4
        data[at : at + 4] = (2**32 - 1).to_bytes(4, "little")
    else:
        # STREAMINFO's last four bits and the next four bytes: samples (RFC 9639, section 8.2)
        at = data.index(b"fLaC") + 8 + 13
        data[at] &= 0xF0
        data[at + 1 : at + 5] = bytes(4)
    return bytes(data)


def test_a_flac_whose_length_was_not_known_when_it_was_written_is_whole():
    assert len(decode(without_length("flac"))[0]) == 48_000


def mp3(parts, has_length):
    """Encode parts with a variable bit rate, loud ones that need a high one (True) and quiet ones."""
    loud = speechlike(16_000)
    samples = np.concatenate([loud if part else loud / 10_000 for part in parts])
    variable = {"format": "MP3", "bitrate_mode": "VARIABLE", "compression_level": 0}
    data = test_audio.encoded(samples, 16_000, **variable)
    header = data.index(b"Xing")
    return data if has_length else data[data.index(data[:2], header) :]  # it is a frame of its own


def test_an_mp3_that_is_shorter_than_is_guessed_is_whole():
    data = mp3([0, 0, 0, 1], has_length=False)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        assert file.frames > 5 * 16_000
    assert len(decode(data)[0]) / 16_000 == pytest.approx(4, abs=0.2)


def test_an_mp3_that_is_longer_than_is_guessed_says_what_to_do():
    assert len(decode(mp3([1, 0, 0, 0], has_length=True))[0]) == 4 * 16_000
    expected = r"^[12]\.\d s are decoded of about [34]\.\d s, .*: `ffmpeg -i OLD -c copy NEW` mends that"
    with pytest.raises(EOFError, match=expected):
        decode(mp3([1, 0, 0, 0], has_length=False))


@pytest.mark.parametrize(
    ("kind", "message"),
    [("mp3", r"3\.0 s are decoded of about 6\.0 s"), ("ogg", "several streams"), ("opus", "several streams")],
)
def test_of_two_clips_in_one_file_the_second_is_missed(kind, message):
    with pytest.raises(EOFError, match=message):
        decode(encoded(kind) + encoded(kind))


@pytest.mark.parametrize("length", [2**31 - 1, 2**31 - 4096, 2**32 - 1])
def test_a_wav_whose_length_was_not_known_when_it_was_written_is_whole(length):
    data = bytearray(encoded("wav"))
    at = data.index(b"data") + 4
    data[at : at + 4] = length.to_bytes(4, "little")
    samples, _ = decode(bytes(data))
    assert len(samples) == 48_000


@pytest.mark.parametrize("before", [b"", b"JUNK" + struct.pack("<I", 3) + bytes(4)])
def test_a_wav_whose_recorder_crashed_is_read_to_its_end(before):
    data = bytearray(encoded("wav"))
    at = data.index(b"data")
    data[4:8] = data[at + 4 : at + 8] = bytes(4)
    said = []
    data[at:at] = before
    assert len(decode(bytes(data), said.append)[0]) == 48_000
    assert said == ["its recorder did not write the length: read to the end"]


def test_a_wav_of_no_samples_before_another_chunk_has_none():
    data = bytearray(encoded("wav"))
    at = data.index(b"data")
    data[at + 4 :] = bytes(4) + b"LIST" + struct.pack("<I", 4) + b"INFO"
    with pytest.raises(ValueError, match="no samples"):
        decode(bytes(data))


APE = struct.pack("<8sIIIIQ", b"APETAGEX", 2000, 5032, 1, 0x80000000, 0)
TAGS = {
    "ID3v1": b"TAG" + bytes(125),
    "APEv2": APE + bytes(5000) + APE,
    "APEv1": bytes(5000) + struct.pack("<8sIIIIQ", b"APETAGEX", 1000, 5032, 1, 0, 0),
    "Lyrics3": b"LYRICSBEGIN" + bytes(4989) + b"005000LYRICS200",
}


@pytest.mark.parametrize("names", [*TAGS, "APEv2 ID3v1", "Lyrics3 APEv2 ID3v1"])
def test_tags_at_an_mp3_s_end_are_no_sound_that_is_missed(names):
    tags = b"".join(TAGS[name] for name in names.split())
    assert len(decode(encoded("mp3") + tags)[0]) == 48_000
    with pytest.raises(EOFError, match=r"3\.0 s are decoded of about 6\.0 s"):
        decode(encoded("mp3") * 2 + tags)


def test_a_tenth_of_a_second_less_is_no_damage():
    data = encoded("wav")
    assert len(decode(data[:-3200])[0]) == 46_400
