"""Charts: well-formed, the same on every run, with what they are about in them."""

from xml.etree import ElementTree

import pandas as pd
import pytest

from asr.evaluation import charts

PARTS = pd.DataFrame(
    {
        "from_s": [0, 4],
        "utterances": [3, 7],
        "speakers": [2, 2],
        "reference_words": [9, 70],
        "wer_pretrained": [100.0, 110.0],
        "wer_finetuned": [20.0, 30.0],
    }
)
EMPTY = PARTS.iloc[:0].rename(columns={"from_s": "speaker"})


def draw(speakers: pd.DataFrame) -> dict[str, str]:
    parts = {
        "duration": PARTS,
        "words": PARTS.assign(from_s=[0, 3]),
        "times_seen": PARTS.assign(from_s=[0, 1]),
    }
    training = pd.DataFrame({"step": [25, 50], "loss": [2.0, 1.0]})
    validation = pd.DataFrame({"step": [50], "loss": [1.5], "wer": [40.0]})
    return charts.draw(parts | {"speaker": speakers}, training, validation)


def letters(svg: str) -> set[str]:
    texts = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return {"".join(text.itertext()) for text in texts}


def test_charts_say_what_they_show() -> None:
    found = {name: letters(svg) for name, svg in draw(PARTS.assign(from_s=["a", "b"])).items()}
    assert {"loss", "step", "validation WER, %", "training", "validation"} <= found["training_curve"]
    assert {"0-2", "4-6", "3 clips", "7 clips", "pretrained", "fine-tuned"} <= found["duration"]
    assert {"0-2", "3-5"} <= found["words"]
    assert {"0", "1-4"} <= found["times_seen"]
    assert {"pretrained WER, %", "fine-tuned WER, %"} <= found["speaker"]


def test_a_speaker_who_is_understood_better_is_further_right_and_lower() -> None:
    speakers = PARTS.assign(wer_pretrained=[40.0, 90.0], wer_finetuned=[30.0, 10.0])
    drawn = ElementTree.fromstring(draw(speakers)["speaker"])
    dots = drawn.find(".//*[@id='PathCollection_1']").iter("{http://www.w3.org/2000/svg}use")
    (x, y), (other_x, other_y) = ((float(dot.get("x")), float(dot.get("y"))) for dot in dots)
    assert other_x > x and other_y > y  # SVG counts downwards


def test_charts_repeat_to_the_byte() -> None:
    assert draw(EMPTY) == draw(EMPTY)  # without a known speaker, too


def test_inline_takes_the_page_s_ink() -> None:
    svg = draw(EMPTY)["duration"]
    within = charts.inline(svg)
    assert svg.startswith("<?xml") and within.startswith("<svg")
    assert charts.INK in svg and charts.INK not in within
    assert within.count("currentColor") == svg.count(charts.INK)


@pytest.mark.parametrize(
    ("name", "edges", "expected"),
    [
        (charts.ranges, (0, 2, 4), {0: "0-2", 2: "2-4", 4: "4+"}),
        (charts.whole_ranges, (0, 1, 5), {0: "0", 1: "1-4", 5: "5+"}),
    ],
)
def test_names_of_parts(name, edges, expected) -> None:
    assert name(edges) == expected
