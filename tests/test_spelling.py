"""Real words in several scripts, spelled by the sample's tokenizer, which knows bytes, and normalised."""

from collections import Counter

import pytest
from transformers import WhisperProcessor

from asr.commands.new_language import spelling
from asr.commands.new_language.spelling import Cost, cost, no_letters, script, treatment
from tests.recipes import REPOSITORY

DHIVEHI = "އަޅުގަނޑު ރާއްޖެއަށް ދަން."  # 3 words, 22 letters and marks, 2 spaces, a full stop
ZWNJ = "\u200c"


@pytest.fixture(scope="module")
def processor():
    return WhisperProcessor.from_pretrained(REPOSITORY / "sample/base")


def test_cost_counts_ids_words_and_characters(processor):
    ids = processor.tokenizer(DHIVEHI, add_special_tokens=False).input_ids
    found = cost(processor.tokenizer, [DHIVEHI, "ab c"])
    assert (found.sentences, found.words, found.characters) == (2, 5, len(DHIVEHI) + 4)
    assert found.ids == len(ids) + len(processor.tokenizer("ab c", add_special_tokens=False).input_ids)
    assert found.ids_per_word == found.ids / 5
    assert (found.longest, found.too_long) == (len(ids) + len(processor.tokenizer("").input_ids) - 1, 0)


def test_ids_that_are_parts_of_characters(processor):
    assert cost(processor.tokenizer, ["abc"]).broken == 0
    thaana = cost(processor.tokenizer, ["ދަން"])
    assert 0 < thaana.broken <= thaana.ids


def test_labels_that_are_too_long(processor):
    prompt = len(processor.tokenizer("").input_ids) - 1
    fits, does_not = "a" * (spelling.POSITIONS - prompt), "a" * (spelling.POSITIONS - prompt + 1)
    found = cost(processor.tokenizer, [fits, does_not, "a"])
    assert (found.longest, found.too_long) == (spelling.POSITIONS + 1, 1)


def test_no_word_costs_nothing_that_could_be_said(processor):
    with pytest.raises(ValueError, match="no word in 1 sentences"):
        cost(processor.tokenizer, ["…"])


@pytest.mark.parametrize(
    ("text", "marks", "words", "whisper_words"),
    [
        (DHIVEHI, 11, 3, 11),  # Thaana: vowels are marks
        ("ትግርኛ ቋንቋ", 0, 2, 2),  # Ethiopic: syllables are letters
        ("ⵜⴰⵎⴰⵣⵉⵖⵜ", 0, 1, 1),  # Tifinagh
        ("ᱥᱟᱱᱛᱟᱲᱤ ᱯᱟᱹᱨᱥᱤ", 0, 2, 2),  # Ol Chiki: its dots are letters
        ("کوردیی ناوەندی", 0, 2, 2),  # Sorani: vowels are letters
        ("كِتَابٌ", 3, 1, 3),  # Arabic, pointed
        ("सन्थाली", 3, 1, 3),  # Devanagari
        ("саха тыла", 0, 2, 2),
        ("hornjoserbšćina", 0, 1, 1),  # composed: no marks
    ],
)
def test_marks_of_scripts(text, marks, words, whisper_words):
    found = treatment([text])
    assert not found.lost
    assert found.marks.total() == found.whisper_lost.total() == marks
    assert (found.words, found.whisper_words) == (words, whisper_words)


def test_a_normaliser_that_loses_something_is_found_out(monkeypatch):
    monkeypatch.setattr(spelling, "normalize", lambda text: text.replace("\u07a6", ""))
    assert treatment(["ދަންނަ"]).lost == {"\u07a6": 2}


def test_words_that_whisper_takes_for_one_another():
    found = treatment(["ބަ ބި ބު ދަން", "ބަ"])
    assert (found.different, found.confused) == (4, 3)


@pytest.mark.parametrize(
    ("text", "parting"),
    [
        ("м'ята м'ясо", {"'": 2}),
        ("l’acqua 'ndrangheta'", {"’": 1}),  # at a word's edge it parts nothing
        ("well-known", {"-": 1}),
        ("paral·lel", {"·": 1}),
        ("ʻōlelo oʻzbek", {}),  # U+02BB is a letter
        ("ሰላም፡ዓለም", {"፡": 1}),
        ("a, b", {}),
    ],
)
def test_what_stands_within_a_word_and_parts_it(text, parting):
    assert treatment([text]).parting == parting


def test_joiners_neither_count_as_lost_nor_part_a_word():
    found = treatment([f"می{ZWNJ}خواهم ٣"])
    assert not found.lost and not found.parting and found.words == 2


def test_nothing_is_treated_like_nothing():
    found = treatment([])
    assert (found.words, found.different, found.lost) == (0, 0, Counter())


@pytest.mark.parametrize(
    ("letters", "expected"),
    [(["a", "ʻ", "c'h"], ["'"]), (["\u07a6", "ހ", ZWNJ], []), (["l·l", "A"], ["·"]), ([], [])],
)
def test_letters_that_are_none_to_unicode(letters, expected):
    assert no_letters(letters) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ދަން CD", "Thaa"), ("ሰላም", "Ethi"), ("саха abc тыла", "Cyrl"), ("中文", "Hani"), ("3 …", None)],
)
def test_the_script_of_a_text(text, expected):
    assert script([text], ["Latn", "Thaa", "Ethi", "Cyrl", "Hani", "Hans", "Jpan"]) == expected


def test_a_rate_is_of_all_words():
    assert Cost(1, words=4, ids=10, characters=20, broken=0, longest=14, too_long=0).ids_per_word == 2.5
