import pandas as pd
import pytest

from asr.selection import hold_out, select_rows

LIMITS = {"max_duration_s": 30.0, "window_s": 10, "max_labels": 448, "validation_fraction": 0.2, "seed": 1}


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
    table = pd.DataFrame(rows).assign(duration_s=5.0, problem="", n_labels=20)
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
        ("n_labels", 449, "too_many_labels"),
        ("speaker", "t0", "speaker_in_test"),
        ("sentence", "T0 SAYS 1!", "sentence_in_test"),
    ],
)
def test_a_training_row_is_dropped_under_its_reason(column, value, reason):
    rows = select_rows(corpus([(0, column, value)]), **LIMITS)
    assert (rows.loc[0, "role"], rows.loc[0, "reason"]) == ("", reason)
    assert (rows.role != "").sum() == len(rows) - 1


def test_limits_are_inclusive_where_they_should_be():
    rows = select_rows(corpus([(0, "duration_s", 10.0), (1, "n_labels", 448)]), **LIMITS)
    assert (rows.reason == "").all()


def test_a_training_row_with_a_validation_sentence_leaves_training():
    held_out = select_rows(corpus(), **LIMITS).query("role == 'validation'")
    sentence = held_out.sentence.iloc[0].upper() + "?"
    other = next(row for row in range(40) if row not in held_out.index)
    rows = select_rows(corpus([(other, "sentence", sentence)]), **LIMITS)
    assert rows.loc[other, "reason"] == "sentence_in_validation"


def test_long_test_rows_stay_and_broken_ones_go():
    changes = [(40, "duration_s", 100.0), (41, "n_labels", 900), (42, "problem", "undecodable")]
    rows = select_rows(corpus(changes), **LIMITS)
    assert list(rows.role[40:43]) == ["test", "test", ""]


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
