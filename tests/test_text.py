"""Tables of text in, text out. Marks are written out where two strings look alike."""

import unicodedata

import pytest

from asr.scoring.text import has_controls, normalize, orthographic, whisper_basic, without_tags

ZWNJ, ZWJ, ZWSP, RLM, VS16 = "\u200c", "\u200d", "\u200b", "\u200f", "\ufe0f"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Thaana: vowel signs and sukun stay, Arabic punctuation goes
        ("އަޅުގަނޑު ރާއްޖެއަށް ދަން.", "އަޅުގަނޑު ރާއްޖެއަށް ދަން"),
        ("ކިހިނެއްތަ؟", "ކިހިނެއްތަ"),
        ("«މާލެ»، ދިވެހިރާއްޖެ؛", "މާލެ ދިވެހިރާއްޖެ"),
        (f"{RLM}މާލެ{RLM}", "މާލެ"),
        ("ދިވެހި-އިނގިރޭސި ރަދީފު", "ދިވެހި އިނގިރޭސި ރަދީފު"),
        # Latin
        ("Perché no? È VERO!", "perché no è vero"),
        ("e\u0301te\u0301", "\u00e9t\u00e9"),  # NFD to NFC
        ("Straße", "strasse"),
        ("I\u0307stanbul", "i\u0307stanbul"),
        ("ΟΔΟΣ οδος", "οδοσ οδοσ"),
        ("l'acqua l’acqua", "l acqua l acqua"),
        ("м\u02bcята", "м\u02bcята"),  # U+02BC is a letter of Ukrainian
        ("twenty-one – 3.5 %", "twenty one 3 5"),
        ("co\u00adoperate", "cooperate"),  # soft hyphen
        ("[Musik] (leise)", "musik leise"),  # brackets go, what they enclose stays
        # Sinhala: U+0DCA ZWJ is a conjunct, ZWNJ keeps letters apart; one word either way
        (f"ශ\u0dca{ZWJ}රී ලංකා", "ශ\u0dcaරී ලංකා"),
        (f"ක\u0dca{ZWNJ}ෂ", "ක\u0dcaෂ"),
        # Arabic script: harakat stay, a Persian ZWNJ does not split, digits are kept as they are
        ("كِتَابٌ، ٣", "كِتَابٌ ٣"),
        (f"می{ZWNJ}خواهم", "میخواهم"),
        # CJK: no spaces, so that a clause is one word and only `cer` says anything
        ("你好，世界。", "你好 世界"),
        ("カ\u3099", "\u30ac"),
        ("한국어", "한국어"),
        (f"ភាសា{ZWSP}ខ្មែរ", "ភាសា ខ្មែរ"),  # zero width space parts words in Khmer
        # mixed
        ("COVID-19 އަކީ ބައްޔެއް", "covid 19 އަކީ ބައްޔެއް"),
        (f"ok ❤{VS16} މާލެ 👍🏽", "ok މާލެ"),
        ("a\u0000b\ue000c", "a b c"),  # control and private use
        # nothing
        ("", ""),
        (" \t\n", ""),
        ("…?!", ""),
        (ZWJ + RLM, ""),
    ],
)
def test_normalize(text: str, expected: str) -> None:
    assert normalize(text) == expected
    assert normalize(expected) == expected


@pytest.mark.parametrize("text", ["été", "ガ", "කො", "آب", "각", "ᾀ\u0301", "a\u0323\u0307"])
def test_normalize_ignores_how_a_text_is_composed(text: str) -> None:
    forms = {text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)}
    assert len({normalize(form) for form in forms}) == 1 < len(forms)


def test_normalize_keeps_every_thaana_letter_and_vowel_sign() -> None:
    thaana = [chr(code) for code in range(0x0780, 0x07B2)]
    assert {unicodedata.category(c) for c in thaana} == {"Lo", "Mn"}
    assert normalize("".join(thaana)) == "".join(thaana)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  މާލެ،\tއަކީ \n", "މާލެ، އަކީ"),
        ("Perché\u00a0NO?", "Perché NO?"),
        ("e\u0301", "e\u0301"),
        (f"می{ZWNJ}خواهم", f"می{ZWNJ}خواهم"),
        ("你好，世界。", "你好，世界。"),
        ("", ""),
    ],
)
def test_orthographic_changes_nothing_but_whitespace(text: str, expected: str) -> None:
    assert orthographic(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("އަޅުގަނޑު ދަން.", "އ ޅ ގ ނޑ ދ ނ"),  # two words become six
        ("ශ\u0dcaරී", "ශ ර"),
        ("Perché NO? [risate] (piano)", "perché no"),
        ("...", ""),
    ],
)
def test_whisper_basic_takes_marks_for_punctuation(text: str, expected: str) -> None:
    assert whisper_basic(text) == expected


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("acqua [disfluency] e [laughter]", "acqua e"),
        ("[noise] ciao", "ciao"),
        ("ciao [Laugh], come [NOISE][unclear] stai?", "ciao, come stai?"),
        ("(ciao [laughter] [laughter])", "(ciao)"),
        ("casa [noise]luna, casa[noise] luna", "casa luna, casa luna"),
        ("其实就[disfluency]都没啥", "其实就都没啥"),
        ("އަޅު [noise] ދަން", "އަޅު ދަން"),
        ("[unclear]", ""),
        ("scrive [sic] «[um]» noise  [", "scrive [sic] «[um]» noise  ["),  # no tags of a release
        ("[noise" + " " * 100_000 + "x [noise] [noise]" + " " * 100_000 + "y", None),  # in linear time
    ],
)
def test_tags_go_and_the_rest_is_as_it_was(text, rest):
    found = without_tags(text)
    assert rest is None or found == rest
    assert normalize(text) == normalize(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ބާރަ\u200f 12", False), ("a\tb\r\n", False), ("क्\u200dष", False), ("", False), ("a\0", True),
        ("\x1b[2J", True), ("\u202eabc", True), ("a\u2067b\u2069", True), ("\x85", True),
    ],
)  # fmt: skip
def test_has_controls(text, found):
    assert has_controls(text) is found
