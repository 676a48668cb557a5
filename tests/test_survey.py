"""Small releases with and without durations."""

import pytest

from asr.commands.new_language.survey import survey
from tests.corpora import release, release_of_generation, spontaneous, tsv, write_archive

DURATIONS = tsv(("a.mp3", "4000"), ("b.mp3", "5000"), ("e.mp3", "9000"), header=("clip", "duration[ms]"))


def test_a_release_is_counted_by_its_tables(tmp_path):
    found = survey(write_archive(tmp_path / "dv.tar.gz", release()), "dv")
    assert found.clips == {"train.tsv": 3, "dev.tsv": 1, "test.tsv": 1, "validated.tsv": 3}
    assert found.speakers == {"train.tsv": 2, "dev.tsv": 1, "test.tsv": 1, "validated.tsv": 3}
    assert found.sentences == ["ބާރަ", "null", "އެއް", "ދޭއް", "ތިނެއް"]
    assert found.seconds == {}


@pytest.mark.parametrize("name", ["dv.tar.gz", "dv.zip"])
def test_durations_are_taken_where_they_are(tmp_path, name):
    members = [*release(), ("cv-corpus-1.0/dv/clip_durations.tsv", DURATIONS)]
    found = survey(write_archive(tmp_path / name, members), "dv")
    assert found.seconds["train.tsv"] == [4, 5] and found.seconds["dev.tsv"] == []
    assert found.seconds["test.tsv"] == [9] and sum(found.seconds["train.tsv"]) == 9


@pytest.mark.parametrize("table", [b"\xff\n", b"clip\tlength\nx\t4\n", b"clip\tduration[ms]\nx\t\n"])
def test_durations_that_cannot_be_read_are_passed_over(tmp_path, caplog, table):
    members = [*release(), ("cv-corpus-1.0/dv/clip_durations.tsv", table)]
    assert survey(write_archive(tmp_path / "dv.tar", members), "dv").seconds == {}
    assert len(caplog.records) == 1


def test_one_locale_of_several(tmp_path):
    members = [*release("ckb"), *release("dv", "other")]
    assert survey(write_archive(tmp_path / "two.tar", members), "ckb").clips["train.tsv"] == 3


def test_columns_of_older_releases(tmp_path):
    path = write_archive(tmp_path / "dv.tar", release_of_generation("5.1", "cv/dv/"))
    assert survey(path, "dv").sentences == ["ބާރަ", '"null', "NA", "x"]


def test_spontaneous_speech_is_counted_by_split(tmp_path):
    rows = [("s1", "1.mp3", "ciao [noise]", "train"), ("s2", "2.mp3", "", ""), ("s2", "3.mp3", "sì", "")]
    found = survey(write_archive(tmp_path / "sps.tar.gz", spontaneous(rows)), "it")
    assert found.clips == found.speakers == {"train": 1, "unassigned": 1}
    assert found.sentences == ["ciao", "sì"]
    assert found.seconds == {"train": [4.0], "unassigned": [4.0]}
