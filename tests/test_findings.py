"""The findings in Markdown: each case has its sentence."""

import pytest

from asr.commands.new_language.database import find
from asr.commands.new_language.findings import of_corpus, of_language, of_normalisers, of_tokenizer, page
from asr.commands.new_language.relatives import nearest
from asr.commands.new_language.spelling import Cost, treatment
from asr.commands.new_language.survey import Survey


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


def test_a_corpus_with_durations():
    seconds = {"train.tsv": [2.0] * 97 + [3.0, 4.0], "test.tsv": [7.4], "validated.tsv": [99.0]}
    clips = {name: len(of_it) for name, of_it in seconds.items()}
    text = "\n".join(of_corpus(Survey(clips, dict.fromkeys(clips, 5), [], seconds)))
    assert "- `train.tsv`: 99 clips, 5 speakers, 0.1 hours" in text
    assert "The longest clip has 7.4 s. `model.audio_window_s: 8` fits them all" in text


def test_a_corpus_with_long_clips_and_one_without_durations():
    counts = {"train.tsv": 3}, {"train.tsv": 1}, []
    assert of_corpus(Survey(*counts, {"train.tsv": [2.0, 31.0, 45.0]})) == [
        "- `train.tsv`: 3 clips, 1 speakers, 0.0 hours"
    ]
    assert "has no durations" in of_corpus(Survey(*counts, {}))[-1]


def test_a_page_has_no_empty_section():
    assert page("T", {"A": ["a", "b"], "B": []}) == "# T\n\n## A\n\na\nb\n"
