import hashlib
import tarfile

import pytest

from asr.sources import archive
from tests.corpora import GENERATIONS, ROWS, release, release_of_generation, tone, tsv, write_archive
from tests.recipes import checked_corpus

HOME = "cv-corpus-1.0/dv"


def pack(path, **changes):
    """Pack a release with other tables, or without those that are None."""
    members = dict(release()) | {f"{HOME}/{table}.tsv": data for table, data in changes.items()}
    return write_archive(path, [(name, data) for name, data in members.items() if data is not None])


def read(path, locale="dv", sha256=None, validated=False):
    changes = {"path": str(path), "sha256": sha256, "locale": locale, "add_validated": validated}
    return list(archive.clips(checked_corpus("archive", test_fraction=0.25, **changes)))


def test_a_release_comes_out_whole(tmp_path):
    clips = {clip.id: clip for clip in read(pack(tmp_path / "cv.tar.gz"))}
    assert {name: clip.split for name, clip in clips.items()} == {
        "a.mp3": "train", "b.mp3": "train", "c.mp3": "train", "d.mp3": "validation", "e.mp3": "test"
    }  # fmt: skip
    assert clips["b.mp3"].sentence == "null"
    assert clips["b.mp3"].audio == tone(hz=250)
    last = clips["e.mp3"]
    assert (last.speaker, last.gender, last.age, last.accent) == ("s4", "female_feminine", "twenties", "މާލެ")


def test_the_order_of_the_archive_s_members_does_not_matter_but_for_the_order_of_clips(tmp_path):
    forwards = read(write_archive(tmp_path / "1.tar.gz", release()))
    backwards = read(write_archive(tmp_path / "2.tar.gz", release()[::-1]))
    assert backwards == forwards[::-1]


def test_columns_go_by_name_and_may_be_missing(tmp_path):
    header = ("sentence_id", "sentence", "client_id", "accent", "path")
    table = tsv(("x", "ތިނެއް", "s4", "north", "e.mp3"), header=header)
    clip = read(pack(tmp_path / "cv.tar.gz", test=table))[-1]
    assert (clip.id, clip.speaker, clip.sentence, clip.accent) == ("e.mp3", "s4", "ތިނެއް", "north")
    assert (clip.gender, clip.age) == ("", "")


def test_a_clip_that_the_archive_lacks_comes_without_audio(tmp_path):
    members = [member for member in release() if not member[0].endswith("/b.mp3")]
    clips = read(write_archive(tmp_path / "cv.tar.gz", members))
    assert [(clip.id, len(clip.audio) > 0) for clip in clips][-2:] == [("e.mp3", True), ("b.mp3", False)]
    assert len(clips) == 5


def test_an_archive_of_tables_alone_is_an_error(tmp_path):
    members = [member for member in release() if member[0].endswith(".tsv")]
    with pytest.raises(ValueError, match=f"none of the 5 clips listed in {HOME}"):
        read(write_archive(tmp_path / "cv.tar.gz", members))


def test_the_locale_picks_its_folder(tmp_path):
    path = write_archive(tmp_path / "cv.tar.gz", [*release("dv")[:-1], *release("it")])
    assert [clip.id for clip in read(path, "it")] == [f"{name}.mp3" for name in "abcde"]
    with pytest.raises(ValueError, match="folder 'fr'.* it has dv, it: set locale"):
        read(path, "fr")


@pytest.mark.parametrize("order", [1, -1])
def test_validated_clips_of_no_other_table_come_too_if_asked_for(tmp_path, order):
    path = write_archive(tmp_path / "cv.tar.gz", release()[::order])
    clips = read(path, validated=True)[::order]
    assert [clip for clip in clips if clip.split != "validated"] == read(path)[::order]
    assert [(clip.id, clip.split, clip.speaker, clip.sentence) for clip in clips[-1:]] == [
        ("f.mp3", "validated", "s5", "ހަތަރެއް")
    ]
    assert clips[-1].audio == tone(hz=450)


def test_all_four_tables_are_read_wherever_they_are(tmp_path):
    clips, tables = release()[:6], release()[6:]
    for last in range(4):
        members = [*tables[:last], *tables[last + 1 :], *clips, tables[last]]
        assert len(read(write_archive(tmp_path / f"{last}.tar.gz", members), validated=True)) == 6


def test_without_the_switch_validated_is_not_looked_at(tmp_path):
    assert len(read(pack(tmp_path / "cv.tar.gz", validated=b"\xff"))) == 5


def test_a_release_without_validated_is_an_error_if_it_is_asked_for(tmp_path):
    path = pack(tmp_path / "cv.tar.gz", validated=None)
    assert len(read(path)) == 5
    with pytest.raises(ValueError, match="has no validated.tsv: .*or set add_validated to false"):
        read(path, validated=True)


def test_a_clip_of_two_splits_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="clip 'a.mp3' is listed in both train and test"):
        read(pack(tmp_path / "cv.tar.gz", test=tsv(("s6", "./a.mp3", "x"))))


def test_a_clip_that_a_table_lists_twice_comes_once(tmp_path, caplog):
    clips = read(pack(tmp_path / "cv.tar.gz", test=tsv(("s6", "e.mp3", "x"), ("s6", "e.mp3", "y"))))
    assert [(clip.id, clip.sentence) for clip in clips if clip.split == "test"] == [("e.mp3", "x")]
    assert "1 rows of a clip that their table has listed already are left out" in caplog.text


def test_a_release_may_lack_dev_but_not_test(tmp_path):
    assert len(read(pack(tmp_path / "cv.tar.gz", dev=None))) == 4
    with pytest.raises(ValueError, match="has no test.tsv"):
        read(pack(tmp_path / "cv.tar.gz", test=None))


def test_links_devices_and_names_that_climb_are_not_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")

    def special(name, kind, target=""):
        info = tarfile.TarInfo(f"{HOME}/clips/{name}")
        info.type, info.linkname = kind, target
        return info

    table = tsv(*(("s9", f"{name}.mp3", "x") for name in ("soft", "hard", "device", "climbs")))
    members = dict(release()) | {f"{HOME}/test.tsv": table}
    elsewhere = [
        (f"{outside}/dv/{name}.tsv", tsv(("s9", "a.mp3", "y")))
        for outside in ("..", "/absolute", "cv/..")
        for name in ("train", "dev", "test")
    ]
    path = write_archive(
        tmp_path / "in" / "cv.tar.gz",
        [
            *elsewhere,
            *members.items(),
            special("soft.mp3", tarfile.SYMTYPE, str(secret)),
            special("hard.mp3", tarfile.LNKTYPE, f"{HOME}/clips/a.mp3"),
            special("device.mp3", tarfile.CHRTYPE),
            (f"{HOME}/clips/../clips/climbs.mp3", b"climbed"),
        ],
    )
    clips = read(path)
    assert {clip.id: clip.audio for clip in clips if clip.split == "test"} == {
        "soft.mp3": b"", "hard.mp3": b"", "device.mp3": b"", "climbs.mp3": b""
    }  # fmt: skip
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["cv.tar.gz", "in", "secret"]


def told(clips):
    return [(clip.split, clip.speaker, clip.sentence, clip.audio) for clip in clips]


EXPECTED = [
    ({"dev": "validation"}.get(split, split), speaker, sentence, tone(hz=200 + 50 * i))
    for i, (split, speaker, _, sentence) in enumerate(ROWS)
]


@pytest.mark.parametrize("name", ["cv.tar", "cv.tar.gz", "cv.zip"])
@pytest.mark.parametrize("version", GENERATIONS)
def test_each_generation_of_releases_in_each_container(tmp_path, name, version):
    members = release_of_generation(version, "cv-corpus-x/dv/")
    clips = read(write_archive(tmp_path / name, members))
    assert told(clips) == EXPECTED
    assert [clip.id for clip in clips] == ["a.mp3", "b.mp3", "c.mp3", "d.mp3"]
    assert {clip.accent for clip in clips} == {"M"}


@pytest.mark.parametrize("home", ["", "./"])
def test_a_release_without_a_folder_and_paths_without_a_suffix(tmp_path, home):
    path = write_archive(tmp_path / "dv.tar.gz", release_of_generation("2", home, suffix=""))
    assert told(read(path)) == EXPECTED
    path = write_archive(tmp_path / "dv2.tar.gz", release_of_generation("5.1", home))
    with pytest.raises(ValueError, match="is of locale 'dv': set locale to that"):
        read(path, "it")


@pytest.mark.parametrize("name", ["cv.tar", "cv.tar.gz", "cv.zip"])
def test_several_locales_in_one_archive(tmp_path, name):
    members = [*release("it"), *release_of_generation("17", "cv-corpus-x/dv/"), *release("fr")]
    assert told(read(write_archive(tmp_path / name, members))) == EXPECTED


def test_a_clip_out_of_all_bounds_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("asr.sources.release.MAX_CLIP_BYTES", 5000)
    members = dict(release()) | {f"{HOME}/clips/b.mp3": b"\0" * 5001}
    clip = read(write_archive(tmp_path / "cv.zip", list(members.items())))[1]
    assert (clip.id, clip.problem, clip.detail, clip.audio) == ("b.mp3", "too_large", "5001 bytes", b"")


@pytest.mark.parametrize("keep", [0, 100, 0.5, -20, -1])
def test_a_damaged_archive_says_so(tmp_path, keep):
    path = write_archive(tmp_path / "cv.tar.gz", release()[::-1])
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match="cv.tar.gz cannot be read: .*get it anew"):
        read(path)


def test_the_checksum_is_checked_and_a_mismatch_deletes_nothing(tmp_path):
    path = pack(tmp_path / "cv.tar.gz")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(read(path, sha256=found)) == 5
    with pytest.raises(ValueError, match=f"(?s){found}.*{'0' * 64}.*sha256"):
        read(path, sha256="0" * 64)
    assert path.exists()
