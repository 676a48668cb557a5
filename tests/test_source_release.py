"""Releases without the three tables: spontaneous speech, delta releases, and folders in place of archives."""

import logging

import pytest

from asr.sources import archive
from tests.corpora import release, spontaneous, tone, tsv, unpack, write_archive
from tests.recipes import checked_corpus

ROWS = [  # speaker, clip, transcription, split
    ("s1", "spontaneous-speech-it-1.mp3", "ciao [laughter] a tutti", "train"),
    ("s2", "spontaneous-speech-it-2.mp3", '"null', "dev"),
    ("s3", "spontaneous-speech-it-3.mp3", "NA", "test"),
    ("s4", "spontaneous-speech-it-4.mp3", " ", "unassigned"),
    ("s5", "spontaneous-speech-it-5.mp3", "forse", "unassigned"),
    ("s5", "spontaneous-speech-it-6.mp3", "mai", ""),
]
SPLITS = ["train", "validation", "test", "unassigned", "unassigned"]


def read(path, locale="it", validated=False, sha256=None, fraction=0.25, use="both"):
    changes = {"path": str(path), "sha256": sha256, "locale": locale, "add_validated": validated}
    return list(archive.clips(checked_corpus("archive", test_fraction=fraction, use=use, **changes)))


def without(members, *names):
    return [member for member in members if not member[0].endswith(names)]


@pytest.mark.parametrize("order", [1, -1])
def test_spontaneous_speech_comes_as_it_is_less_what_nobody_has_transcribed(tmp_path, caplog, order):
    caplog.set_level(logging.INFO)
    clips = read(write_archive(tmp_path / "sps.tar.gz", spontaneous(ROWS)[::order]))[::order]
    told = [(clip.speaker, clip.id, clip.sentence) for clip in clips]
    assert told == [row[:3] for row in ROWS if row[2] != " "]
    assert [clip.split for clip in clips] == SPLITS
    assert [clip.audio for clip in clips] == [tone(hz=200 + 10 * i) for i in (0, 1, 2, 4, 5)]
    assert "1 recordings are not transcribed yet" in caplog.text


def test_spontaneous_speech_of_another_locale_or_split_says_so(tmp_path):
    path = write_archive(tmp_path / "sps.zip", spontaneous(ROWS))
    with pytest.raises(ValueError, match="no ss-corpus-fr.tsv; it has it: set locale"):
        read(path, "fr")
    path = write_archive(tmp_path / "odd.zip", spontaneous([*ROWS, ("s6", "7.mp3", "x", "valid")]))
    with pytest.raises(ValueError, match="'7.mp3' is of split 'valid', which is none of train, dev, test"):
        read(path)
    path = write_archive(tmp_path / "new.zip", spontaneous([ROWS[3]]))
    with pytest.raises(ValueError, match="list no transcribed clip"):
        read(path)


def test_a_release_without_a_test_split_is_divided_by_speaker(tmp_path):
    rows = [(f"s{n % 8}", f"{n}.mp3", f"testo {n}", "unassigned") for n in range(24)]
    clips = read(write_archive(tmp_path / "sps.tar.gz", spontaneous(rows)))
    speakers = {split: {clip.speaker for clip in clips if clip.split == split} for split in ("train", "test")}
    assert len(clips) == 24 and len(speakers["test"]) == 2 and len(speakers["train"]) == 6
    assert not speakers["test"] & speakers["train"]


def test_a_delta_release_has_validated_clips_alone(tmp_path):
    members = without(release(), "train.tsv", "dev.tsv", "test.tsv")
    path = write_archive(tmp_path / "delta.tar.gz", [*members, ("cv-corpus-1.0/dv/other.tsv", tsv())])
    for validated in (False, True):
        clips = read(path, "dv", validated)
        assert [clip.id for clip in clips] == ["a.mp3", "e.mp3", "f.mp3"]
        assert sorted(clip.split for clip in clips) == ["test", "train", "train"]


@pytest.mark.parametrize("members, locale", [(release(), "dv"), (spontaneous(ROWS), "it")])
def test_an_unpacked_folder_is_read_as_its_archive(tmp_path, members, locale):
    packed = read(write_archive(tmp_path / "packed.tar.gz", sorted(members)), locale)
    root = unpack(tmp_path / "unpacked", members)
    home = next(root.rglob("*.tsv")).parent
    for folder in (root, home.parent, home):
        assert read(folder, locale) == packed
    with pytest.raises(ValueError, match="is a folder, .* set sha256 to null"):
        read(root, locale, sha256="0" * 64)


def test_a_link_in_an_unpacked_folder_is_not_followed(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    root = unpack(tmp_path / "unpacked", release())
    clip = root / "cv-corpus-1.0/dv/clips/a.mp3"
    clip.unlink()
    clip.symlink_to(tmp_path / "secret")
    assert {clip.id: clip.audio for clip in read(root, "dv")}["a.mp3"] == b""
