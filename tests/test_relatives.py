"""Locales in, Whisper's nearest language out. Where the last column says so, that is no more than a guess."""

import dataclasses
import math

import pytest
from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE

from asr.commands.new_language.database import Language
from asr.commands.new_language.relatives import FAR_KM, Candidate, nearest, proposals, token

KNOWN = {
    "it": "italian", "sv-SE": "swedish", "ne-NP": "nepali", "pa-IN": "punjabi", "hy-AM": "armenian",
    "nn-NO": "nynorsk", "zh-CN": "chinese", "zh-TW": "chinese", "zh-HK": "cantonese", "yue": "cantonese",
    "jv": "javanese", "tl": "tagalog", "fil": "tagalog", "cmn": "chinese", "swh": "swahili", "iw": "hebrew",
}  # fmt: skip
PARTS = {"nb-NO": "norwegian", "ltg": "latvian", "arz": "arabic", "nan-tw": "chinese", "vro": "estonian"}
RELATIVES = {
    "dv": "sinhala", "ckb": "persian", "kmr": "persian", "ti": "amharic", "tig": "amharic", "ug": "uzbek",
    "ky": "kazakh", "kaa": "kazakh", "sah": "kazakh", "hsb": "czech", "szl": "polish", "rw": "swahili",
    "lg": "swahili", "ny": "shona", "zu": "shona", "ig": "yoruba", "ga-IE": "welsh", "gsw": "german",
    "sc": "italian", "ast": "spanish", "or": "bengali", "mai": "hindi", "gom": "marathi", "os": "tajik",
    "ceb": "tagalog", "to": "maori", "bxr": "mongolian", "syr": "hebrew", "om": "somali", "hyw": "armenian",
}  # fmt: skip
GUESSES = {
    "cv": "tatar", "kab": "arabic", "zgh": "arabic", "cnh": "myanmar", "sat": "hindi", "quy": "spanish",
    "gn": "spanish", "myv": "russian", "ady": "russian", "smj": "finnish", "ff": "yoruba",
}  # fmt: skip


@pytest.mark.parametrize(("locale", "expected"), KNOWN.items())
def test_a_language_that_whisper_knows_is_itself(locale, expected):
    first = nearest(locale)[0]
    assert (first.token, first.same) == (expected, True)
    assert first.reason() == "Whisper knows the language"


@pytest.mark.parametrize(("locale", "expected"), PARTS.items())
def test_a_part_of_a_macrolanguage_takes_the_whole(locale, expected):
    first = nearest(locale)[0]
    assert (first.token, first.same, first.part_of) == (expected, False, True)


@pytest.mark.parametrize(("locale", "expected"), RELATIVES.items())
def test_a_relative_is_nearest(locale, expected):
    first = nearest(locale)[0]
    assert (first.token, first.near()) == (expected, True)


@pytest.mark.parametrize(("locale", "expected"), GUESSES.items())
def test_without_a_relative_it_is_a_guess(locale, expected):
    first = nearest(locale)[0]
    assert (first.token, first.near()) == (expected, False)


def test_every_language_of_whispers_is_ranked_and_found():
    ranked = nearest("dv")
    assert {one.code for one in ranked} == set(LANGUAGES)
    assert all(one.language.script for one in ranked)
    assert [one.token for one in ranked if not one.language.family] == ["basque"]


def test_the_corpus_script_counts_where_it_is_known():
    assert nearest("ug", "Cyrl")[0].token == "uzbek"  # kinship goes first
    assert nearest("sat", "Beng")[0].token == "bengali"


def test_a_reason_says_what_speaks_for_it():
    sinhala = nearest("dv")[0].reason()
    assert "Dhivehi-Sinhala (6 groups in common); another script, Sinh" in sinhala and "km apart" in sinhala
    assert "part of the macrolanguage Latvian (ISO 639-3)" in nearest("ltg")[0].reason()
    assert "no relative; the same script; official in RU" in nearest("ady")[0].reason()
    assert "km" not in nearest("tok")[0].reason()


def test_proposals_have_the_neighbour_that_kinship_passes_over():
    tokens = [one.token for one in proposals(nearest("lij"))]
    assert len(tokens) == 4 and tokens[0] == "french" and tokens[3] == "italian"
    assert len(proposals(nearest("ti"))) == 3


def candidate(**known) -> Candidate:
    nothing = Candidate("a", "a", Language("a", "A", "Latn"), False, False, (), False, (), math.inf)
    return dataclasses.replace(nothing, **known)


@pytest.mark.parametrize(
    ("nearer", "farther"),
    [
        ({"same": True}, {"part_of": True}),
        ({"part_of": True}, {"shared": ("F", "G", "H")}),
        ({"shared": ("F", "G", "H")}, {"shared": ("F", "G"), "same_script": True, "contact": ("IN",)}),
        ({"shared": ("F", "G"), "same_script": True}, {"shared": ("F", "G"), "distance_km": 1}),
        ({"shared": ("F", "G")}, {"shared": ("F",), "same_script": True, "contact": ("IN",)}),
        ({"same_script": True, "contact": ("IN",)}, {"shared": ("F",)}),
        ({"contact": ("IN",), "distance_km": 100}, {"shared": ("F",), "distance_km": 200}),
        ({"contact": ("BO", "PY"), "distance_km": 2 * FAR_KM}, {"contact": ("BR",), "distance_km": FAR_KM}),
        ({"distance_km": 1}, {}),
    ],
)
def test_the_order_of_candidates(nearer, farther):
    assert candidate(**nearer).rank() < candidate(**farther).rank()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sinhalese", "sinhala"), ("Persian", "persian"), ("fa", "persian"), ("mandarin", "chinese")],
)
def test_a_token_has_one_name(name, expected):
    assert token(name) == expected and expected in TO_LANGUAGE_CODE


def test_a_token_that_there_is_none_of():
    with pytest.raises(ValueError, match="--language: Whisper does not know 'dhivehi'; it knows afrikaans, "):
        token("dhivehi")
