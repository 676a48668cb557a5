"""Words and letters beside each other."""

import jiwer
import pytest

from asr.evaluation.alignment import Step, align, character_name, confusions, readable


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("މާލެ އަކީ.", "މާލެ އިކީ", "equal މާލެ މާލެ|substitute އަކީ އިކީ"),
        ("a b c d", "b x d e", "delete a -|equal b b|substitute c x|equal d d|insert - e"),
        ("a b c", "x y", "substitute a x|substitute b y|delete c -"),
        ("", "a b", "insert - a|insert - b"),
        ("a", "", "delete a -"),
        ("…", "", ""),
    ],
)
def test_align(reference: str, hypothesis: str, expected: str) -> None:
    found = align(reference, hypothesis)
    assert "|".join(f"{s.kind} {s.reference or '-'} {s.hypothesis or '-'}" for s in found) == expected


def test_align_characters() -> None:
    assert align("އަކ", "އިކު", jiwer.process_characters) == [
        Step("equal", "އ", "އ"),
        Step("substitute", "\u07a6", "\u07a8"),
        Step("equal", "ކ", "ކ"),
        Step("insert", "", "\u07aa"),
    ]


def test_confusions_of_words() -> None:
    found = confusions(["މާލެ އަކީ", "މާލެ އަކީ", "ބަސް ބަސް"], ["މާލެ އިކީ", "މިލެ އިކީ", "ބަސް"], count=2)
    assert found.to_dict("split")["data"] == [["އަކީ", "އިކީ", 2], ["ބަސް", "", 1]]


def test_confusions_of_letters() -> None:
    found = confusions(["އަ އަ", "ކަ"], ["އި އި", "ކަ"], 9, jiwer.process_characters)
    assert found.to_dict("split")["data"] == [["\u07a6", "\u07a8", 2]]


def test_nothing_confused() -> None:
    assert list(confusions(["a"], ["a"], 5)) == ["reference", "hypothesis", "times"]
    assert confusions(["a"], ["a"], 5).empty


@pytest.mark.parametrize(
    ("character", "seen", "name"),
    [
        ("\u07a6", "◌\u07a6", "abafili"),
        ("\u07b0", "◌\u07b0", "sukun"),
        ("އ", "އ", "letter alifu"),
        ("\u0dca", "◌\u0dca", "sinhala sign al-lakuna"),
        (" ", "␣", "space"),
        ("é", "é", "latin small letter e with acute"),
        ("\u0000", "\u0000", "unnamed"),
    ],
)
def test_a_character_can_be_seen_alone(character: str, seen: str, name: str) -> None:
    assert (readable(character), character_name(character)) == (seen, name)
