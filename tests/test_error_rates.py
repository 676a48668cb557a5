"""Rates and counts against figures worked out by hand."""

import math
import random
import socket

import evaluate
import numpy as np
import pytest

from asr.scoring import hf_metric
from asr.scoring.rates import error_rates, standard_error


@pytest.fixture(scope="module")
def metric():
    """Load the module as stages do, with the network out of reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", lambda *_: pytest.fail("used the network"))
        return evaluate.load(hf_metric.__file__, keep_in_memory=True)


def swap_vowels(text: str) -> str:
    """Replace every short a by short i and the reverse: U+07A6 and U+07A8."""
    return text.translate({0x07A6: 0x07A8, 0x07A8: 0x07A6})


@pytest.mark.parametrize(
    ("reference", "hypothesis", "wer", "wer_ortho", "wer_whisper_basic", "cer"),
    [
        ("މާލެ އަކީ ރަށެއް.", "މާލެ އަކީ ރަށެއް", 0, 100 / 3, 0, 0),
        ("މާލެ އަކީ ރަށެއް", "މާލެ އިކީ ރަށެއް", 100 / 3, 100 / 3, 0, 100 / 16),  # one vowel
        ("މާލެ އަކީ ރަށެއް", "މާލެ އަތީ ރަށެއް", 100 / 3, 100 / 3, 100 / 7, 100 / 16),  # one letter
        ("È vero", "e\u0300 VERO!", 0, 100, 0, 0),
        ("il gatto nero", "gatto nero nero", 200 / 3, 200 / 3, 200 / 3, 800 / 13),
        ("ශ\u0dca\u200dරී ලංකා", "ශ\u0dcaරී ලංකා", 0, 50, 25, 0),  # the joiner is a letter to Whisper's
        ("كِتَاب", "كُتَاب", 100, 100, 0, 100 / 6),
        ("你好世界。", "你好世间", 100, 100, 100, 25),
        ("COVID-19 އަކީ", "covid 19 އެކީ", 100 / 3, 150, 0, 100 / 13),
        ("މާލެ", "", 100, 100, 100, 100),
        ("[noise] ciao [disfluency] a tutti", "ciao a tutti [laughter]", 0, 0, 0, 0),  # no words
        ("މާލެ", "މާލެ މާލެ މާލެ", 200, 200, 200, 250),
    ],
)
def test_rates(metric, reference, hypothesis, wer, wer_ortho, wer_whisper_basic, cer) -> None:
    found = metric.compute(predictions=[hypothesis], references=[reference])
    names = ("wer", "wer_ortho", "wer_whisper_basic", "cer")
    expected = dict(zip(names, (wer, wer_ortho, wer_whisper_basic, cer), strict=True))
    assert {name: found[name] for name in names} == pytest.approx(expected)


def test_whisper_basic_is_blind_to_vowels(metric) -> None:
    references = ["އަޅުގަނޑު ރާއްޖެއަށް ދަން", "އެއީ ރަނގަޅު ފިލްމެއް", "މިއީ ދިވެހިރާއްޖެ"]
    found = metric.compute(predictions=[swap_vowels(text) for text in references], references=references)
    assert found["wer_whisper_basic"] == 0
    assert found["wer"] == pytest.approx(100 * 7 / 8)  # all words but "އެއީ" hold a short a or i
    assert found["wer_ortho"] == found["wer"]


@pytest.mark.parametrize(
    ("references", "hypotheses", "expected"),
    [
        # sub, del, ins, reference words, empty references, empty hypotheses
        (["a b c"], ["a x"], (1, 1, 0, 3, 0, 0)),
        (["a b", "c"], ["a b", "c d e"], (0, 0, 2, 3, 0, 0)),
        (["a b", "…"], ["a b", "x y z"], (0, 0, 3, 2, 1, 0)),  # no reference: all is inserted
        (["a b", ""], ["a b", ""], (0, 0, 0, 2, 1, 1)),
        (["a b", "[noise]"], ["[laugh] a b", "[unclear]"], (0, 0, 0, 2, 1, 1)),
        (["a b", "c"], ["?", "c"], (0, 2, 0, 3, 0, 1)),
        (["މާލެ އަކީ"], ["މާލެ އިކީ މި"], (1, 0, 1, 2, 0, 0)),
    ],
)
def test_counts(metric, references, hypotheses, expected) -> None:
    found = metric.compute(predictions=hypotheses, references=references)
    names = ("substitutions", "deletions", "insertions", "reference_words")
    assert tuple(found[name] for name in (*names, "empty_references", "empty_hypotheses")) == expected
    assert found["utterances"] == len(references)
    assert found["wer"] == pytest.approx(100 * sum(expected[:3]) / expected[3])


def test_words_heard_in_silence_count_except_for_comparison(metric) -> None:
    found = metric.compute(predictions=["a b", "x y"], references=["a b", "…"])
    assert found["wer"] == 100
    assert found["cer"] == 100  # three characters inserted, three in the reference
    assert found["wer_ortho"] == pytest.approx(200 / 3)  # "…" is a word as it stands
    assert found["wer_whisper_basic"] == 0  # left out


def test_order_and_batching_do_not_matter(metric) -> None:
    references, hypotheses = ["a b c", "d", "e f"], ["a b", "x", "e f g"]
    whole = metric.compute(predictions=hypotheses, references=references)
    for reference, hypothesis in zip(reversed(references), reversed(hypotheses), strict=True):
        metric.add_batch(predictions=[hypothesis], references=[reference])
    assert metric.compute() == whole


@pytest.mark.parametrize(
    ("references", "hypotheses", "message"),
    [
        (["", "…"], ["a", "b"], "all 2 references are empty after asr.scoring.text.normalize"),
        ([], [], "all 0 references"),
        (["[sic]"], ["a"], "all 1 references are empty after asr.scoring.text.whisper_basic"),
    ],
)
def test_no_reference_at_all(metric, references, hypotheses, message) -> None:
    with pytest.raises(ValueError, match=message):
        metric.compute(predictions=hypotheses, references=references)


@pytest.mark.parametrize("rate", ["wer", "wer_ortho", "wer_whisper_basic", "cer"])
def test_the_standard_error_is_the_jackknife_s(rate):
    """Also with a reference of which nothing is left: only Whisper's normaliser has it left out."""
    draw = random.Random(5)
    said = [" ".join(draw.choices(["Ab,", "cde", "f", "މާލެ"], k=draw.randint(1, 9))) for _ in range(60)]
    heard = ["".join(letter for letter in text if draw.random() < 0.8) for text in said]
    said[7], heard[7] = "(ab)", "ab cd ef gh ij"
    without = [
        error_rates(*([*texts[:place], *texts[place + 1 :]] for texts in (said, heard)))[rate]
        for place in range(60)
        if rate != "wer_whisper_basic" or place != 7
    ]
    jackknife = math.sqrt(len(without) - 1) * np.std(without)
    assert standard_error(rate, said, heard) == pytest.approx(jackknife, rel=0.05)
    assert standard_error(rate, ["a b"], ["a"]) == 0.0
