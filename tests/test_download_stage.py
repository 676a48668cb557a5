import hashlib

import pytest

from asr.params import Archive
from asr.tables.corpus import Clip
from asr.tables.shards import read_shards
from stages.download import check
from tests.corpora import release, tone, tsv, write_archive
from tests.recipes import corpus


def test_an_archive_becomes_shards(recipe):
    path = write_archive(recipe.folder / "corpora/cv.tar.gz", release())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    recipe.set({"corpora": {"cv": corpus("archive", path="corpora/cv.tar.gz", sha256=digest)}})
    output = recipe.run("download")
    assert "download: train: 3 clips, 2 speakers, 0.0 MB" in output
    assert "who downloads it agrees not to identify its speakers (docs/licences.md)" in output
    rows = read_shards(recipe.folder / "data/raw").to_list()
    assert [(row["id"], row["split"]) for row in rows] == [
        ("cv/a.mp3", "train"), ("cv/b.mp3", "train"), ("cv/c.mp3", "train"), ("cv/d.mp3", "validation"),
        ("cv/e.mp3", "test"),
    ]  # fmt: skip
    assert rows[1]["sentence"] == "null" and rows[1]["audio"] == tone(hz=250)
    assert [path.name for path in (recipe.folder / "data").glob("[!.]*")] == ["raw"]  # no part of it is left


@pytest.mark.parametrize(
    "source, expected",
    [
        ("archive", ["download: corpora.it.path: no file", "source: mdc", "make sample"]),
        ("mdc", ["has no MDC_API_KEY", "make sample"]),
        ("hub", ["'owner/name'", "cannot be reached", "make sample"]),
        ("folder", ["download: no table", "make sample"]),
    ],
)
def test_what_is_missing_ends_in_a_message(recipe, monkeypatch, source, expected):
    monkeypatch.delenv("MDC_API_KEY", raising=False)
    (recipe.folder / "own").mkdir()
    recipe.set({"corpora": {"it": corpus(source)}})
    output = recipe.fail("download")
    assert [text for text in expected if text not in output] == []
    assert not (recipe.folder / "data/raw/it").exists()


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("train", {"a": "train", "b": "train", "c": "train", "d": "validation"}),
        ("test", {"e": "test"}),
    ],
)
def test_a_corpus_for_one_use_brings_only_what_is_for_it(recipe, use, expected):
    write_archive(recipe.folder / "cv.tar.gz", release())
    recipe.set({"corpora": {"cv": corpus("archive", use=use)}})
    recipe.run("download")
    rows = read_shards(recipe.folder / "data/raw/cv").to_list()
    assert {row["id"]: row["split"] for row in rows} == {f"cv/{id}.mp3": s for id, s in expected.items()}


def test_an_unknown_corpus_is_named(recipe):
    assert "no corpus 'cv' among corpora, which are sample" in recipe.fail("download", "cv")


def test_a_corpus_without_training_clips_leaves_nothing_that_looks_whole(recipe):
    members = dict(release()) | {f"cv-corpus-1.0/dv/{table}.tsv": tsv() for table in ("train", "dev")}
    write_archive(recipe.folder / "cv.tar.gz", list(members.items()))
    recipe.set({"corpora": {"cv": corpus("archive")}})
    assert "download: the corpus has no clip in train, of 1" in recipe.fail("download")
    assert not (recipe.folder / "data/raw/cv").exists()


ANY = Archive.model_validate(corpus("archive"))
WITH_VALIDATED = Archive.model_validate(corpus("archive", add_validated=True))


def clip(id, split):
    return Clip(id=id, split=split, speaker="s", sentence="")


def test_an_id_that_comes_twice_is_an_error():
    with pytest.raises(ValueError, match=r"clip 'a' comes twice \(again in test\)"):
        list(check([clip("a", "train"), clip("a", "test")], ANY))


def test_a_corpus_with_nothing_beyond_its_splits_is_an_error_if_that_is_asked_for():
    clips = [clip("a", "train"), clip("b", "test")]
    with pytest.raises(ValueError, match="no clip beyond train, validation and test: set it to false"):
        list(check(clips, WITH_VALIDATED))
    assert len(list(check([*clips, clip("c", "validated")], WITH_VALIDATED))) == 3
