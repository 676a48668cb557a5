import io

import pytest
import soundfile

from asr import audio
from asr.damage import format_hint
from tests.test_audio import speechlike

KINDS = {
    "wav": {"format": "WAV", "subtype": "PCM_16"},
    "flac": {"format": "FLAC"},
    "mp3": {"format": "MP3"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
}


def encoded(kind, seconds=3):
    file = io.BytesIO()
    soundfile.write(file, speechlike(16_000 * seconds), 16_000, **KINDS[kind])
    return file.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0.3, 0.5, 0.7])
def test_half_a_clip_is_not_taken_for_a_whole_one(kind, kept):
    data = encoded(kind)
    assert len(audio.decode(data)[0]) == 48_000
    with pytest.raises((EOFError, ValueError)) as caught:
        audio.decode(data[: int(kept * len(data))])
    if kind in ("wav", "mp3", "ogg"):
        assert caught.type is EOFError
    if kind == "wav":
        assert f"{3 * kept:.1f} s are there of 3.0 s" in str(caught.value)


@pytest.mark.parametrize("length", [2**31 - 1, 2**31 - 4096, 2**32 - 1])
def test_a_wav_whose_length_was_not_known_when_it_was_written_is_whole(length):
    data = bytearray(encoded("wav"))
    at = data.index(b"data") + 4
    data[at : at + 4] = length.to_bytes(4, "little")
    samples, _ = audio.decode(bytes(data))
    assert len(samples) == 48_000


def test_a_tenth_of_a_second_less_is_no_damage():
    data = encoded("wav")
    assert len(audio.decode(data[:-3200])[0]) == 46_400


@pytest.mark.parametrize(
    ("data", "name"),
    [(b"\0\0\0\x1cftypisom", "m4a"), (b"\x1aE\xdf\xa3", "WebM"), (b"#!AMR\n", "AMR"), (b"\xff\xf1", "AAC")],
)
def test_a_known_format_that_is_not_decoded_is_named_beside_those_that_are(data, name):
    assert name in format_hint(data) and "wav, flac, mp3, ogg and opus are" in format_hint(data)


def test_an_unknown_format_has_no_hint():
    assert format_hint(b"hello") == format_hint(b"") == ""


