import random
import re

import pytest

from asr.synthesis.phrases import dhivehi_phrase, invented_phrase


@pytest.mark.parametrize(
    "draw, script", [(dhivehi_phrase, r"[\u0780-\u07b1 ]+"), (invented_phrase, r"[\u0d80-\u0dff ]+")]
)
def test_phrases_are_words_of_their_script_alone(draw, script):
    rng = random.Random(1)
    for _ in range(500):
        assert re.fullmatch(script, phrase := draw(rng)), phrase


def test_dhivehi_phrases_vary_and_use_few_words():
    rng = random.Random(2)
    phrases = [dhivehi_phrase(rng) for _ in range(2000)]
    assert len(set(phrases)) > 1000
    assert 50 < len({word for phrase in phrases for word in phrase.split()}) < 200


def test_invented_phrases_have_one_to_six_words_and_no_lone_vowel_sign():
    rng = random.Random(2)
    phrases = [invented_phrase(rng) for _ in range(500)]
    assert {len(phrase.split()) for phrase in phrases} == {1, 2, 3, 4, 5, 6}
    assert not any(re.search(r"(^| )[\u0dca-\u0ddf]", phrase) for phrase in phrases)
