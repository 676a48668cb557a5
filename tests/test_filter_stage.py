import json
import unicodedata

import pandas as pd
import pytest

from asr.model.whisper import load_processor
from asr.tables.features import FEATURES
from asr.tables.shards import read_shards, write_shards
from stages import filter as filter_stage
from tests.corpora import release_of, spontaneous, write_archive
from tests.recipes import Recipe, corpus

ANY = 9999.0  # characters a second: the clips are tones, much shorter than their texts
LONG = "އައިސް " * 40  # more ids than the decoder has positions, in the pretrained spelling

# Of the two speakers of train, only s2 fits into the fraction held out.
TRAIN = [("s1", f"a{n}.mp3", f"ބާރަ ދޭއް {n}") for n in range(6)] + [("s1", "labels.mp3", LONG)]
DEV = [("s2", "d0.mp3", "ތިނެއް"), ("s2", "d1.mp3", "Caffè, è")]
TEST = [("s3", "t0.mp3", "ހަތަރެއް"), ("s3", "t1.mp3", "Più: però"), ("s4", "t2.mp3", "zq " * 40)]
REFUSED = {
    "01.mp3": ("s3", "new one", "speaker_in_test"),
    "02.mp3": ("s2", "new two", "speaker_in_validation"),
    "04.mp3": ("v2", unicodedata.normalize("NFD", "«PIÙ però»"), "sentence_in_test"),
    "06.mp3": ("v4", unicodedata.normalize("NFD", "CAFFÈ… è!"), "sentence_in_validation"),
    "10.mp3": ("", "new three", "speaker_unknown"),
    "11.mp3": ("v5", " … ", "empty_sentence"),
    "12.mp3": ("v6", LONG, "too_many_labels"),
    "long.mp3": ("v7", "new four", "over_window"),
    "none.mp3": ("v8", "new five", "no_audio"),
}
ADDED = [("v1", "13.mp3", "new six"), ("s1", "14.mp3", "new seven"), ("v9", "15.mp3", "ބާރަ ދޭއް 1")]


@pytest.fixture(scope="module")
def leaking(tmp_path_factory):
    """A recipe on a release whose validated.tsv leaks in each way, up to the filter."""
    refused = [(speaker, clip, sentence) for clip, (speaker, sentence, _) in REFUSED.items()]
    validated = [*TEST, *refused, *TRAIN, *ADDED, *DEV]
    members = release_of({"validated": validated, "test": TEST, "dev": DEV, "train": TRAIN})
    recipe = Recipe(
        tmp_path_factory.mktemp("leaking"),
        {
            "corpora": {"cv": corpus("archive", add_validated=True)},
            "filter.validation_fraction": 0.25,
            "filter.max_characters_per_s": ANY,
        },
    )
    write_archive(recipe.folder / "cv.tar.gz", [member for member in members if "none.mp3" not in member[0]])
    for stage in ("download", "pretrained", "featurize"):
        recipe.run(stage)
    recipe.output = recipe.run("filter")
    return recipe


def table(recipe, name):
    """Read a table of the filter's, its ids without the corpus."""
    rows = pd.read_csv(recipe.folder / f"data/filtered/{name}.csv", keep_default_na=False)
    return rows.assign(id=rows.id.str.partition("/")[2])


def metrics(recipe):
    return json.loads((recipe.folder / "metrics/filter.json").read_text())


def files(recipe):
    """Read all that the stage wrote."""
    folders = [recipe.folder / name for name in ("data/filtered", "data/tokenizer", "metrics")]
    return {path.name: path.read_bytes() for folder in folders for path in folder.iterdir()}


def on(leaking, folder, changes):
    """Make a recipe with other parameters that has all that comes before the filter."""
    recipe = Recipe(folder, leaking.params)
    recipe.set(changes)
    (recipe.folder / "data").mkdir()
    for name in ("pretrained", "features"):
        (recipe.folder / "data" / name).symlink_to(leaking.folder / "data" / name)
    return recipe


def test_each_leak_is_refused_under_its_reason_and_all_else_added(leaking):
    dropped = table(leaking, "dropped").set_index("id")
    assert dropped.reason.to_dict() == {
        "labels.mp3": "too_many_labels", **{clip: reason for clip, (*_, reason) in REFUSED.items()}
    }  # fmt: skip
    assert set(table(leaking, "train").id) == {clip for _, clip, _ in TRAIN[:-1] + ADDED}
    assert set(table(leaking, "validation").id) == {clip for _, clip, _ in DEV}
    assert set(table(leaking, "test").id) == {clip for _, clip, _ in TEST}
    ids = read_shards(leaking.folder / "data/features")["id"][:]
    for name in ("train", "validation", "test", "dropped"):
        assert [ids[row] for row in table(leaking, name).row] == [
            f"cv/{id}" for id in table(leaking, name).id
        ]


def test_clips_and_hours_are_counted_by_reason(leaking):
    found = metrics(leaking)
    features = read_shards(leaking.folder / "data/features").select_columns(["id", "duration_s"]).to_pandas()
    hours = dict(zip(features.id.str.removeprefix("cv/"), features.duration_s / 3600, strict=True))
    reasons = [reason for *_, reason in REFUSED.values()]
    assert {reason: size["clips"] for reason, size in found["validated"]["refused"].items()} == {
        reason: reasons.count(reason) for reason in found["dropped"]
    }
    for reason, size in found["validated"]["refused"].items():
        of = [clip for clip, (*_, other) in REFUSED.items() if other == reason]
        assert size["hours"] == pytest.approx(sum(hours[clip] for clip in of), abs=6e-5)
    added = found["validated"]["added"]
    assert added["clips"] == added["speakers"] == 3
    assert added["hours"] == pytest.approx(sum(hours[clip] for _, clip, _ in ADDED), abs=6e-5)
    assert found["validated"]["refused"]["over_window"]["hours"] == round(3.5 / 3600, 4)
    assert found["dropped"]["too_many_labels"] == 2
    assert found["dropped_hours"]["too_many_labels"] == pytest.approx(
        hours["labels.mp3"] + hours["12.mp3"], abs=6e-5
    )
    assert found["train"]["clips"] == 9 and found["train"]["speakers"] == 3
    assert "validated: added {'clips': 3" in leaking.output


def test_a_text_that_its_clip_is_too_short_for_is_told_with_its_speed(leaking, tmp_path):
    recipe = on(leaking, tmp_path, {"filter.max_characters_per_s": 400.0})
    recipe.run("filter")
    dropped = pd.read_csv(recipe.folder / "metrics/dropped.csv").set_index("id")
    fast = dropped[dropped.reason == "too_fast"]
    assert set(fast.index) == {"cv/labels.mp3", "cv/12.mp3"}
    features = read_shards(leaking.folder / "data/features").select_columns(["id", "duration_s"]).to_pandas()
    speed = (len(LONG) - 1) / features.set_index("id").duration_s["cv/12.mp3"]
    assert fast.detail["cv/12.mp3"] == f"{speed:.1f} characters a second"


def test_of_a_recording_with_two_texts_the_other_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(filter_stage, "DROPPED", tmp_path / "dropped.csv")
    rows = pd.DataFrame(
        {"id": ["a", "b", "c"], "sound": ["1", "2", "1"], "split": "train", "detail": "16-bit"}
    )
    filter_stage.write_dropped(rows.assign(reason=["", "", "other_text"]))
    table = pd.read_csv(tmp_path / "dropped.csv")
    assert table.to_dict("records") == [
        {"id": "c", "split": "train", "reason": "other_text", "detail": "the sound of a"}
    ]


def test_the_pretrained_tokenizer_is_handed_on_unless_it_is_to_be_extended(leaking):
    stored, original = (
        load_processor(leaking.folder / "data" / name, "sinhalese", "transcribe").tokenizer
        for name in ("tokenizer", "pretrained")
    )
    assert stored.get_vocab() == original.get_vocab()
    assert stored(LONG).input_ids == original(LONG).input_ids
    assert json.loads((leaking.folder / "data/tokenizer/new_tokens.json").read_text()) == []
    found = metrics(leaking)
    # LONG too: measured on what is selected for training, so that tokenizers can be compared.
    sentences = [sentence for _, _, sentence in TRAIN + ADDED] + [LONG]
    ids = [original(sentence, add_special_tokens=False).input_ids for sentence in sentences]
    expected = sum(map(len, ids)) / sum(len(sentence.split()) for sentence in sentences)
    assert found["ids_per_word"] == found["ids_per_word_pretrained"] == pytest.approx(expected, abs=1e-3)


def test_a_second_run_writes_the_same_bytes(leaking, tmp_path):
    recipe = on(leaking, tmp_path, {})
    recipe.run("filter")
    assert files(recipe) == files(leaking) and len(files(recipe)) >= 9
    recipe.set({"model.extend_tokenizer": 8})
    recipe.run("filter")
    extended = files(recipe)
    recipe.run("filter")
    assert files(recipe) == extended != files(leaking)
    assert not any(str(tmp_path).encode() in data for data in extended.values())


def test_tokens_are_learned_from_train_and_move_no_held_out_row(leaking, tmp_path):
    recipe = on(leaking, tmp_path, {"model.extend_tokenizer": 8})
    recipe.run("filter")
    new_tokens = json.loads((recipe.folder / "data/tokenizer/new_tokens.json").read_text())
    assert len(new_tokens) == 8
    assert not any("zq" in token["token"] for token in new_tokens)  # test says it most often
    found = metrics(recipe)
    assert found["ids_per_word"] < found["ids_per_word_pretrained"] == metrics(leaking)["ids_per_word"]
    for role in ("validation", "test"):
        assert table(recipe, role).equals(table(leaking, role))
    # Labels are counted in the tokens that are trained with.
    assert {"labels.mp3", "12.mp3"} <= set(table(recipe, "train").id)


def test_validation_by_sentence_is_said(leaking, tmp_path):
    """Also where test has another speaker: what counts is who is left to train and to validate on."""
    recipe = on(leaking, tmp_path, {"filter.validation_fraction": 0.4})
    (recipe.folder / "data/features").unlink()
    rows = read_shards(leaking.folder / "data/features")
    renamed = ({**row, "speaker": row["speaker"].replace("cv/s2", "cv/s1")} for row in rows)
    write_shards(recipe.folder / "data/features/cv", renamed, FEATURES)
    assert "validation is held out by sentence" in recipe.run("filter")
    assert metrics(recipe)["validation_held_out_by"] == "sentence"
    assert metrics(leaking)["validation_held_out_by"] == "speaker"
    assert "held out by sentence" not in leaking.output


def test_features_of_a_corpus_that_is_no_longer_named_are_refused(leaking, tmp_path):
    recipe = on(leaking, tmp_path, {"corpora": {"other": corpus("archive")}})
    assert "no data/features/other: run `dvc repro featurize@other`" in recipe.fail("filter")
    (recipe.folder / "data/features/other").mkdir()
    assert "`rm -r data/raw/cv data/features/cv`" in recipe.fail("filter")
    (recipe.folder / "data/features/other").rmdir()


def test_spontaneous_speech_with_tags_kept_and_dropped(tmp_path):
    """One clip has more tags than the decoder has positions: it can be trained on without them only."""
    spoken = [(f"s{n}", f"{n}.mp3", f"testo [disfluency] {n}", ["train", "dev"][n % 2]) for n in range(6)]
    spoken += [("t", "t.mp3", "prova [laughter]", "test")]
    unassigned = {
        "new.mp3": ("u", "nuovo", ""),
        "many.mp3": ("u", "molti " + "[noise] " * 200, ""),
        "speaker.mp3": ("t", "altro", "speaker_in_test"),
        "text.mp3": ("u", "[noise] Prova!", "sentence_in_test"),
        "dev.mp3": ("u", "testo 1", "sentence_in_validation"),
        "tag.mp3": ("u", "[unclear]", "empty_sentence"),
    }
    spoken += [(speaker, clip, text, "unassigned") for clip, (speaker, text, _) in unassigned.items()]
    changes = {
        "corpora": {"sps": corpus("archive", path="sps.tar.gz", locale="it")},
        "filter.validation_fraction": 0.25,
        "filter.max_characters_per_s": ANY,
    }
    recipe = Recipe(tmp_path, changes)
    write_archive(recipe.folder / "sps.tar.gz", spontaneous([*spoken, ("u", "no.mp3", "", "unassigned")]))
    for stage in ("download", "pretrained", "featurize", "filter"):
        recipe.run(stage)
    assert read_shards(recipe.folder / "data/raw")["sentence"][0] == "testo [disfluency] 0"
    refused = {clip: reason for clip, (*_, reason) in unassigned.items() if reason}
    assert table(recipe, "dropped").set_index("id").reason.to_dict() == refused
    assert {"new.mp3", "many.mp3"} < set(table(recipe, "train").id)
    dropped = metrics(recipe)
    assert dropped["unassigned"]["added"]["clips"] == 2

    recipe.set({"model.keep_tags": True})
    recipe.run("filter")
    assert table(recipe, "dropped").set_index("id").reason.to_dict() == refused | {
        "many.mp3": "too_many_labels"
    }
    assert metrics(recipe)["ids_per_word"] == dropped["ids_per_word"]  # tags are no words
