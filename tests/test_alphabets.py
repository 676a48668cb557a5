"""Letters and texts of languages."""

import pytest

from asr.commands.new_language.alphabets import alphabet
from asr.scoring.text import normalize


@pytest.mark.parametrize(
    ("code", "script", "letters"),
    [
        ("dv", "Thaa", ["ހ", "\u07a6", "\u07b0"]),  # marks without the circle that they are shown on
        ("hsb", "Latn", ["Ě", "CH"]),  # a group of letters
        ("ti", "Ethi", ["ለ", "ሎ", "ቆ"]),  # the list has a range, ለ-ቆ
        ("haw", "Latn", ["ʻ", "ā"]),
        ("ckb", "Arab", ["ە", "ڵ"]),
    ],
)
def test_letters(code, script, letters):
    found = alphabet(code, script).letters
    assert set(letters) <= set(found)
    assert not {"", "{", "}", "-", "\u25cc"} & set(found) and len(found) == len(set(found))


def test_sentences_come_once_and_whole():
    found = alphabet("dv", "Thaa").sentences
    assert found and all(normalize(sentence) for sentence in found)
    assert not [one for one in found for other in found if one != other and one in other]


def test_chinese_characters_of_either_kind():
    assert alphabet("yue", "Hani").sentences == alphabet("yue", "Hant").sentences != ()


def test_what_is_not_listed_is_empty():
    assert alphabet("dv", "Cyrl") == alphabet("qaa", "") == alphabet("", "Latn")
    assert alphabet("ckb", "Arab").sentences == ()
