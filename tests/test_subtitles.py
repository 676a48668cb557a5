import json

import pytest

from asr.commands.transcribe.subtitles import FORMATS, Segment, divided

HEARD = [
    Segment(0.0, 2.5, "ބޮޑު މަގު"),
    Segment(2.5, 3.0, ""),
    Segment(3.0, 59.9996, "a <b> & c"),
    Segment(3661.5, 3662.25, "ދެން"),
]
SRT = """\
1
00:00:00,000 --> 00:00:02,500
ބޮޑު މަގު

2
00:00:03,000 --> 00:01:00,000
a <b> & c

3
01:01:01,500 --> 01:01:02,250
ދެން
"""
VTT = """\
WEBVTT

00:00:00.000 --> 00:00:02.500
ބޮޑު މަގު

00:00:03.000 --> 00:01:00.000
a &lt;b&gt; &amp; c

01:01:01.500 --> 01:01:02.250
ދެން
"""


@pytest.mark.parametrize(
    ("format", "expected"), [("txt", "ބޮޑު މަގު a <b> & c ދެން\n"), ("srt", SRT), ("vtt", VTT)]
)
def test_what_was_heard_is_written_in_each_format(format, expected):
    assert FORMATS[format]("a.mp3", HEARD) == expected


def test_json_has_the_times_of_every_segment_on_one_line():
    line = FORMATS["json"]("a.mp3", HEARD)
    heard = json.loads(line)
    assert line.count("\n") == 1 and "ބޮޑު" in line
    assert heard["recording"] == "a.mp3" and heard["text"] == "ބޮޑު މަގު a <b> & c ދެން"
    assert heard["segments"][1] == {"start_s": 2.5, "end_s": 3.0, "text": ""}
    assert len(heard["segments"]) == 4


@pytest.mark.parametrize(
    ("format", "expected"), [("txt", "\n"), ("srt", ""), ("vtt", "WEBVTT\n"), ("json", None)]
)
def test_a_recording_in_which_nothing_is_said(format, expected):
    found = FORMATS[format]("a.mp3", [])
    assert found == expected or json.loads(found)["segments"] == []


@pytest.mark.parametrize(
    ("text", "lengths", "parts"),
    [
        ("aa bb cc dd", [2, 2], ["aa bb", "cc dd"]),  # in proportion
        ("aa bb cc dd", [6, 2], ["aa bb cc", "dd"]),
        ("aaaa aaaa. bbbb bbbb bbbb", [1, 1], ["aaaa aaaa.", "bbbb bbbb bbbb"]),  # a sentence ends near
        ("ހުރި ގަޔާ؟ އެކަކު އެކަކު އެކަކު", [1, 1], ["ހުރި ގަޔާ؟", "އެކަކު އެކަކު އެކަކު"]),
        ("a. " + 20 * "bbbb ", [1, 1], ["a. " + 9 * "bbbb " + "bbbb", 9 * "bbbb " + "bbbb"]),  # too far
        ("one", [3, 9, 1], ["", "one", ""]),
        ("", [1, 2], ["", ""]),
        ("all of it", [5], ["all of it"]),
        ("今日は晴れ。明日は雨です。", [6, 6], ["今日は晴れ。", "明日は雨です。"]),  # no spaces
        ("สวัสดีครับ", [1, 1], ["สวัส", "ดีครับ"]),
    ],
)
def test_a_text_is_divided_among_utterances(text, lengths, parts):
    assert divided(text, lengths) == parts
