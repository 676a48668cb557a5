"""Annotations beside recordings, read by the folder source as a user has them."""

import io
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pytest
import soundfile

from asr.commands.transcribe.subtitles import FORMATS, Segment
from asr.sources import cues, elan, folder, praat
from asr.sources.tiers import Annotation
from tests.corpora import tone
from tests.recipes import checked_corpus
from tests.test_audio import encoded, speechlike

RATE = 16_000
SAMPLES = speechlike(10 * RATE)
RECORDING = encoded(SAMPLES, RATE, format="FLAC")
TIMES = {"1": 0, "2": 1000, "3": 1500, "4": 3000, "5": 2500, "6": 4000, "7": None, "8": None, "9": 7000}


def eaf(*tiers, media="a.flac", origin="", slots=TIMES):
    """Write an ELAN file.

    Parameters
    ----------
    tiers: name, attributes, and annotations (id, first and last time slot, or the annotation above; text)
    """

    def annotation(name, *refs, text):
        if len(refs) == 2:
            kind, where = "ALIGNABLE", f'TIME_SLOT_REF1="{refs[0]}" TIME_SLOT_REF2="{refs[1]}"'
        else:
            kind, where = "REF", f'ANNOTATION_REF="{refs[0]}"'
        value = f"<ANNOTATION_VALUE>{escape(text)}</ANNOTATION_VALUE>"
        one = f'<{kind}_ANNOTATION ANNOTATION_ID="{name}" {where}>{value}</{kind}_ANNOTATION>'
        return f"<ANNOTATION>{one}</ANNOTATION>"

    order = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="{slot}"' + ("/>" if at is None else f' TIME_VALUE="{at}"/>')
        for slot, at in slots.items()
    )
    parts = "".join(
        f"<TIER TIER_ID={quoteattr(name)} {attributes}>"
        + "".join(annotation(*each[:-1], text=each[-1]) for each in annotations)
        + "</TIER>"
        for name, attributes, annotations in tiers
    )
    link = f'<MEDIA_DESCRIPTOR MEDIA_URL={quoteattr(media)} MIME_TYPE="audio/x-wav" {origin}/>'
    document = f"<HEADER>{link}</HEADER><TIME_ORDER>{order}</TIME_ORDER>{parts}"
    return f"<ANNOTATION_DOCUMENT>{document}</ANNOTATION_DOCUMENT>".encode()


def textgrid(tiers, short=False, points=("clicks", [(0.5, "!")])):
    """Write a TextGrid: a tier of points, and of intervals by name, as Praat writes them."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 ", "xmax = 10 "]
    lines += ["tiers? <exists> ", f"size = {1 + len(tiers)} ", "item []: "]
    for number, (name, entries) in enumerate([points, *tiers.items()], 1):
        kind = "IntervalTier" if number > 1 else "TextTier"
        keys = ("xmin", "xmax", "text") if number > 1 else ("number", "mark")
        lines += [f"item [{number}]:", f'class = "{kind}" ', f'name = "{name}" ', "xmin = 0 ", "xmax = 10 "]
        lines.append(f"intervals: size = {len(entries)} ")
        for place, entry in enumerate(entries, 1):
            values = [f'"{v.replace(chr(34), 2 * chr(34))}"' if isinstance(v, str) else f"{v}" for v in entry]
            lines += [f"intervals [{place}]:", *(f"{k} = {v} " for k, v in zip(keys, values, strict=True))]
    if short:
        lines = [line.split("= ")[-1].split("? ")[-1] for line in lines if not line.endswith(("]:", "]: "))]
    return "\n".join(lines) + "\n"


def write(root, **files):
    """Write files; in their names, two underscores stand for the point and one for a slash."""
    for name, data in files.items():
        file = root / name.replace("__", ".").replace("_", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data.encode() if isinstance(data, str) else data)
    return root


def read(root, tiers=None, table=None):
    return list(folder.clips(checked_corpus("folder", path=str(root), table=table, tiers=tiers)))


def found(clips):
    return [(clip.id, clip.speaker, clip.sentence) for clip in clips]


SPOKEN = [
    ("tx@A", 'PARTICIPANT="Aminath"', [("a1", "1", "2", "އެކެއް"), ("a2", "3", "4", "ދޭއް")]),
    ("ft@A", 'PARENT_REF="tx@A"', [("r1", "a1", "one"), ("r2", "a2", "two")]),
    ("tx@B", 'PARTICIPANT="Bilal"', [("b1", "5", "6", "ތިނެއް"), ("b2", "6", "9", "")]),
]


def test_elan_s_tiers_of_speakers_are_taken_and_not_their_translations(tmp_path, caplog):
    caplog.set_level("INFO")
    clips = read(write(tmp_path, a__eaf=eaf(*SPOKEN), a__flac=RECORDING))
    assert found(clips) == [
        ("a.flac#0-1000", "Aminath", "އެކެއް"),
        ("a.flac#1500-3000", "Aminath", "ދޭއް"),
        ("a.flac#2500-4000", "Bilal", "ތިނެއް"),
    ]
    assert {clip.speaker: clip.split for clip in clips} in (
        {"Aminath": "train", "Bilal": "test"}, {"Aminath": "test", "Bilal": "train"},
    )  # fmt: skip
    samples, rate = soundfile.read(io.BytesIO(clips[1].audio), dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(samples, SAMPLES[RATE * 3 // 2 : RATE * 3], atol=2**-15)
    for said in (
        "tiers taken: 'tx@A' (2 texts), 'tx@B' (1 texts)", "tiers left out: 'ft@A' (2 texts)",
        "1 segments begin before another one has ended", "1 annotations without a text are left out",
    ):  # fmt: skip
        assert said in caplog.text


def test_tiers_that_are_named_have_the_times_and_the_speaker_of_those_that_they_explain(tmp_path):
    words = ("wd@A", 'PARENT_REF="ft@A"', [("w1", "r1", "o"), ("w2", "r1", "ne"), ("w3", "r2", "two")])
    root = write(tmp_path, a__eaf=eaf(*SPOKEN, words), a__flac=RECORDING)
    expected = [("a.flac#0-1000", "Aminath", "o ne"), ("a.flac#1500-3000", "Aminath", "two")]
    assert found(read(root, tiers="w*")) == expected
    assert found(read(root, tiers=["wd@A", "tx@C"])) == expected
    with pytest.raises(ValueError, match=r"no tier that matches tx@C .* has a text; there are 'tx@A' \(2: "):
        read(root, tiers="tx@C")


def test_annotations_that_elan_has_not_aligned_divide_the_time_between_their_neighbours(tmp_path, caplog):
    file = tmp_path / "a.eaf"
    unaligned = [
        ("x", "7", "2", "no start"),
        ("y", "3", "7", "p"),
        ("z", "7", "8", "q"),
        ("u", "8", "6", "r"),
    ]
    circle = [("c1", "c2", "lost"), ("c2", "c1", "lost")]
    file.write_bytes(eaf(("words", "", unaligned), ("round", 'PARENT_REF="round"', circle)))
    _, (words, lost) = elan.read(file)
    times = [(round(start, 3), round(end, 3), text) for start, end, text in words.annotations]
    assert times == [(1.5, 2.333, "p"), (2.333, 3.167, "q"), (3.167, 4.0, "r")]
    assert lost.annotations == [] and "tier 'words': 1 without a time are left out" in caplog.text


@pytest.mark.parametrize(
    "media",
    ["file:///C:/field/rec/the%20tape.WAV", "..\\rec\\the tape.wav", "../rec/the tape.wav", "moved.wav"],
)
def test_recordings_are_found_by_what_elan_links_or_by_the_file_s_own_name(tmp_path, media):
    root = write(tmp_path, texts_a__eaf=eaf(SPOKEN[0], media=media, origin='TIME_ORIGIN="500"'))
    name = "a.wav" if media == "moved.wav" else "the tape.wav"
    (root / "rec").mkdir()
    (root / "rec" / name).write_bytes(encoded(SAMPLES, RATE, format="WAV"))
    write(root, other_b__wav=tone(), other_b__srt="1\n00:00:00,000 --> 00:00:00,100\nx\n")
    clips = [clip for clip in read(root) if clip.id.startswith("rec")]
    assert [clip.id for clip in clips] == [f"rec/{name}#500-1500", f"rec/{name}#2000-3500"]
    assert all(clip.audio for clip in clips)


WORDS = [(0, 1, "an"), (1, 2, "apple"), (2, 3, "")]
SOUNDS = [(0, 0.5, "a"), (0.5, 1, "n"), (1, 2, "b")]
REFERENCES = [("a1", "1", "2", "A.001"), ("a2", "3", "4", "A.002")]


@pytest.mark.parametrize(
    ("kind", "data", "named"),
    [
        ("TextGrid", textgrid({"words": WORDS, "sounds": SOUNDS}), "'words' (2: 'an'), 'sounds' (3: 'a')"),
        ("eaf", eaf(("A", "", SPOKEN[0][2]), ("B", "", SPOKEN[0][2])), "'A' (2: 'އެކެއް'), 'B' (2: "),
        ("eaf", eaf(("ref", "", REFERENCES), ("tx", 'PARENT_REF="ref"', [("b", "a1", "x")])), "'tx' (1: "),
    ],
)  # fmt: skip
def test_if_it_is_not_clear_which_tiers_are_transcripts_the_user_is_asked(tmp_path, kind, data, named):
    write(tmp_path, **{f"a__{kind}": data, "a__flac": RECORDING})
    with pytest.raises(ValueError, match="not clear which of its tiers .*Set tiers") as error:
        read(tmp_path)
    assert named in str(error.value) and f"a.{kind}" in str(error.value)


ODD = 'he said "item [1]:" , intervals [2]: 5'
ENTRIES = [(0, 1.25, "café"), (1.25, 2e-0, ""), (2, 3.5, ODD), (3.5, 10, "two\nlines")]


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8", ""), ("utf-8", "\ufeff"), ("utf-16-le", "\ufeff"), ("utf-16-be", "\ufeff")],
)
def test_textgrids_of_either_form_in_praat_s_encodings(tmp_path, short, encoding, mark):
    file = tmp_path / "a.TextGrid"
    text = mark + textgrid({"A": ENTRIES}, short)
    for data in (text, text.replace("\n", "\r\n")):
        file.write_bytes(data.encode(encoding))
        (tier,) = praat.read(file)
        assert tier.name == "A"
        expected = [(0, 1.25, "café"), (2, 3.5, ODD), (3.5, 10, "two lines")]
        assert tier.annotations == [Annotation(*entry) for entry in expected]


def test_praat_s_tiers_are_speakers_where_there_are_several(tmp_path):
    latin = textgrid({"Zoë": [(0, 1, "à"), (2, 3, "b")], "Ali": [(1, 2.5, "c")]}).encode("cp1252")
    clips = read(write(tmp_path, a__TextGrid=latin, a__flac=RECORDING))
    assert [(clip.speaker, clip.sentence) for clip in clips] == [("Zoë", "à"), ("Ali", "c"), ("Zoë", "b")]
    one = textgrid({"transcript": [(0, 1, "a"), (2, 3, "b")]})
    assert {clip.speaker for clip in read(write(tmp_path, a__TextGrid=one))} == {""}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.srt", "1\n00:00:01,000 --> 00:01:02,500 X1:40 X2:600\n<i>A</i> {\\an8}b\nc\n\n2\n"
         "00:02:00.000 --> 00:02:01.000\n7\n\nafter a blank line\n3\n1:00:00,5 --> 1:00:01,0\nz",
         [("", 1, 62.5, "A b c"), ("", 120, 121, "7 after a blank line"), ("", 3600.5, 3601, "z")]),
        ("a.vtt", "WEBVTT\n\nNOTE 00:01 no cue\n\nid\n00:01.000 --> 00:02.000 align:start\n"
         "<v.loud Ann &amp; Bo>so <00:01.500><c.x>it</c></v>\n\nSTYLE\nx\n\n00:03.000 --> 00:04.000\n"
         "1 &lt; 2\n\n00:05.000 --> 00:06.000\n<v A>a</v> <v B>b</v>\n\n00:07.000 --> 00:08.000\n\n",
         [("", 3, 4, "1 < 2"), ("", 5, 6, "a b"), ("Ann & Bo", 1, 2, "so it")]),
        ("a.txt", "0.500000\t1.250000\tone  word\n\\\t100.0\t900.0\n2,0\t3,0\t\n4.0\t4.0\tpoint\n",
         [("", 0.5, 1.25, "one word"), ("", 4, 4, "point")]),
    ],
)  # fmt: skip
def test_subtitles_and_labels(tmp_path, name, text, expected):
    file = tmp_path / name
    file.write_text(text)
    tiers = (cues.read_labels if name == "a.txt" else cues.read_subtitles)(file)
    assert sorted((t.participant, *annotation) for t in tiers for annotation in t.annotations) == expected
    assert sum(tier.n_empty for tier in tiers) == (name != "a.srt")


def test_a_recording_is_read_once_from_the_best_of_its_annotations(tmp_path, caplog):
    caplog.set_level("INFO")
    srt = "1\n00:00:00,000 --> 00:00:01,000\nfrom the subtitles\n"
    grid = textgrid({"A": [(0, 1, "from Praat"), (2, 3, "x")]})
    label = "0.0\t1.0\tfrom Audacity\n"
    root = write(tmp_path, a__flac=RECORDING, b__FLAC=RECORDING, c__flac=RECORDING, d__flac=RECORDING)
    write(root, a__eaf=eaf(SPOKEN[0]), a__TextGrid=grid, a__srt=srt, b__TextGrid=grid, b__srt=srt, c__srt=srt)
    write(root, c__txt=label, d__txt=label, README__txt="not of a recording", e__txt=label)
    clips = read(root)
    assert [clip.sentence for clip in clips if clip.id.endswith("#0-1000")] == [
        "އެކެއް", "from Praat", "from the subtitles", "from Audacity",
    ]  # fmt: skip
    assert "a.TextGrid is left out: a.eaf is read for 'a.flac'" in caplog.text
    write(root, b__eaf=eaf(("A", "", [("a", "1", "2", "")]), media="b.FLAC"), d__txt="Nothing but notes.\n")
    assert "from Praat" in [clip.sentence for clip in read(root)]
    assert "1 annotation files have no text to take: b.eaf" in caplog.text
    assert {clip.id[0] for clip in read(root)} == {"a", "b", "c"}
    write(root, t__csv="file,text\na.flac,x\nb.FLAC,y\n")
    assert [clip.id for clip in read(root)] == ["a.flac", "b.FLAC"]
    assert "t.csv is read, and no annotations, such as" in caplog.text


def test_texts_that_nobody_speaks_are_not_lost_in_silence(tmp_path):
    label = "0.0\t1.0\tx\n3.0\t3.0\ty\n4.0\t2.0\tz\n9.0\t12.0\tu\n0.0\t1.0\tv\n"
    missing = eaf(SPOKEN[0], media="file:///D:/gone.wav")
    clips = read(write(tmp_path, a__flac=RECORDING, a__txt=label, b__eaf=missing))
    assert len({clip.id for clip in clips}) == len(clips)
    assert [(clip.id.split("-")[0], clip.sentence, clip.problem) for clip in clips] == [
        ("gone.wav#0", "އެކެއް", "no_audio"), ("gone.wav#1500", "ދޭއް", "no_audio"), ("a.flac#0", "v", ""),
        ("a.flac#0", "x", ""), ("a.flac#3000", "y", "no_audio"), ("a.flac#4000", "z", "no_audio"),
        ("a.flac#9000", "u", "cut_off"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.eaf", b"<ANNOTATION_DOCUMENT>", "a.eaf cannot be read as ELAN's"),
        ("a.eaf", b"<html/>", "it begins with <html>"),
        ("a.eaf", eaf(SPOKEN[0], slots={"1": "soon"}), "a.eaf cannot be read as ELAN's: .*'soon'"),
        ("a.eaf", eaf(), "no tier has a text; there are none"),
        ("a.TextGrid", textgrid({"A": ENTRIES})[:-20].encode(), "a.TextGrid is no whole TextGrid"),
        (
            "a.TextGrid",
            b"ooBinaryFile\x08TextGrid",
            "a.TextGrid is no whole TextGrid: save it .* as a text file",
        ),
        ("a.srt", b"what is said\n", "a.srt has no cue"),
        ("a.vtt", b"WEBVTT\n\n00:00:01.000 --> 1:2:3:4\nx\n", "a.vtt, line 3: '1:2:3:4' is no time"),
        ("a.txt", b"0.0\t1.0\tx\n1.0 2.0 y\n", "a.txt, line 2: no label"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, data, message):
    (write(tmp_path, a__flac=RECORDING) / name).write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_rows_of_a_table_are_segments_if_they_have_times(tmp_path, caplog):
    rows = "\n".join(
        [
            "File;Start Time;End Time;Duration;Text;Speaker",
            "a.flac;0:00:01,5;2.5;;one;A",
            "a.flac;1.5;;1;two;B",  # both at once
            "a.flac;1.5;2.5;;one;A",  # the same again
            "a.flac;;;9;all of it;B",
            "gone.flac;1;2;;x;B",
        ]
    )
    clips = read(write(tmp_path, a__flac=RECORDING, t__csv=rows))
    assert [(clip.id[:16], clip.sentence, clip.problem) for clip in clips] == [
        ("a.flac", "all of it", ""), ("gone.flac#1000-2", "x", "no_audio"),
        ("a.flac#1500-2500", "one", ""), ("a.flac#1500-2500", "two", ""),
    ]  # fmt: skip
    assert clips[0].audio == RECORDING and clips[2].audio == clips[3].audio and clips[2].id != clips[3].id
    assert "1 rows that repeat another one are left out" in caplog.text
    manifest = '{"audio_filepath": "a.flac", "offset": 2, "duration": 1.5, "text": "x"}\n'
    other = manifest.replace("2", "4").replace('"x"', '"y"')
    (tmp_path / "t.csv").rename(tmp_path / "t.old")
    assert [c.id for c in read(write(tmp_path, t__jsonl=manifest + other))] == [
        "a.flac#2000-3500", "a.flac#4000-5500",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "message"),
    [("a.flac;soon;1;x;A;test", "row 1: .*'soon' is no time"), ("a.flac;1;;x;A;test", "row 1: .*'' is no"),
     ("a.flac;1;2;x;A;test\na.flac;1;2;x;A;train", "row 2: .*in an earlier row too, and they differ")],
)  # fmt: skip
def test_times_that_are_none_are_located(tmp_path, row, message):
    write(tmp_path, a__flac=RECORDING, t__csv=f"file;start;end;text;speaker;split\n{row}\n")
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("kind", ["eaf", "textgrid", "srt", "vtt"])
def test_what_was_transcribed_comes_back_as_training_data(tmp_path, kind):
    heard = [
        Segment(0.0, 1.5, 'ބޮޑު "މަގު"'), Segment(1.5, 2.0, ""), Segment(2.0, 3.9996, "5 < 6 & 'so' on"),
        Segment(4.75, 6.25, "ދެން"),
    ]  # fmt: skip
    root = write(tmp_path, rec_a__flac=RECORDING)
    name = "../rec/a.flac" if kind == "eaf" else "rec/a.flac"
    place = "texts" if kind == "eaf" else "rec"
    (root / place).mkdir(exist_ok=True)
    (root / place / f"a.{kind}").write_text(FORMATS[kind](name, heard), encoding="utf-8")
    clips = read(root)
    assert found(clips) == [
        ("rec/a.flac#0-1500", "", heard[0].text), ("rec/a.flac#2000-4000", "", heard[2].text),
        ("rec/a.flac#4750-6250", "", heard[3].text),
    ]  # fmt: skip
    assert [len(soundfile.read(io.BytesIO(clip.audio))[0]) / RATE for clip in clips] == [1.5, 2.0, 1.5]
