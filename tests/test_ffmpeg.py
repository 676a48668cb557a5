"""Recordings of phones, cameras and browsers: what libsndfile does not read, made by FFmpeg."""

import io
import re
import struct
import subprocess
import sys
import tracemalloc

import av
import numpy as np
import pytest

from asr.audio.decode import decode, open_sound, resample
from asr.commands.transcribe import recordings

SECONDS = 12
KINDS = {  # container, codec, rate
    "m4a": ("ipod", "aac", 44_100),
    "alac.m4a": ("ipod", "alac", 48_000),
    "mp4": ("mp4", "aac", 48_000),
    "aac": ("adts", "aac", 16_000),
    "3gp": ("3gp", "libopencore_amrnb", 8_000),
    "amr": ("amr", "libopencore_amrnb", 8_000),
    "webm": ("webm", "libopus", 48_000),
    "wma": ("asf", "wmav2", 44_100),
    "mkv": ("matroska", "ac3", 48_000),
    "avi": ("avi", "mp2", 44_100),
    "mpg": ("mpeg", "mp2", 44_100),
    "wv": ("wv", "wavpack", 16_000),
}
BROWSERS = {  # written while it is recorded, without a length
    "webm": {"live": "1"},
    "mp4": {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "1000000"},
}


class _Pipe:
    """What is written as a stream: it cannot go back."""

    def __init__(self):
        self.data = io.BytesIO()
        self.write = self.data.write


def made(kind, seconds=SECONDS, options=None, channels=1, silent_film_s=0):
    """Encode noise that swells and fades once a second; with a film, if it is to be longer than its sound."""
    format, codec, rate = KINDS[kind]
    out = _Pipe() if options else io.BytesIO()
    layout = "mono" if channels == 1 else "stereo"
    with av.open(out, "w", format=format, options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        if kind == "wma":
            stream.bit_rate = 64_000
        if silent_film_s:
            film = container.add_stream("mpeg4", rate=1, width=32, height=32, pix_fmt="yuv420p")
        for second in range(seconds + silent_film_s):
            if second < seconds:
                sound = sound_of(rate, second)[None, :].repeat(channels, axis=1).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray((sound * 2**15).astype(np.int16), "s16", layout)
                frame.sample_rate, frame.pts = rate, second * rate
                container.mux(stream.encode(frame))
            if silent_film_s:
                image = av.VideoFrame.from_ndarray(np.full((32, 32, 3), second, np.uint8), "rgb24")
                image.pts = second
                container.mux(film.encode(image))
        for each in container.streams:
            container.mux(each.encode(None))
    return getattr(out, "data", out).getvalue()


def sound_of(rate, second=0):
    noise = np.random.default_rng(second).standard_normal(rate // 8 + 1).repeat(8)[:rate]  # low-pitched
    return (0.1 * noise * np.sin(np.pi * np.arange(rate) / rate)).astype(np.float32)


def read(data, warn=pytest.fail):
    return np.concatenate(list(recordings.read(io.BytesIO(data), warn)))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_recorded_is_decoded_whole_and_transcribe_hears_the_same(kind):
    data = made(kind)
    samples, rate = decode(data, pytest.fail)
    assert rate == KINDS[kind][2] and samples.dtype == np.float32
    assert len(samples) / rate == pytest.approx(SECONDS, abs=0.15)
    swell = np.sqrt(np.square(samples[: 4 * rate].reshape(40, -1)).mean(axis=1)).reshape(4, 10).mean(axis=0)
    expected = 0.1 * np.sin(np.pi * (np.arange(10) + 0.5) / 10)
    assert np.corrcoef(swell, expected)[0, 1] > 0.9 and swell.max() == pytest.approx(0.1, rel=0.5)
    np.testing.assert_allclose(read(data), resample(samples, rate), atol=1e-5)


@pytest.mark.parametrize("kind", ["m4a", "webm"])
def test_channels_are_mixed(kind):
    mono, rate = decode(made(kind))
    stereo, _ = decode(made(kind, channels=2))
    assert np.corrcoef(mono, stereo[: len(mono)])[0, 1] > 0.9 and stereo.shape == mono.shape


@pytest.mark.parametrize("kind", BROWSERS)
def test_what_a_browser_records_is_whole_and_half_of_it_is_not(kind):
    data = made(kind, options=dict(BROWSERS[kind]))
    assert len(decode(data, pytest.fail)[0]) / KINDS[kind][2] == pytest.approx(SECONDS, abs=0.15)
    with pytest.raises(EOFError, match="its last (block|packet) is not whole"):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize("kind", ["mkv", "webm", "aac", "amr", "wma"])
def test_half_a_recording_is_not_taken_for_a_whole_one_and_its_beginning_is_kept(kind):
    data, said = made(kind), []
    half = data[: len(data) // 2 + 7]
    states_length = kind in ("mkv", "webm")
    expected = r"\d\.\d s are there of 12\.0 s" if states_length else "its last packet is not whole"
    with pytest.raises(EOFError, match=expected):
        decode(half)
    beginning = read(half, said.append)
    assert len(beginning) / 16_000 == pytest.approx(SECONDS / 2, abs=1.5)
    np.testing.assert_allclose(beginning[:48_000], read(data)[:48_000], atol=1e-3)
    assert re.fullmatch(f"cut off: {expected}", *said)


@pytest.mark.parametrize("kind", ["m4a", "mp4", "3gp"])
def test_without_its_index_an_mpeg_4_says_so(kind):
    data = made(kind)
    for at in (len(data) // 2, data.rindex(b"moov") - 4):
        with pytest.raises(EOFError, match="^the index of an MPEG-4 file, .* is missing"):
            decode(data[:at])
    with pytest.raises(ValueError, match="not decodable: the index of an MPEG-4 file"):
        read(data[:at])


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_film_that_ends_in_silence_is_whole_and_one_without_sound_says_so(kind):
    assert len(decode(made(kind, 2, silent_film_s=3))[0]) / 48_000 == pytest.approx(2, abs=0.1)
    with pytest.raises(ValueError, match="^no (sound in it that can be decoded|samples)$"):
        decode(made(kind, 0, silent_film_s=2))


def test_a_playlist_opens_no_other_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mkv").write_bytes(made("mkv", 1))
    with pytest.raises(ValueError, match="Format not recognised"):
        decode(b"ffconcat version 1.0\nfile a.mkv\n")


def with_a_huge_index(samples):
    """Return an m4a of some kilobytes whose tables say that it has so many samples."""
    data = bytearray(made("m4a", 2))
    tables = {b"stsz": (1, samples), b"stsc": (1, 1, samples, 1), b"stts": (1, samples, 1024)}
    for name, entry in tables.items():
        at = data.index(name) + 8
        data[at : at + 4 * len(entry)] = struct.pack(f">{len(entry)}I", *entry)
    return bytes(data)


def test_an_index_that_a_file_only_promises_takes_no_memory(tmp_path):
    (tmp_path / "bomb.m4a").write_bytes(with_a_huge_index(60_000_000))
    script = (
        "import re, sys; from asr.audio.decode import decode\n"
        "try: decode(open(sys.argv[1], 'rb').read())\n"
        "except (ValueError, EOFError): pass\n"
        "print(*re.findall(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read()))"
    )
    command = [sys.executable, "-c", script, tmp_path / "bomb.m4a"]
    kilobytes = int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert kilobytes < 400_000


def test_a_file_that_points_to_before_its_beginning_is_damaged(tmp_path):
    sound = made("wma", 1)
    (tmp_path / "a.wma").write_bytes(sound[:39] + b"\xff" * 8 + sound[47:])  # the length of an object
    with (tmp_path / "a.wma").open("rb") as file, pytest.raises(ValueError, match="Format not recognised"):
        open_sound(file)


def test_a_long_recording_is_not_held():
    long = made("aac") * 100
    tracemalloc.start()
    samples = sum(map(len, recordings.read(io.BytesIO(long), pytest.fail)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert samples / 16_000 == pytest.approx(100 * SECONDS, rel=0.02)
    assert peak < samples * 4 / 3  # bytes; all samples are four times as many
