import io
import os

import numpy as np
import pytest
import soundfile

from asr.audio.ffmpeg import FFmpegFile
from asr.sources import segments
from asr.sources.segments import Segment, cut, seconds
from asr.tables.corpus import Clip
from tests.test_ffmpeg import made

RATE = 16_000
NOISE = (0.1 * np.random.default_rng(0).standard_normal((10 * RATE, 2))).astype(np.float32)


def parts(*spans):
    return [Segment(*span, Clip(f"{span}", "train", "", "x")) for span in spans]


def written(tmp_path, channels=1, **kind):
    file = tmp_path / "recording"
    soundfile.write(file, NOISE[:, :channels], RATE, **kind)
    return file, soundfile.read(file, dtype="float32", always_2d=True)[0].mean(axis=1)


def samples(clip):
    found, rate = soundfile.read(io.BytesIO(clip.audio), dtype="float32")
    assert rate == RATE
    return found


@pytest.mark.parametrize(
    ("format", "subtype", "channels", "off_by"),
    [
        ("WAV", "PCM_16", 1, 0), ("WAV", "PCM_U8", 1, 0), ("FLAC", "PCM_24", 1, 0), ("WAV", "FLOAT", 2, 0),
        ("WAV", "PCM_16", 2, 1.6e-5), ("MP3", "MPEG_LAYER_III", 2, 1.6e-5), ("OGG", "OPUS", 1, 1.6e-5),
    ],
)  # fmt: skip
def test_segments_have_the_samples_of_their_recording(
    tmp_path, format, subtype, channels, off_by, monkeypatch
):
    file, whole = written(tmp_path, channels, format=format, subtype=subtype)
    spans = [(6, 6.25), (1, 2.5), (1.2, 1.4), (0.5, 3), (9.75, 10.0001)]
    for block in (2**20, 3_000):  # all at once, or with places to seek between
        monkeypatch.setattr(segments, "BLOCK_SAMPLES", block)
        clips = list(cut({file: parts(*spans)}))
        assert [clip.id for clip in clips] == [str(span) for span in sorted(spans)]
        for clip, (start_s, end_s) in zip(clips, sorted(spans), strict=True):
            expected = whole[round(start_s * RATE) : round(end_s * RATE)]
            np.testing.assert_allclose(samples(clip), expected, rtol=0, atol=off_by)


def test_a_recording_that_cannot_be_sought_in_is_read_once(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "BLOCK_SAMPLES", 5_000)
    file = tmp_path / "a.m4a"
    file.write_bytes(made("m4a", 3))
    with file.open("rb") as stream, FFmpegFile(stream) as sound:
        whole = sound.read(np.zeros((4 * sound.samplerate, sound.channels), np.float32)).mean(axis=1)
        rate = sound.samplerate
    clips = cut({file: parts((0.5, 1), (0.75, 1.25), (2, 2.5))})
    for clip, start_s in zip(clips, (0.5, 0.75, 2), strict=True):
        found, _ = soundfile.read(io.BytesIO(clip.audio), dtype="float32")
        expected = whole[round(start_s * rate) : round((start_s + 0.5) * rate)]
        np.testing.assert_allclose(found, expected, rtol=0, atol=2**-16)


@pytest.mark.parametrize(
    ("span", "problem", "detail"),
    [
        ((3, 3), "no_audio", "from 3 s to 3 s"),
        ((3, 2), "no_audio", "from 3 s to 2 s"),
        ((-1, 2), "no_audio", "from -1 s to 2 s"),
        ((0, 601), "too_large", "601 s, over 600 s"),
        ((9, 11), "cut_off", "1.0 s are there of 2.0 s from 9.0 s: the recording ends there"),
        ((9.9, 10.2), "cut_off", "0.1 s are there of 0.3 s from 9.9 s: the recording ends there"),
        ((50, 51), "cut_off", "0.0 s are there of 1.0 s from 50.0 s: the recording ends there"),
        ((8, 10.4), "", ""),  # within the slack of annotation programs
    ],
)
def test_a_segment_that_is_not_there_has_a_problem(tmp_path, span, problem, detail):
    file, _ = written(tmp_path, format="WAV")
    by_id = {clip.id: clip for clip in cut({file: parts((1, 2), span, (4, 5))})}
    clip = by_id.pop(str(span))
    assert (clip.problem, clip.detail, bool(clip.audio)) == (problem, detail, not problem)
    assert all(len(samples(other)) == RATE for other in by_id.values())


def test_a_damaged_recording_gives_what_can_be_decoded(tmp_path):
    file = tmp_path / "recording"
    file.write_bytes(b"no sound")
    spans = parts((0, 1), (1, 2))
    assert [clip.problem for clip in cut({file: spans})] == ["undecodable"] * 2
    broken = NOISE[:, 0].copy()
    broken[RATE] = np.nan
    soundfile.write(file, broken, RATE, format="WAV", subtype="FLOAT")
    assert [clip.problem for clip in cut({file: spans})] == ["", "undecodable"]
    file.write_bytes(file.read_bytes()[: 4 * RATE + 44 + 9])
    assert [clip.problem for clip in cut({file: spans})] == ["", "cut_off"]


def test_a_segment_on_which_the_decoder_dies_costs_no_other(tmp_path, monkeypatch):
    def mix(block, warn):
        if len(block) == RATE // 2:
            os._exit(1)
        return block[:, 0]

    monkeypatch.setattr(segments, "mix", mix)
    file, _ = written(tmp_path, format="WAV")
    clips = list(cut({file: parts((0, 1), (1, 1.5), (2, 2.5), (3, 4)), file.with_name("none"): []}))
    assert [clip.problem for clip in clips] == ["", "decoder_died", "decoder_died", ""]
    assert [bool(clip.audio) for clip in clips] == [True, False, False, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5", 1.5), (" 61,25 ", 61.25), ("0:01.5", 1.5), ("01:02:03.045", 3723.045), ("1:02:03,5", 3723.5),
        ("5e-05", 5e-5), ("-1", -1), ("nan", None), ("inf", None), ("1e300", None), ("", None),
        ("1:2:3:4", None), ("12 s", None), ("2024-05-01", None),
    ],
)  # fmt: skip
def test_times(text, expected):
    if expected is None:
        with pytest.raises(ValueError, match="is no time: write seconds, or hh:mm:ss.mmm"):
            seconds(text)
    else:
        assert seconds(text) == pytest.approx(expected)
