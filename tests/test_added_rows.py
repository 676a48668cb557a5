"""Rows of splits that are added to training: validated.tsv's, and those that no split has."""

import unicodedata

import pandas as pd
import pytest

from asr.selection import REASONS, select_rows
from tests.test_selection import LIMITS, corpus


def with_validated(table, *added):
    """Add rows of split "validated": each as the columns in which it differs from a harmless one."""
    rows = [
        {
            "split": "validated",
            "id": "a/b.mp3",
            "speaker": f"v{n}",
            "sentence": f"more {n}",
            "duration_s": 5.0,
            "sound": f"v{n}",
            "problem": "",
        }
        for n in range(len(added))
    ]
    rows = [row | change for row, change in zip(rows, added, strict=True)]
    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True)


VALIDATION = select_rows(corpus(), **LIMITS).query("role == 'validation'").iloc[0]


@pytest.mark.parametrize(
    "change, reason",
    [
        ({}, ""),
        ({"speaker": "s1", "sentence": "S1 says 0"}, ""),  # both in train
        ({"speaker": "t0"}, "speaker_in_test"),
        ({"speaker": VALIDATION.speaker}, "speaker_in_validation"),
        ({"sentence": "t0 says 1"}, "sentence_in_test"),
        ({"sentence": " «T0» says: 1!"}, "sentence_in_test"),
        ({"sentence": VALIDATION.sentence.upper() + "?"}, "sentence_in_validation"),
        ({"speaker": "t1", "sentence": "t0 says 1"}, "speaker_in_test"),
        ({"speaker": VALIDATION.speaker, "sentence": "t0 says 1"}, "sentence_in_test"),
        ({"speaker": "t0", "sentence": VALIDATION.sentence}, "speaker_in_test"),
        ({"speaker": VALIDATION.speaker, "sentence": VALIDATION.sentence}, "speaker_in_validation"),
        ({"speaker": ""}, "speaker_unknown"),
        ({"speaker": "", "sentence": "t0 says 1"}, "sentence_in_test"),
        ({"speaker": "", "sentence": VALIDATION.sentence}, "sentence_in_validation"),
        ({"duration_s": 11.0}, "over_window"),
        ({"problem": "no_audio"}, "no_audio"),
    ],
)
def test_a_validated_row_is_added_or_refused_under_its_reason(change, reason):
    rows = select_rows(with_validated(corpus(), {}, change), **LIMITS)
    assert (rows.role.iloc[-1], rows.reason.iloc[-1]) == ("" if reason else "train", reason)
    assert rows.role.iloc[-2] == "train"


DEV = corpus().iloc[-7]  # of the corpus' own validation split, and not held out


@pytest.mark.parametrize(
    "change, reason",
    [
        ({}, ""),
        ({"speaker": "s1", "sentence": "s1 says 0 [laughter]"}, ""),  # both in train
        ({"speaker": "t0"}, "speaker_in_test"),
        ({"sentence": "t0 says [noise] 1"}, "sentence_in_test"),
        ({"speaker": VALIDATION.speaker}, "speaker_in_validation"),
        ({"speaker": DEV.speaker}, "speaker_in_validation"),
        ({"sentence": DEV.sentence}, "sentence_in_validation"),
        ({"sentence": "[noise]"}, "empty_sentence"),
        ({"speaker": ""}, "speaker_unknown"),
    ],
)
def test_an_unassigned_row_is_trained_on_unless_it_is_in_dev_or_test(change, reason):
    more = with_validated(corpus(), {"split": "unassigned"}, {"split": "unassigned"} | change)
    rows = select_rows(more, **LIMITS)
    assert (rows.role.iloc[-1], rows.reason.iloc[-1]) == ("" if reason else "train", reason)
    assert rows.role.iloc[-2] == "train"
    assert rows.iloc[:46].equals(select_rows(corpus(), **LIMITS))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_test_sentence_is_known_in_either_composition(form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    table = corpus([(40, "sentence", unicodedata.normalize(form, "Où é Ż"))])
    rows = select_rows(with_validated(table, {"sentence": unicodedata.normalize(other, "où É, ż")}), **LIMITS)
    assert rows.reason.iloc[-1] == "sentence_in_test"


def leaky():
    """A corpus and validated rows of every speaker and sentence in it, of new ones and of no speaker."""
    table = corpus([(3, "duration_s", 400.0), (7, "speaker", "t1"), (9, "sentence", "t0 says 0")])
    table["duration_s"] /= 10  # twice the median is 36 characters a second
    table.loc[20, "duration_s"], table.loc[21, "duration_s"] = 0.3, 0.1
    speakers = [*table.speaker.unique(), "", "new", "newer"]
    sentences = [*table.sentence, "new", "newer"]
    pairs = [(s, sentences[(7 * m + n) % len(sentences)]) for n, s in enumerate(speakers) for m in range(5)]
    added = [{"speaker": s, "sentence": sentence} for s, sentence in pairs]
    added += [{"speaker": "new", "sentence": f"another {n}", "sound": f"{n}"} for n in range(46)]
    return table, with_validated(table, *added)


@pytest.mark.parametrize("limit", ["auto", None])
@pytest.mark.parametrize("seed", range(5))
def test_validated_rows_change_neither_validation_nor_test(seed, limit):
    table, more = leaky()
    limits = LIMITS | {"seed": seed, "max_characters_per_s": limit}
    without, with_ = select_rows(table, **limits), select_rows(more, **limits)
    assert with_.iloc[: len(table)].equals(without)
    shuffled = select_rows(more.sample(frac=1, random_state=seed), **limits).sort_index()
    assert shuffled.equals(with_)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_of_validation_and_test_is_in_training(seed):
    rows = select_rows(leaky()[1], **LIMITS | {"seed": seed})
    train, rest = rows[rows.role == "train"], rows[rows.role.isin(["validation", "test"])]
    assert not set(train.speaker) & set(rest.speaker) and "" not in set(train.speaker)
    assert not set(train.sentence.str.lower()) & set(rest.sentence.str.lower())
    assert (train.split == "validated").sum() >= 5
    assert set(rows.reason) - {""} <= set(REASONS)


def test_validated_rows_of_a_corpus_without_speakers_are_compared_by_sentence():
    table = corpus().assign(speaker="")
    leak = {"speaker": "", "sentence": "t0 says 0"}
    rows = select_rows(with_validated(table, {"speaker": ""}, leak, {"speaker": "v"}), **LIMITS)
    assert list(rows.reason[-3:]) == ["", "sentence_in_test", ""]


def test_validated_speakers_do_not_change_how_a_corpus_of_one_is_divided():
    table = corpus().assign(speaker="me")
    more = with_validated(table, {"speaker": "me"}, {"speaker": "you"}, {"speaker": ""})
    rows = select_rows(more, **LIMITS)
    assert rows.iloc[: len(table)].equals(select_rows(table, **LIMITS))
    assert list(rows.reason[-3:]) == ["speaker_in_test", "", "speaker_unknown"]


def test_an_added_row_without_speaker_may_be_anyone_s_of_its_own_corpus_only():
    other = corpus().assign(id="b/c.mp3", speaker="")
    other.sentence += " too"
    added = with_validated(pd.concat([corpus(), other]), {"speaker": ""}, {"speaker": "", "id": "b/d.mp3"})
    assert list(select_rows(added, **LIMITS).reason[-2:]) == ["speaker_unknown", ""]
