"""The report: what is chosen, how it is laid out, and that it needs nothing from outside."""

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
import soundfile

from asr.audio.decode import decode
from asr.evaluation import charts, report
from asr.evaluation.breakdown import runaways, wer_by_parts
from asr.evaluation.transcripts import MODELS, Transcript
from asr.evaluation.utterance_table import utterance_table
from asr.scoring.rates import error_rates
from tests.test_ffmpeg import made

TEXTS = ["މާލެ އަކީ ރަށެއް.", "ދިވެހި ބަސް", "<b>x</b> & ބަސް", "ސާޅީސް ފަހެއް"]
HEARD = ["މާލެ އިކީ", "ދިވެހި ބަސް", "އެއީ <script>alert(1)</script>", "ސާޅީސް ފަހެއް މި"]


def clip(format: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(4800), 48_000, format=format)
    return file.getvalue()


def transcripts(count: int) -> dict[str, list[Transcript]]:
    clips = [
        Transcript(
            id=f"{i:03}", speaker=f"{i % 3}", gender="female" if i % 2 else "", age="", accent="",
            duration_s=1.5 + 3 * (i % 5), reference=TEXTS[i % 4], hypothesis=HEARD[i % 4],
            n_ids=9, hit_limit=False,
        )
        for i in range(count)
    ]  # fmt: skip
    return {"pretrained": [c.model_copy(update={"hypothesis": "මාලෙ"}) for c in clips], "finetuned": clips}


@pytest.fixture(scope="module")
def page() -> str:
    return render(transcripts(40))


def render(both: dict[str, list[Transcript]]) -> str:
    table = utterance_table(both)
    interval = dict.fromkeys(("wer_ci95_low", "wer_ci95_high", "cer_ci95_low", "cer_ci95_high"), 12.345)
    rates = {
        model: error_rates([c.reference for c in both[model]], [c.hypothesis for c in both[model]])
        | interval
        | runaways(table, both[model], model)
        for model in MODELS
    }
    parts = wer_by_parts(table, both["finetuned"], TEXTS)
    training = pd.DataFrame({"step": [25, 50], "loss": [2.0, 1.0]})
    drawn = charts.draw(parts, training, training.assign(wer=[50.0, 40.0]))
    audio = {c.id: clip("MP3") for c in both["finetuned"]}
    about = {"language": "Dhivehi", "base model": "openai/whisper-small", "corpus": "<i>Common Voice</i>"}
    return report.render(rates, table, both, parts["trait"], drawn, audio, about, ["7 validation clips"])


@pytest.fixture(scope="module")
def looped() -> str:
    """A page of Italian, of no known speakers, in which both models loop in the first of two clips."""
    clips = [
        c.model_copy(update={"speaker": "", "reference": "perché no", "hypothesis": heard})
        for c, heard in zip(transcripts(2)["finetuned"], ("perché" * 240, "perché no"), strict=True)
    ]
    return render({"pretrained": [clips[0]] * 2, "finetuned": clips})


def test_choose() -> None:
    table = utterance_table(transcripts(40))
    chosen = report.choose(table)
    assert chosen["Worst"][:2] == ["002", "006"]  # seven wrong of three words
    errors = table.set_index("id").errors_finetuned
    assert all(errors[chosen["Best"]] == 0)
    assert [len(ids) for ids in chosen.values()] == [8, 8, 8]
    assert len({id for ids in chosen.values() for id in ids}) == 24
    assert chosen["Random"][:3] == ["004", "031", "020"]  # of any process, on any machine
    assert chosen == report.choose(table.sample(frac=1, random_state=1))


def test_choose_of_few() -> None:
    chosen = report.choose(utterance_table(transcripts(2)))
    assert chosen == {"Worst": ["000"], "Best": ["001"], "Random": []}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("މާލެ", "rtl"), ("كتاب", "rtl"), ("12 މާލެ", "rtl"), ("COVID އަކީ", "ltr"), ("ශ්‍රී", "ltr"), ("…", "ltr")],
)
def test_direction(text: str, expected: str) -> None:
    assert report.direction(text) == expected


@pytest.mark.parametrize(
    ("format", "mime"),
    [("MP3", "audio/mpeg"), ("WAV", "audio/wav"), ("FLAC", "audio/flac"), ("OGG", "audio/ogg")],
)
def test_data_uri(format: str, mime: str) -> None:
    data = clip(format)
    head, content = report.data_uri(data).split(",")
    assert head == f"data:{mime};base64" and base64.b64decode(content) == data


@pytest.mark.parametrize("data", [clip("AIFF"), made("3gp", 1)], ids=["aiff", "3gp"])
def test_data_uri_of_a_format_that_no_browser_plays(data: bytes) -> None:
    head, content = report.data_uri(data).split(",")
    assert head == "data:audio/flac;base64"
    again, rate = soundfile.read(io.BytesIO(base64.b64decode(content)))
    wanted, wanted_rate = decode(data)
    assert rate == wanted_rate and len(again) == len(wanted)
    np.testing.assert_allclose(again, wanted, atol=1e-4)


def test_the_page_needs_nothing_from_outside(page: str) -> None:
    loaded = re.findall(r"""\b(?:src|href)\s*=\s*["']?([^"'\s>]*)""", page)
    assert len(loaded) > 24 and all(value.startswith(("data:", "#")) for value in loaded)
    assert "@import" not in page and "fetch(" not in page


def test_what_models_write_is_no_markup(page: str) -> None:
    assert page.count("<script>") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<b>x" not in page


def test_aligned_words_run_the_way_the_text_does(page: str) -> None:
    assert '<div class="aligned" dir="rtl">' in page and '<div class="aligned" dir="ltr">' in page
    assert '<span class="substitute"><span>އަކީ</span><span>އިކީ</span></span>' in page
    assert '<span class="delete"><span>ރަށެއް</span><span>\u00a0</span></span>' in page
    assert '<span class="insert"><span>\u00a0</span><span>މި</span></span>' in page


def test_letters_are_readable(page: str) -> None:
    table = page[page.index('id="letters"') :]
    assert '<td><bdi class="letter">◌\u07a6</bdi> <small>abafili</small>' in table
    assert "\u07b0</bdi> <small>sukun" not in table  # only in words that are missing altogether


def test_all_utterances_and_intervals_are_there(page: str) -> None:
    assert len(re.findall("<tr data-errors=", page)) == 40
    assert page.count("<small>12.35 to 12.35</small>") + page.count("<small>12.34 to 12.34</small>") == 4
    assert page.count("<audio ") == 24


def test_the_run_is_named_and_its_weak_points_are_said(page: str) -> None:
    head = page[page.index("<h1>") : page.index("<main>")]
    for text in ("Dhivehi", "openai/whisper-small", "&lt;i&gt;Common Voice&lt;/i&gt;", "7 validation clips"):
        assert text in head
    assert "word error rate" in head and "character error rate" in head


def test_vowel_signs_are_spoken_of_where_there_are_any(page: str, looped: str) -> None:
    assert "vowel signs" in page and "vowel signs" not in looped


def test_no_speakers_no_chart_of_them(page: str, looped: str) -> None:
    assert page.count("<figure") == 5 and looped.count("<figure") == 4
    assert "WER by speaker" not in looped


def test_loops_are_named_and_left_out_beside(page: str, looped: str) -> None:
    assert "fine-tuned model that loop: <bdi>000</bdi>." in looped and "model that loop" not in page
    row = looped[looped.index("WER without the hypotheses that loop") :].split("</tr>")[0]
    assert row.count("none left") == 1 and ">0.00</td>" in row  # pretrained: all loop
