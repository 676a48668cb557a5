"""The findings in Markdown: each case has its sentence."""

import pytest

from asr.commands.new_language.database import find
from asr.commands.new_language.findings import of_language, of_normalisers, of_tokenizer
from asr.commands.new_language.relatives import nearest
from asr.commands.new_language.spelling import Cost, treatment


def language(locale: str, chosen: str | None = None) -> str:
    ranked = nearest(locale)
    return "\n".join(of_language(find(locale), ranked, chosen or ranked[0].token))


def test_a_language_that_whisper_knows_needs_one_line():
    assert language("it") == "Whisper knows Italian: `model.language: italian`."
    text = language("it", "spanish")
    assert text.startswith("Whisper knows Italian. `model.language` is `spanish`.") and "1. `italian`" in text


def test_the_nearest_is_named_with_what_speaks_for_it():
    text = language("dv")
    assert text.startswith("Whisper does not know Dhivehi. `model.language` is `sinhala`. The nearest")
    assert "\n1. `sinhala` (Sinhala): both Indo-European > … > Dhivehi-Sinhala (6 groups" in text
    assert "guess" not in text and "This is a guess" in language("sat")


def test_ids_a_word_and_their_remedy():
    few = Cost(9, words=100, ids=180, characters=600, longest=40, too_long=0)
    assert of_tokenizer(few) == ["1.8 ids a word, 0.30 a character."]
    many = "\n".join(of_tokenizer(Cost(20, words=100, ids=2000, characters=600, longest=700, too_long=3)))
    assert "20.0 ids a word" in many and "`model.extend_tokenizer: 500`" in many
    assert "448 positions: 3 of 20 labels (the longest has 700)" in many
    spaceless = Cost(2, words=10, ids=40, characters=200, longest=30, too_long=0)
    assert "quote `cer`" in of_tokenizer(spaceless)[1]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("ބަ ބި ދަން", "drops 4 marks, such as vowel signs, and makes 4 words of 3"),
        ("м'ята", "' (U+0027 APOSTROPHE) within a word: 1. `wer` counts such a word as two. If it is a lett"),
        ("well-known", "- (U+002D HYPHEN-MINUS) within a word: 1. `wer` counts such a word as two."),
    ],
)
def test_what_to_look_at_in_a_text(text, advice):
    (found,) = of_normalisers(treatment([text]))
    assert advice in found and ("If it is" in found) == ("'" in text)


def test_a_text_without_marks_needs_no_word():
    assert of_normalisers(treatment(["ትግርኛ ቋንቋ"])) == []
