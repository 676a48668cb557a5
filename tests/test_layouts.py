import json
from pathlib import PurePath

import pytest

from asr.sources import folder
from asr.sources.files import Files
from asr.sources.layouts import split_of
from tests.corpora import tone
from tests.recipes import checked_corpus

A, B, C, D = "އެއް ދޭއް", 'he said "no", then; yes', '"ތިނެއް"', "ހަތަރު ފަސް ހައެއް"


def read(root):
    return list(folder.clips(checked_corpus("folder", path=str(root), test_fraction=0.25)))


def write(root, recordings, texts):
    files = {name: tone(hz=200 + index) for index, name in enumerate(recordings)}
    for name, data in (files | {name: text.encode() for name, text in texts.items()}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def nemo(*rows, **more):
    keys = ("audio_filepath", "text", "speaker")
    return "".join(json.dumps(dict(zip(keys, row, strict=False)) | more) + "\n" for row in rows)


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


def kaldi(place, **files):
    return {f"{place}/{name}": text for name, text in files.items()}


# Recordings, other files, and the clips: id, split, speaker, sentence. "held out": a hash decides the split.
LAYOUTS = {
    "audiofolder": (
        ["data/train/a.flac", "data/train/b.flac", "data/validation/x/a.flac", "data/test/a.flac"],
        {
            "data/train/metadata.csv": f"file_name,transcription\na.flac,{A}\nb.flac,{quoted(B)}\n",
            "data/validation/metadata.jsonl": '{"file_name": "x/a.flac", "sentence": "three"}\n',
            "data/test/metadata.tsv": f"file_name\ttext\na.flac\t{D}\n",
        },
        [
            ("data/test/a.flac", "test", "", D), ("data/train/a.flac", "train", "", A),
            ("data/train/b.flac", "train", "", B), ("data/validation/x/a.flac", "validation", "", "three"),
        ],
    ),
    "audiofolder, one table": (
        ["train/a.flac", "test/a.flac"],
        {"metadata.csv": f"file_name,text\ntrain/a.flac,{A}\ntest/a.flac,{D}\n"},
        [("train/a.flac", "train", "", A), ("test/a.flac", "test", "", D)],
    ),
    "NeMo": (
        ["wavs/a.flac", "wavs/b.flac", "wavs/c.flac"],
        {
            "train_manifest.json": nemo(("/old/wavs/a.flac", A, "s1"), ("wavs/b.flac", B, "s2"), duration=1),
            "manifests/other.json": "{",
            "dev_manifest.jsonl": nemo(("C:\\corpora\\wavs\\c.flac", C, "s3")),
            "test_manifest.json": nemo(("../mine/wavs/gone.flac", D, "s4")),
            "config.json": '{"text": 1}',
        },
        [
            ("wavs/c.flac", "validation", "s3", C), ("../mine/wavs/gone.flac", "test", "s4", D),
            ("wavs/a.flac", "train", "s1", A), ("wavs/b.flac", "train", "s2", B),
        ],
    ),
    "Kaldi": (
        ["wavs/a.flac", "wavs/b.flac", "wavs/c.flac"],
        kaldi(
            "data/train", **{"wav.scp": "u1 /old/mine/wavs/a.flac\nu2 wavs/b.flac\nu9 wavs/c.flac\n"},
            text=f"u2 {B}\nu1\t{A}\n", utt2spk="u1 s1\nu2 u2\n", spk2gender="s1 f\n",
        )
        | kaldi("data/eval", **{"wav.scp": "u3 mine/wavs/c.flac\n"}, text=f"u3 {C}\nu4 {D}\n")
        | kaldi("data/local/dict", text="no data folder\n")
        | kaldi("data/train/split2/1", **{"wav.scp": "u1 /old/mine/wavs/a.flac\n"}, text=f"u1 {A}\n"),
        [
            ("wavs/c.flac", "test", "", C), ("data/eval/u4", "test", "", D),
            ("wavs/b.flac", "train", "", B), ("wavs/a.flac", "train", "s1", A),
        ],
    ),
    "LJSpeech": (
        ["wavs/LJ-1.flac", "wavs/LJ-2.flac", "wavs/LJ-3.flac"],
        {"metadata.csv": f"LJ-1|In 8 {A}|{A}\nLJ-2|{B}|{B}\nLJ-3|{C}|{C}\n", "README": "LJ-1"},
        [(f"wavs/LJ-{i}.flac", "held out", "", text) for i, text in ((1, A), (2, B), (3, C))],
    ),
    "OpenSLR": (
        ["data/00/u1.flac", "data/00/u2.flac", "data/01/u3.flac"],
        {"utt_spk_text.tsv": f"u1\ts1\t{A}\nu2\ts2\t{B}\nu3\ts1\t{C}\n"},
        [
            ("data/00/u1.flac", "held out", "s1", A), ("data/00/u2.flac", "held out", "s2", B),
            ("data/01/u3.flac", "held out", "s1", C),
        ],
    ),
    "VITS": (
        ["wavs/a.flac", "wavs/b.flac", "wavs/c.flac"],
        {"train_list.txt": f"wavs/a.flac|{A}\nwavs/b.flac|{B}\n", "test_list.txt": f"wavs/c.flac|{C}\n"},
        [
            ("wavs/c.flac", "test", "", C),
            ("wavs/a.flac", "train", "", A), ("wavs/b.flac", "train", "", B),
        ],
    ),
    "LibriSpeech": (
        [
            "train-clean-100/7/1/7-1-0000.flac", "train-other-500/8/2/8-2-0000.flac",
            "dev-clean/9/1/9-1-0000.flac", "test-clean/10/1/10-1-0000.flac",
        ],
        {
            "SPEAKERS.TXT": "7 | F\n", "train-clean-100/7/1/7-1.trans.txt": f"7-1-0000 {A}\n",
            "train-other-500/8/2/8-2.trans.txt": f"8-2-0000 {B}\n8-2-0001 x\n",
            "dev-clean/9/1/9-1.trans.txt": f"9-1-0000 {C}\n",
            "test-clean/10/1/10-1.trans.txt": f"10-1-0000 {D}\n",
        },
        [
            ("dev-clean/9/1/9-1-0000.flac", "validation", "9", C),
            ("test-clean/10/1/10-1-0000.flac", "test", "10", D),
            ("train-clean-100/7/1/7-1-0000.flac", "train", "7", A),
            ("train-other-500/8/2/8-2-0000.flac", "train", "8", B),
            ("train-other-500/8/2/8-2-0001", "train", "8", "x"),
        ],
    ),
    "Multilingual LibriSpeech": (
        ["train/audio/7/1/7_1_000001.flac", "test/audio/8/1/8_1_000001.flac"],
        {
            "train/transcripts.txt": f"7_1_000001\t{A}\n", "train/segments.txt": "7_1_000001\thttp://x\t1\t2\n",
            "test/transcripts.txt": f"8_1_000001\t{D}\n", "metainfo.txt": "SPEAKER | GENDER\n",
        },
        [
            ("test/audio/8/1/8_1_000001.flac", "test", "8", D),
            ("train/audio/7/1/7_1_000001.flac", "train", "7", A),
        ],
    ),
    "texts": (
        ["p1/a.flac", "p1/b.flac", "p2/x.flac"],
        {"p1/a.txt": f" {A}\n", "p1/b.txt": f"{B}\n\n", "txt/p2/x.txt": f"{C}\nmore\n", "p2/notes.txt": "no"},
        [
            ("p1/a.flac", "held out", "p1", A), ("p1/b.flac", "held out", "p1", B),
            ("p2/x.flac", "held out", "p2", f"{C} more"),
        ],
    ),
    "Common Voice": (
        ["clips/a.flac", "clips/b.flac", "clips/c.flac"],
        {
            "train.tsv": f"client_id\tpath\tsentence\ns1\ta.flac\t{A}\n",
            "test.tsv": f"client_id\tpath\tsentence\ns2\tb.flac\t{B}\n",
            "other.tsv": f"client_id\tpath\tsentence\ns3\tc.flac\t{C}\n",
            "clip_durations.tsv": "clip\tduration[ms]\na.flac\t1\n",
        },
        [("clips/b.flac", "test", "s2", B), ("clips/a.flac", "train", "s1", A)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_clips_of_a_layout(tmp_path, layout):
    recordings, texts, expected = LAYOUTS[layout]
    root = write(tmp_path / "mine", recordings, texts)
    clips = read(root)
    splits = {clip.split for clip in clips}
    held_out = "held out" in {split for _, split, *_ in expected}
    assert [
        (clip.id, "held out" if held_out else clip.split, clip.speaker, clip.sentence) for clip in clips
    ] == expected
    assert splits == {"train", "test"} if held_out else True
    assert {clip.id: clip.audio for clip in clips if clip.audio} == {
        name: (root / name).read_bytes() for name, *_ in expected if name in recordings
    }
    assert {clip.problem for clip in clips} <= {"", "no_audio", "outside_folder"}


def test_parts_of_recordings_are_clips(tmp_path):
    scp = {"wav.scp": "r1 wavs/a.flac\n", "segments": "u1 r1 0.02 0.1\nu2 r1 0.1 0.2\n"}
    of_kaldi = kaldi("data", **scp, text=f"u1 {A}\nu2 {B}\n", utt2spk="u1 s1\n", spk2gender="s1 m\n")
    rows = [("wavs/a.flac", text, {"offset": start_s}) for text, start_s in ((A, 0.02), (B, 0.1))]
    of_nemo = {"m.json": "".join(nemo(row[:2], duration=0.08, **row[2]) for row in rows)}
    for name, texts, known in (("kaldi", of_kaldi, ("s1", "m")), ("nemo", of_nemo, ("", ""))):
        root = write(tmp_path / name, ["wavs/a.flac"], texts)
        end = 200 if name == "kaldi" else 180
        assert sorted((clip.id, clip.sentence, clip.speaker, clip.gender) for clip in read(root)) == [
            (f"wavs/a.flac#100-{end}", B, "", ""), ("wavs/a.flac#20-100", A, *known),
        ]  # fmt: skip


HEADED, SCP = "path,text\n", {"wav.scp": "r a.flac\n", "text": "u x\n"}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (SCP | {"wav.scp": "r flac -c -d -s a.flac |\n"}, r"wav.scp: 'r' is the output of a command, 'flac"),
        (SCP | {"segments": "u r 1\n"}, "segments: 'u' has to have a recording, start and end"),
        (SCP | {"segments": "u r 1 x\n"}, "text, row 1: start, and end or duration: 'x' is no time"),
        (
            {"a.csv": HEADED, "b.csv": HEADED},
            "several tables .*a.csv, b.csv.*: set .* name them by their splits",
        ),
        ({"test.csv": HEADED, "b.csv": HEADED}, "several tables"),
        ({"x/test.csv": HEADED, "y/b.csv": HEADED}, "several tables"),
        ({"t.tsv": f"a\t{A}\t{B}\n"}, "names its columns, and which one .*column 2, column 3.*: add a first"),
        ({"t.csv": f"b.flac,{A}\n"}, "no column for audio among b.flac"),
        ({"t.csv": f"nom,texte\na,{A}\n", "x/t.csv": f"path,text\na,{A}\n"}, "no column for audio among nom"),
        (
            {"t.txt": f"b.flac|{A}\n", "c.json": "{}", "text": "x"},
            "no table and no annotations in .* docs/corpora.md",
        ),
    ],
)
def test_what_is_not_clear_is_refused(tmp_path, texts, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read(write(tmp_path / "mine", ["a.flac"], texts))


@pytest.mark.parametrize(
    ("name", "home", "found"),
    [
        ("1.wav", ".", ""),  # several
        ("1.wav", "train", "train/1.wav"),
        ("train/1.wav", "train", "train/1.wav"),  # the table is in it, and its names begin at the root
        ("2.wav", ".", "clips/2.wav"),
        ("x/2.wav", ".", ""),
        ("dev/4.wav", ".", ""),  # 4.wav may be another recording
        ("/moved/corpus/4.wav", ".", "4.wav"),
        ("/moved/corpus/Test/1.WAV", ".", "test/1.wav"),
        ("D:\\corpus\\test\\1.wav", ".", "test/1.wav"),
        ("../corpus/train/1.wav", "manifests", "train/1.wav"),
        ("3", ".", "clips/3.mp3"),  # and not 3.txt
        ("a.b", ".", "clips/a.b.wav"),
        ("wav", ".", ""),
    ],
)
def test_a_file_is_found_by_the_end_of_its_path(tmp_path, name, home, found):
    files = (
        "train/1.wav",
        "test/1.wav",
        "clips/2.wav",
        "clips/3.mp3",
        "clips/3.txt",
        "4.wav",
        "clips/a.b.wav",
    )
    write(tmp_path, files, {})
    assert Files(tmp_path).find(name, home) in ((found, ""), ("", "no_audio"), ("", "outside_folder"))
    assert Files(tmp_path).find(name, home)[0] == found


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train.csv", "train"), ("train_manifest.json", "train"), ("cv-valid-train.csv", "train"),
        ("dev-clean/84/1/x.txt", "validation"), ("data/train_dev/text", "validation"), ("eval1/text", "test"),
        ("train/Test_2.tsv", "test"), ("validated.tsv", None), ("contest/trained.csv", None),
    ],
)  # fmt: skip
def test_the_split_that_a_path_says(path, split):
    assert split_of(PurePath(path)) == split
