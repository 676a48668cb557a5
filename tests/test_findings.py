"""The findings in Markdown: each case has its sentence."""

from collections import Counter

import pytest

from asr.commands.new_language.alphabets import Alphabet
from asr.commands.new_language.database import find
from asr.commands.new_language.findings import (
    listed,
    named,
    of_corpus,
    of_language,
    of_normalisers,
    of_tokenizer,
    page,
)
from asr.commands.new_language.relatives import nearest
from asr.commands.new_language.spelling import Cost, treatment
from asr.commands.new_language.survey import Survey

NOTHING, NO_ALPHABET = treatment([]), Alphabet((), ())


def language(locale: str, chosen: str | None = None) -> str:
    found, ranked = find(locale), nearest(locale)
    return "\n".join(of_language(found, found.script, ranked, chosen or ranked[0].token))


def test_a_language_that_whisper_knows_needs_one_line():
    assert language("it") == "Whisper knows Italian: `model.language: italian`."


def test_the_nearest_is_named_with_what_speaks_for_it():
    text = language("dv")
    assert text.startswith("Whisper does not know Dhivehi. `model.language` is `sinhala`. The nearest")
    assert "\n1. `sinhala` (Sinhala): both Indo-European > … > Dhivehi-Sinhala (6 groups" in text
    assert "written in Thaana.\nNone of Whisper's languages has this script." in text and "guess" not in text


def test_a_text_in_another_script_is_noticed():
    found = find("ckb")
    text = "\n".join(of_language(found, "Latn", nearest("ckb", "Latn"), "persian"))
    assert "as written in Latin.\nThat is the script of the text; the usual one is Arabic." in text
    assert "the usual one" not in language("ckb") and "unknown script" in language("qaa")


@pytest.mark.parametrize(("locale", "unknown"), [("sat", False), ("cv", False), ("tok", True), ("qaa", True)])
def test_a_guess_is_called_one(locale, unknown):
    text = language(locale)
    assert "This is a guess" in text and ("Its family is unknown" in text) == unknown


def test_another_choice_leaves_the_list():
    text = language("it", "spanish")
    assert text.startswith("Whisper knows Italian. `model.language` is `spanish`.") and "1. `italian`" in text


def test_the_tokenizer_is_not_advised_against_where_it_is_fine():
    text = "\n".join(of_tokenizer(Cost(9, 100, 180, 600, 6, 40, 0), 50_257))
    assert "1.8 ids a word, 0.30 a character; 3% of the ids" in text and "longest label has 40 ids" in text
    assert "extend_tokenizer" not in text and "Whisper's own" not in text and "spaces" not in text


def test_a_dear_tokenizer_has_its_remedy():
    text = "\n".join(of_tokenizer(Cost(20, 100, 2000, 600, 1900, 700, 3), 264))
    assert "20.0 ids a word" in text and "`model.extend_tokenizer: 500`" in text
    assert "448 positions: 3 of 20 labels (the longest has 700)" in text
    assert "it has 264 tokens" in text


def test_a_script_without_spaces_is_noticed():
    assert "quote `cer`" in "\n".join(of_tokenizer(Cost(2, 10, 400, 200, 0, 90, 0), 50_257))


def test_marks_that_whisper_drops_are_named():
    found = of_normalisers(treatment(["ބަ ބި ދަން"]), treatment(["ބ", "\u07a6"]), Alphabet(("ބ", "\u07a6"), ()))
    text = "\n".join(found)
    assert "`wer` keeps every letter, mark and number of the text, and the 2 letters and marks of the" in text
    assert "drops 3 of 3 marks: ◌ަ (U+07A6 THAANA ABAFILI) 2, " in text
    assert "3 words become 4, and 2 of 3 distinct words equal another one" in text


def test_of_an_alphabet_alone_its_marks_are_said():
    letters = ("ބ", "\u07a6")
    text = "\n".join(of_normalisers(NOTHING, treatment(letters), Alphabet(letters, ())))
    assert "drops 1 of 1 marks" in text and "words become" not in text
    cyrillic = of_normalisers(treatment(["саха"]), treatment(["й", "\u0306"]), Alphabet(("й", "\u0306"), ()))
    assert "`wer_whisper_basic` keeps them too." in cyrillic


def test_a_script_without_marks_is_left_whole():
    text = "\n".join(of_normalisers(treatment(["ትግርኛ ቋንቋ"]), NOTHING, NO_ALPHABET))
    assert text.splitlines() == [
        "`wer` keeps every letter, mark and number of the text.", "`wer_whisper_basic` keeps them too.",
    ]  # fmt: skip


def test_a_loss_is_a_bug(monkeypatch):
    monkeypatch.setattr("asr.commands.new_language.spelling.normalize", lambda text: text.replace("ބ", ""))
    text = of_normalisers(treatment(["ބަ"]), NOTHING, NO_ALPHABET)[0]
    assert text.startswith("**`wer` loses ބ (U+0784 THAANA LETTER BAA) 1. That is a bug")


@pytest.mark.parametrize(
    ("text", "letters", "advice"),
    [
        ("oʻzbek g'isht", ("oʻ",), "Where it is the letter ʻ (U+02BB MODIFIER LETTER TURNED COMMA), wr"),
        ("м'ята", ("м",), "If it is a letter, not an elision, write it as U+02BC"),
        ("c'hoar", ("c'h",), "' (U+0027 APOSTROPHE) is in the alphabet, but no letter in Unicode"),
        ("well-known", (), "- (U+002D HYPHEN-MINUS) within a word: 1. `wer` counts such a word as two."),
    ],
)
def test_characters_to_look_at(text, letters, advice):
    assert advice in "\n".join(of_normalisers(treatment([text]), treatment(letters), Alphabet(letters, ())))


def test_without_text_and_letters_nothing_is_claimed():
    assert of_normalisers(NOTHING, NOTHING, NO_ALPHABET)[0].startswith("Not checked")


def test_a_corpus_with_durations():
    seconds = {"train.tsv": [2.0] * 97 + [3.0, 4.0], "test.tsv": [7.4], "validated.tsv": [99.0]}
    clips = {name: len(of_it) for name, of_it in seconds.items()}
    text = "\n".join(of_corpus(Survey(clips, dict.fromkeys(clips, 5), [], seconds), 1043))
    assert "- `train.tsv`: 99 clips, 5 speakers, 0.1 hours" in text
    assert "shorter than 2.0 s, 99 of 100 than 7.4 s, and the longest has 7.4 s" in text
    assert "A second takes 5.0 ids." in text and "`model.audio_window_s: 8` fits them all" in text


def test_a_corpus_with_clips_that_are_too_long():
    seconds = {"train.tsv": [2.0, 31.0, 45.0]}
    text = "\n".join(of_corpus(Survey({"train.tsv": 3}, {"train.tsv": 1}, [], seconds), 0))
    assert "2 are longer than 30 s" in text and "audio_window_s" not in text and "ids" not in text


def test_a_corpus_that_does_not_say_how_long_it_is():
    text = "\n".join(of_corpus(Survey({"train.tsv": 3}, {"train.tsv": 1}, [], {}), 12))
    assert "- `train.tsv`: 3 clips, 1 speakers\n" in text and "has no durations" in text


def test_lists_end_somewhere():
    assert listed(Counter("aab")) == "a (U+0061 LATIN SMALL LETTER A) 2, b (U+0062 LATIN SMALL LETTER B) 1"
    assert listed(Counter("abcdefghij"), most=3).endswith("1 and 7 more")
    assert named("\u0301") == "\u25cc\u0301 (U+0301 COMBINING ACUTE ACCENT)"


def test_a_page_has_no_empty_section():
    assert page("T", {"A": ["a", "b"], "B": []}) == "# T\n\n## A\n\na\nb\n"
