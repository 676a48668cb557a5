import re

import pandas as pd
import pytest

from asr.selection import drop_long_labels, hold_out, select_rows, warnings

LIMITS = {
    "max_duration_s": 30.0, "max_characters_per_s": 25.0, "window_s": 10, "validation_fraction": 0.2,
    "seed": 1,
}  # fmt: skip


def corpus(changes=()):
    """Ten training speakers with four clips each, two test speakers; every sentence once."""
    rows = [
        {"split": "train" if s < 8 else "validation", "speaker": f"s{s}", "sentence": f"s{s} says {n}"}
        for s in range(10)
        for n in range(4)
    ] + [
        {"split": "test", "speaker": f"t{s}", "sentence": f"t{s} says {n}"}
        for s in range(2)
        for n in range(3)
    ]
    table = pd.DataFrame(rows).assign(id="a/b.mp3", duration_s=5.0, problem="")
    table["sound"] = table.index.map(str)
    for row, column, value in changes:
        table.loc[row, column] = value
    return table


def test_train_and_validation_share_neither_speaker_nor_sentence():
    rows = select_rows(corpus(), **LIMITS)
    train, validation = rows[rows.role == "train"], rows[rows.role == "validation"]
    assert len(validation) == 8 and len(train) == 32  # a fifth of forty, two whole speakers
    assert not set(train.speaker) & set(validation.speaker)
    assert not set(train.sentence) & set(validation.sentence)
    assert (rows[rows.split == "test"].role == "test").all()


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("problem", "no_audio", "no_audio"),
        ("problem", "undecodable", "undecodable"),
        ("sentence", " … ", "empty_sentence"),
        ("duration_s", 30.0, "too_long"),
        ("duration_s", 10.01, "over_window"),
        ("duration_s", 10.0, ""),
        ("sentence", "…" + "a" * 63 + " " + "b" * 62, "too_fast"),  # 126 characters in five seconds
        ("sentence", "a" * 62 + ", " + "b" * 62, ""),
        ("speaker", "t0", "speaker_in_test"),
        ("sentence", "T0 SAYS 1!", "sentence_in_test"),
    ],
)
def test_a_training_row_is_dropped_under_its_reason(column, value, reason):
    rows = select_rows(corpus([(0, column, value)]), **LIMITS)
    assert rows.loc[0, "reason"] == reason
    assert list(rows.index[rows.role == ""]) == [0] * bool(reason)


def test_a_training_row_with_a_validation_sentence_leaves_training():
    held_out = select_rows(corpus(), **LIMITS).query("role == 'validation'")
    sentence = held_out.sentence.iloc[0].upper() + "?"
    other = next(row for row in range(40) if row not in held_out.index)
    rows = select_rows(corpus([(other, "sentence", sentence)]), **LIMITS)
    assert rows.loc[other, "reason"] == "sentence_in_validation"


def test_long_test_rows_stay_and_broken_ones_go():
    changes = [(40, "duration_s", 100.0), (42, "problem", "undecodable")]
    rows = select_rows(corpus(changes), **LIMITS)
    assert list(rows.role[40:43]) == ["test", "test", ""]


def test_a_test_row_of_too_much_text_stays_and_is_told():
    changes = [(40, "duration_s", 0.1), (1, "duration_s", 0.1)]
    rows = select_rows(corpus(changes), **LIMITS)
    assert list(rows.role[[40, 1]]) == ["test", ""] and rows.characters_per_s[40] == pytest.approx(90)
    [told] = [warning for warning in warnings(rows) if "characters a second" in warning]
    assert told.startswith("1 of the 6 test clips have more characters a second")
    rows = select_rows(corpus(changes), **LIMITS | {"max_characters_per_s": None})
    assert rows.role[1] == "train"
    told = [warning[:30] for warning in warnings(rows) if "characters a second" in warning]
    assert told == ["1 of the 32 train clips have m", "1 of the 6 test clips have mor"]


@pytest.mark.parametrize(("usual", "limit"), [(62, 25), (75, 30)])
def test_by_itself_a_corpus_decides_which_clips_are_too_fast(usual, limit):
    """Of texts with `usual` characters in five seconds; another corpus does not count."""
    texts = {0: "a" * 5 * limit, 1: "b" * (5 * limit + 1)}
    mine = corpus().assign(sentence=[texts.get(n, f"{n:0{usual}}") for n in range(46)])
    other = corpus().assign(id="b/c.mp3", sentence=[f"{n:0180}" for n in range(46)])
    rows = select_rows(
        pd.concat([mine, other], ignore_index=True), **LIMITS | {"max_characters_per_s": "auto"}
    )
    assert list(rows.index[rows.reason == "too_fast"]) == [1]


@pytest.mark.parametrize(
    ("sentences", "dropped"),
    [
        (["one", "One!", "two"], []),  # nobody knows which
        (["one", "One!", "a" * 200], [2]),  # in five seconds
        (["a" * 200, "b" * 200, "c"], [0, 1]),
        (["a" * 200, "b" * 200, "b" * 200], []),
    ],
)
def test_of_several_texts_of_a_recording_those_that_do_not_fit_it_are_dropped(sentences, dropped):
    table = corpus([(n, "sound", "same") for n in (0, 1, 2)])
    table.loc[:2, "sentence"] = sentences
    rows = select_rows(table, **LIMITS | {"max_characters_per_s": None})
    assert list(rows.index[rows.reason == "other_text"]) == dropped


def test_the_fitting_text_of_a_recording_may_be_a_sentence_of_test():
    """Which leaves training, and the other text with it."""
    table = corpus([(n, "sound", "same") for n in (0, 1)])
    table.loc[:1, "sentence"] = ["t0 says 1", "b" * 200]
    rows = select_rows(table, **LIMITS | {"max_characters_per_s": None})
    assert list(rows.reason[:2]) == ["sentence_in_test", "other_text"]


@pytest.mark.parametrize("given", [5.0, 60.0, None])
def test_a_limit_of_one_s_own_does_not_change_what_anybody_speaks(given):
    rows = select_rows(corpus([(41, "duration_s", 0.25)]), **LIMITS | {"max_characters_per_s": given})
    assert list(rows.index[rows.too_fast]) == [41]


def test_rows_of_train_and_validation_lose_their_role_to_too_many_labels():
    rows = select_rows(corpus(), **LIMITS)
    of = {role: rows.index[rows.role == role] for role in ("train", "validation", "test")}
    long = [of["train"][0], of["validation"][0]]
    rows["n_labels"] = 448
    rows.loc[[*long, of["test"][0]], "n_labels"] = 449
    dropped = drop_long_labels(rows, 448)
    assert list(dropped.index[dropped.role == ""]) == sorted(long)
    assert set(dropped.reason[long]) == {"too_many_labels"}
    assert dropped.drop(index=long).equals(rows.drop(index=long))


def test_a_row_that_was_dropped_before_keeps_its_reason():
    rows = select_rows(corpus([(0, "speaker", "t0")]), **LIMITS).assign(n_labels=20)
    rows.loc[0, "n_labels"] = 900
    assert drop_long_labels(rows, 448).loc[0, "reason"] == "speaker_in_test"


def test_labels_that_leave_nothing_are_an_error():
    rows = select_rows(corpus(), **LIMITS).assign(n_labels=449)
    with pytest.raises(ValueError, match=r"no train rows are left of 46; dropped: \{'too_many_labels': 40\}"):
        drop_long_labels(rows, 448)


def test_a_corpus_of_one_speaker_is_divided_by_sentence():
    table = corpus().assign(speaker="")
    table.loc[4, "sentence"] = table.loc[0, "sentence"]
    rows = select_rows(table, **LIMITS)
    assert (rows.role == "validation").sum() == 8
    assert not set(rows.sentence[rows.role == "train"]) & set(rows.sentence[rows.role == "validation"])
    assert "speaker_in_test" not in set(rows.reason)


def test_the_choice_depends_on_the_seed_and_on_nothing_else():
    pool = corpus().query("split != 'test'")
    assert hold_out(pool, 0.2, 1).equals(hold_out(pool.sample(frac=1, random_state=0).sort_index(), 0.2, 1))
    assert len({tuple(hold_out(pool, 0.2, seed)) for seed in range(10)}) > 5


def test_a_large_speaker_is_not_the_whole_of_validation():
    table = corpus().assign(speaker=lambda t: t.speaker.mask(t.index < 24, "loud"))
    rows = select_rows(table, **LIMITS)
    assert "loud" not in set(rows.speaker[rows.role == "validation"])


def test_nothing_left_is_an_error_that_counts_the_reasons():
    with pytest.raises(ValueError, match=r"no train rows are left of 46; dropped: \{'over_window': 40\}"):
        select_rows(corpus().assign(duration_s=11.0), **LIMITS)


def test_speakers_are_apart_by_corpus_and_sentences_are_not():
    """A corpus of one speaker and one of many are each divided as they would be alone."""
    many, one = corpus(), corpus().assign(id="b/c.mp3", speaker="b/me")
    one.sentence = one.sentence.str.replace("says", "sings")
    one.loc[[0, 40], "sentence"] = ["t0 says 0", "s0 says 0"]  # each in test of one and in train of the other
    rows = select_rows(pd.concat([many, one], ignore_index=True), **LIMITS)
    of_one = rows[46:].reset_index(drop=True)
    assert list(rows.reason[[0, 46]]) == ["sentence_in_test"] * 2
    assert rows.reason[rows.reason != ""].size == 2
    held_out = rows[rows.role == "validation"]
    assert list(held_out.id.value_counts()[["a/b.mp3", "b/c.mp3"]]) == [8, 8]
    assert set(of_one.role) == {"", "train", "validation", "test"} and set(of_one.role[40:]) == {"test"}
    assert select_rows(one.drop(index=0), **LIMITS).role.equals(of_one.role[1:])


@pytest.mark.parametrize(
    ("train", "validation", "test", "lost", "speakers", "numbers"),
    [
        (60, 30, 100, 10, ["a", "b"], []),  # 10 % are lost, which is not too much
        (60, 29, 100, 0, ["a", "b"], [["29"]]),
        (60, 30, 99, 0, ["a", "b"], [["99"]]),
        (60, 30, 100, 11, ["a", "b"], [["11", "101", "11", "11"]]),  # of all of them, in percent, by reason
        (60, 30, 100, 0, ["a", "a"], [[]]),  # validation has the speakers of train
        (60, 30, 100, 0, ["", ""], [[]]),
        (20, 7, 15, 13, ["", ""], [["7"], [], ["15"], ["13", "40", "32", "13"]]),
    ],
)
def test_what_makes_figures_weak_is_counted(train, validation, test, lost, speakers, numbers):
    def rows(n, split, role, speaker="", reason=""):
        return pd.DataFrame({"split": split, "role": role, "speaker": [speaker] * n, "reason": reason})

    table = pd.concat(
        [
            rows(train, "train", "train", speakers[0]),
            rows(validation, "validation", "validation", speakers[1]),
            rows(test, "test", "test", "c"),
            rows(lost, "train", "", reason="over_window"),
            rows(50, "validated", "", reason="sentence_in_test"),  # which are not the corpus' own
            rows(50, "test", "", reason="undecodable"),
        ]
    ).assign(too_fast=False)
    assert [re.findall(r"\d+", warning) for warning in warnings(table)] == numbers
