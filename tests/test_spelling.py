"""Real words in several scripts, spelled by the sample's tokenizer, which knows bytes, and normalised."""

import pytest
from transformers import WhisperProcessor

from asr.commands.new_language.spelling import POSITIONS, cost, treatment
from tests.recipes import REPOSITORY

DHIVEHI = "އަޅުގަނޑު ރާއްޖެއަށް ދަން."  # 3 words, 22 letters and marks, 2 spaces, a full stop
ZWNJ = "\u200c"


@pytest.fixture(scope="module")
def tokenizer():
    return WhisperProcessor.from_pretrained(REPOSITORY / "sample/base").tokenizer


def test_cost_counts_ids_words_and_characters(tokenizer):
    ids = tokenizer(DHIVEHI, add_special_tokens=False).input_ids
    found = cost(tokenizer, [DHIVEHI, "ab c"])
    assert (found.sentences, found.words, found.characters) == (2, 5, len(DHIVEHI) + 4)
    assert found.ids == len(ids) + len(tokenizer("ab c", add_special_tokens=False).input_ids)
    assert (found.longest, found.too_long) == (len(ids) + len(tokenizer("").input_ids) - 1, 0)


def test_labels_that_are_too_long(tokenizer):
    longest = POSITIONS - len(tokenizer("").input_ids) + 1
    found = cost(tokenizer, ["a" * longest, "a" * (longest + 1), "a"])
    assert (found.longest, found.too_long) == (POSITIONS + 1, 1)


def test_no_word_costs_nothing_that_could_be_said(tokenizer):
    with pytest.raises(ValueError, match="no word in 1 sentences"):
        cost(tokenizer, ["…"])


@pytest.mark.parametrize(
    ("text", "marks", "words", "whisper_words"),
    [
        (DHIVEHI, 11, 3, 11),  # Thaana: vowels are marks
        ("ትግርኛ ቋንቋ", 0, 2, 2),  # Ethiopic: syllables are letters
        ("كِتَابٌ", 3, 1, 3),  # Arabic, pointed
        ("hornjoserbšćina".replace("š", "s\u030c"), 0, 1, 1),  # composed: no marks
    ],
)
def test_marks_of_scripts(text, marks, words, whisper_words):
    found = treatment([text])
    assert (found.marks, found.words, found.whisper_words) == (marks, words, whisper_words)


@pytest.mark.parametrize(
    ("text", "parting"),
    [
        ("м'ята м'ясо", {"'": 2}),
        ("l’acqua 'ndrangheta'", {"’": 1}),  # at a word's edge it parts nothing
        ("ʻōlelo oʻzbek", {}),  # U+02BB is a letter
        ("ሰላም፡ዓለም", {"፡": 1}),
        (f"می{ZWNJ}خواهم a, b", {}),  # a joiner is removed
    ],
)
def test_what_stands_within_a_word_and_parts_it(text, parting):
    assert treatment([text]).parting == parting
