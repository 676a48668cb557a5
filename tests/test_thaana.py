import random
import re

import pytest

from asr.synthesis.phrases import dhivehi_phrase
from asr.synthesis.thaana import to_sinhala


@pytest.mark.parametrize(
    "thaana, sinhala",
    [
        ("ދިވެހި", "දිවෙහි"),  # Dhivehi
        ("މާލެ", "මාලෙ"),
        ("ބަސް", "බස්"),  # language
        ("އަތޮޅު", "අතොළු"),  # atoll: the carrier is silent
        ("އެއް", "එහ්"),  # one: alifu with sukun closes the word
        ("ތިނެއް", "තිනෙහ්"),
        ("ފަންސާސް", "ෆන්සාස්"),  # fifty
        ("ބައްޕަ", "බප්ප"),  # father: alifu with sukun doubles the next consonant
        ("މައްޗަށް", "මච්චහ්"),  # onto: doubled, and shaviyani with sukun at the end
        ("ރަށް", "රහ්"),  # island
        ("ރަށްޓެހި", "රට්ටෙහි"),  # friend
        ("ސާޅީސް", "සාළීස්"),  # forty
        ("ފޮތް", "ෆොඉ"),  # book: thaa with sukun closes as i
        ("ޖުލައި", "ජුලඉ"),
        ("ހަތަރު ވަނަ", "හතරු වන"),
        ("  އެއް \n ދޭއް ", "එහ් දේහ්"),
        ("", ""),
    ],
)
def test_real_words(thaana, sinhala):
    assert to_sinhala(thaana) == sinhala


@pytest.mark.parametrize("text", ["5", "އެއް!", "abc", "ދެ-ތިން", "َ"])
def test_what_has_no_reading_is_refused(text):
    with pytest.raises(ValueError, match="no reading for .* in"):
        to_sinhala(text)


@pytest.mark.parametrize("text", ["ަބ", "ބަަ", "ބަް"])
def test_a_sign_without_its_letter_is_refused(text):
    with pytest.raises(ValueError, match="a vowel sign without its letter"):
        to_sinhala(text)


def test_every_phrase_has_a_reading():
    rng = random.Random(3)
    for _ in range(500):
        assert re.fullmatch(r"[\u0d80-\u0dff ]+", to_sinhala(dhivehi_phrase(rng)))
