import hashlib

import pytest

from asr.tables.corpus import Clip
from asr.tables.shards import read_shards
from stages.download import check
from tests.corpora import release, tone, tsv, write_archive


def test_an_archive_becomes_shards(recipe):
    path = write_archive(recipe.folder / "corpora/cv.tar.gz", release())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    recipe.set({
        "download.source": "archive", "download.archive": "corpora/cv.tar.gz",
        "download.archive_sha256": digest,
    })  # fmt: skip
    output = recipe.run("download")
    assert "download: train: 3 clips, 2 speakers, 0.0 MB" in output
    assert "who downloads it agrees not to identify its speakers (docs/licences.md)" in output
    rows = read_shards(recipe.folder / "data/raw").to_list()
    assert [(row["id"], row["split"]) for row in rows] == [
        ("a.mp3", "train"), ("b.mp3", "train"), ("c.mp3", "train"), ("d.mp3", "validation"), ("e.mp3", "test")
    ]  # fmt: skip
    assert rows[1]["sentence"] == "null" and rows[1]["audio"] == tone(hz=250)
    assert [path.name for path in (recipe.folder / "data").glob("[!.]*")] == ["raw"]  # no part of it is left


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"download.source": "archive", "download.archive": "corpora/none.tar.gz"},
         ["download: download.archive: no file", "MDC_API_KEY", "make sample"]),
        ({"download.source": "mdc"}, ["has no MDC_API_KEY", "make sample"]),
        ({"download.source": "hub"}, ["'owner/name'", "cannot be reached", "make sample"]),
        ({"download.source": "folder"}, ["download: download.folder: no table", "make sample"]),
        ({"filter.add_validated": True}, ["the synthetic corpus has no clip beyond its splits: set it"]),
    ],
)  # fmt: skip
def test_what_is_missing_ends_in_a_message(recipe, monkeypatch, changes, expected):
    monkeypatch.delenv("MDC_API_KEY", raising=False)
    recipe.set(changes)
    output = recipe.fail("download")
    assert [text for text in expected if text not in output] == []
    assert not (recipe.folder / "data/raw").exists()


def test_a_corpus_without_training_clips_leaves_nothing_that_looks_whole(recipe):
    members = dict(release()) | {f"cv-corpus-1.0/dv/{table}.tsv": tsv() for table in ("train", "dev")}
    write_archive(recipe.folder / "cv.tar.gz", list(members.items()))
    recipe.set({
        "download.source": "archive", "download.archive": "cv.tar.gz", "download.archive_sha256": None
    })  # fmt: skip
    assert "download: the corpus has no clip in train, of 1" in recipe.fail("download")
    assert not (recipe.folder / "data/raw").exists()


def clip(id, split):
    return Clip(id=id, split=split, speaker="s", sentence="")


def test_an_id_that_comes_twice_is_an_error():
    with pytest.raises(ValueError, match=r"clip 'a' comes twice \(again in test\)"):
        list(check([clip("a", "train"), clip("a", "test")], False))


def test_a_corpus_with_nothing_beyond_its_splits_is_an_error_if_that_is_asked_for():
    clips = [clip("a", "train"), clip("b", "test")]
    with pytest.raises(ValueError, match="no clip beyond train, validation and test: set it to false"):
        list(check(clips, True))
    assert len(list(check([*clips, clip("c", "validated")], True))) == 3
