"""Two texts side by side: which words are marked, and that no text becomes markup."""

import re

import pytest

from asr.commands.demo.texts import compare, mark, page
from asr.evaluation.charts import LABELS
from asr.scoring.text import normalize


def kinds(words):
    return " ".join(f"{word.text}:{word.kind}" for word in words)


@pytest.mark.parametrize(
    ("left", "right", "expected_left", "expected_right"),
    [
        ("މާލެ އަކީ.", "މާލެ އިކީ", "މާލެ:equal އަކީ.:substitute", "މާލެ:equal އިކީ:substitute"),
        ("a b c", "b c d", "a:delete b:equal c:equal", "b:equal c:equal d:insert"),
        ("Ja, da - da!", "ja DA da", "Ja,:equal da:equal -:equal da!:equal", "ja:equal DA:equal da:equal"),
        ("l'ora è", "lora è", "l'ora:substitute è:equal", "lora:substitute è:equal"),
        ("l'ora", "l'oro", "l'ora:substitute", "l'oro:substitute"),
        ("  a\u00a0b\n", "a b", "a:equal b:equal", "a:equal b:equal"),
        ("", "a", "", "a:insert"),
        ("…", "", "…:equal", ""),
    ],
)  # fmt: skip
def test_words_that_differ_are_marked_as_they_are_written(left, right, expected_left, expected_right):
    found = mark(left, right)
    assert (kinds(found[0]), kinds(found[1])) == (expected_left, expected_right)


@pytest.mark.parametrize(
    "text",
    [
        "a\u0301 \u0301b", "ΟΔΟΣ ᾳ\u0301", "x\u200by \u200c z\u200dw", "ﬁ İ ẞ", "\x1c1\x85 2\u2028 3",
        "ކ\u07a6 \u07a6", "क्\u200dष ක්\u200dෂ", "\u00ad \u061c a", "१२ ½ x²",
    ],
)  # fmt: skip
def test_every_word_of_odd_texts_is_found_again(text):
    """What is between spaces, normalised part by part, are the words of the whole."""
    assert [w for part in text.split() for w in normalize(part).split()] == normalize(text).split()
    left, right = mark(text, text + " q")
    assert [word.text for word in left] == text.split() and right[-1].kind == "insert"
    assert {word.kind for word in left} == {"equal"}


def visible(html):
    return " ".join(re.sub(r"<[^>]*>", "", html).split())


def test_differences_as_html():
    found = compare({"pretrained": "މާލެ އަކީ ރަށެއް", "finetuned": "މާލެ އިކީ ރަށެއް މި"}, "")
    assert (found["summary"], found["legend"]) == ("2 words differ.", "differences")
    assert visible(found["texts"]["pretrained"]) == "މާލެ އަކީ ރަށެއް"
    assert '<mark class="substitute">އަކީ</mark>' in found["texts"]["pretrained"]
    assert '<mark class="insert">މި</mark>' in found["texts"]["finetuned"]
    assert all('<p dir="auto">' in html for html in found["texts"].values())


@pytest.mark.parametrize(
    ("pretrained", "finetuned", "summary", "legend"),
    [
        ("A b.", "a b", "Both heard the same.", ""),
        ("a b", "a", "1 word differs.", "differences"),
        ("", "a b", "2 words differ.", "differences"),
        ("", "", "Neither heard anything.", ""),
    ],
)
def test_the_summary(pretrained, finetuned, summary, legend):
    found = compare({"pretrained": pretrained, "finetuned": finetuned}, " … ")
    assert (found["summary"], found["legend"]) == (summary, legend)
    assert pretrained or "nothing" in visible(found["texts"]["pretrained"])


def test_errors_against_what_was_said():
    found = compare({"pretrained": "", "finetuned": "Male is an Iceland"}, "Malé is an island.")
    right = found["texts"]["finetuned"]
    assert found["legend"] == "errors"
    assert found["summary"] == "4 words said; wrong: pretrained 4, fine-tuned 2"
    assert "WER 100.0 %" in visible(found["texts"]["pretrained"])
    assert "WER 50.0 %" in visible(right) and "Male is an Iceland" in visible(right)
    assert '<span class="substitute"><span>island</span><span>iceland</span></span>' in right


@pytest.mark.parametrize(("reference", "expected"), [("ބަސް ab", "rtl"), ("ab ބަސް", "ltr")])
def test_words_stand_in_the_direction_of_what_was_said(reference, expected):
    found = compare({"pretrained": "Latin", "finetuned": "ބަސް"}, reference)["texts"]
    assert all(f'<div class="aligned" dir="{expected}">' in html for html in found.values())


@pytest.mark.parametrize("reference", ["", "<b>said</b> & done", "x"])
def test_no_text_becomes_markup(reference):
    evil = "<script>alert(1)</script> <img/src=x onerror=alert(1)> & </p>"
    for html in compare({"pretrained": evil, "finetuned": evil + " x"}, reference)["texts"].values():
        assert not re.search(r"<(script|img|b)\b", html)
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_the_page_has_a_card_for_each_model_in_the_language():
    html = page("dv", 7)
    for model, label in LABELS.items():
        assert f'<article class="card {label}" id="{model}"' in html
    assert html.count('lang="dv"') == 3 and 'data-max-bytes="7"' in html
    assert 'lang="&#34;' in page('"><script>', 7)
