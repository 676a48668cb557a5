"""Which files a command's names stand for, and which files it may write."""

import os

import pytest

from asr.commands.transcribe.files import find, outputs, write


def touched(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_recordings_below_a_folder_are_found_and_what_is_none_is_left_alone(tmp_path):
    folder = touched(tmp_path, "b.MP3", "a/c.opus", "d.AMR", "notes.txt", "p.raw", "._b.MP3", "f.wav/g.oga")
    assert find([str(folder)]) == [folder / name for name in ("a/c.opus", "b.MP3", "d.AMR", "f.wav/g.oga")]


def test_a_folder_without_a_recording_says_what_would_be_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no recording below this folder \(.*\.m4a, .*\.wav"):
        find([str(touched(tmp_path, "notes.txt"))])


def test_a_named_pipe_is_a_recording_and_standard_input_is_one_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert find([str(tmp_path / "pipe"), "-"]) == [tmp_path / "pipe", None]
    with pytest.raises(ValueError, match="standard input can be read once"):
        find(["-", "a.wav", "-"])


@pytest.mark.parametrize(
    ("names", "written"),
    [
        (["."], ["x/a.txt", "x/y/a.txt", "z/b.c.txt"]),
        (["x"], ["a.txt", "y/a.txt"]),
        (["x/a.wav", "x/y/a.mp3", "-"], ["a.txt", "y/a.txt", "stdin.txt"]),
        (["x", "z"], ["x/a.txt", "x/y/a.txt", "z/b.c.txt"]),
        (["x/y", "../here/z/b.c.flac"], ["x/y/a.txt", "z/b.c.txt"]),
        (["x/y/a.mp3"], ["a.txt"]),
    ],
    ids=str,
)
def test_folders_are_kept_below_the_deepest_that_holds_all_that_is_named(
    tmp_path, monkeypatch, names, written
):
    monkeypatch.chdir(touched(tmp_path / "here", "x/a.wav", "x/y/a.mp3", "z/b.c.flac"))
    out = tmp_path / "out"
    assert outputs(names, find(names), out, "txt") == [out / name for name in written]


@pytest.mark.parametrize("names", [["a.wav", "a.mp3"], ["stdin.wav", "-"], ["a.wav", "."]], ids=str)
def test_two_recordings_of_one_name_in_one_folder_are_refused(tmp_path, monkeypatch, names):
    monkeypatch.chdir(touched(tmp_path, "a.wav", "a.mp3", "stdin.wav"))
    with pytest.raises(ValueError, match=r"would all be .*\.txt: rename them, or write them to different"):
        outputs(names, find(names), tmp_path, "txt")


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/1"])
def test_where_nothing_can_be_written_is_refused(tmp_path, out):
    touched(tmp_path, "file")
    with pytest.raises(ValueError, match="no file can be written in"):
        outputs(["-"], [None], tmp_path / out, "txt")


def test_a_folder_to_write_to_is_made_and_empty(tmp_path):
    assert outputs(["-"], [None], tmp_path / "a/b", "vtt") == [tmp_path / "a/b/stdin.vtt"]
    assert list((tmp_path / "a/b").iterdir()) == []


def test_a_file_is_written_as_a_whole_or_not_at_all(tmp_path):
    file = tmp_path / "below" / ("x" * 251 + ".srt")  # as long as names can be
    write(file, "old\n", "strict")
    with pytest.raises(UnicodeEncodeError):
        write(file, "new \udcff", "strict")
    assert file.read_text() == "old\n" and list(file.parent.iterdir()) == [file]
    write(file, "new \udcff", "surrogateescape")
    assert file.read_bytes() == b"new \xff"
