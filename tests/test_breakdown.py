"""Parts of a test set whose rates can be worked out by hand."""

import pandas as pd
import pytest

from asr.evaluation.breakdown import (
    DURATION_S,
    TIMES_SEEN,
    looping,
    lower_edges,
    runaways,
    times_seen,
    wer_by,
    wer_by_trait,
)
from asr.evaluation.transcripts import Transcript
from asr.evaluation.utterance_table import utterance_table


def transcript(id: str, **known) -> Transcript:
    unknown = {"speaker": "", "gender": "", "age": "", "accent": "", "duration_s": 1.0}
    return Transcript(**{"id": id, **unknown, "n_ids": 9, "hit_limit": False} | known)


CLIPS = [
    transcript("1", reference="މާލެ އަކީ", hypothesis="މާލެ އަކީ", speaker="a", gender="female"),
    transcript("2", reference="ދިވެހި ބަސް", hypothesis="ދިވެހި", speaker="a", gender="female"),
    transcript("3", reference="ހަތަރު", hypothesis="ފަސް ހަތަރު", speaker="b", gender="male", age="20s"),
    transcript("4", reference="…", hypothesis="އެއީ", speaker=""),
]


@pytest.fixture
def table() -> pd.DataFrame:
    empty = [clip.model_copy(update={"hypothesis": ""}) for clip in CLIPS]
    return utterance_table({"pretrained": empty, "finetuned": CLIPS})


@pytest.mark.parametrize(
    ("value", "edges", "expected"),
    [
        (0.0, DURATION_S, 0), (1.999, DURATION_S, 0), (2.0, DURATION_S, 2), (31.0, DURATION_S, 10),
        (0, TIMES_SEEN, 0), (1, TIMES_SEEN, 1), (4, TIMES_SEEN, 1),
        (5, TIMES_SEEN, 5), (999, TIMES_SEEN, 100),
    ],
)  # fmt: skip
def test_lower_edges(value, edges, expected) -> None:
    assert lower_edges([value], edges) == [expected]


def test_times_seen_is_that_of_the_rarest_word() -> None:
    training = ["މާލެ އަކީ ރަށެއް.", "މާލެ، މާލެ", "COVID"]
    references = ["މާލެ", "މާލެ އަކީ", "މާލެ ދިވެހި", "covid!", "މިލެ", "…"]
    assert times_seen(references, training) == [3, 1, 0, 1, 0, 0]


def test_wer_by(table) -> None:
    found = wer_by(table, [2, 0, 2, 2], "from_s")
    assert found.to_dict("list") == {
        "from_s": [0, 2],
        "utterances": [1, 3],
        "speakers": [1, 2],
        "reference_words": [2, 3],
        "wer_pretrained": [100, 100],
        "wer_finetuned": [50, 66.67],
    }


def test_a_part_without_reference_words_has_no_rate(table) -> None:
    assert list(wer_by(table, [1, 2, 3, 4], "part").part) == [1, 2, 3]


def test_wer_by_trait(table) -> None:
    found = wer_by_trait(table, CLIPS)
    assert list(zip(found.trait, found.group, found.utterances, found.wer_finetuned, strict=True)) == [
        ("gender", "female", 2, 25),
        ("gender", "male", 1, 100),
        ("age", "20s", 1, 100),
        ("age", "unknown", 3, 50),  # one deleted, one inserted, of four
    ]


def test_corpora_are_told_apart_where_there_are_several(table) -> None:
    ids = [f"{'ab'[n % 2]}/{clip.id}" for n, clip in enumerate(CLIPS)]
    clips = [clip.model_copy(update={"id": id}) for clip, id in zip(CLIPS, ids, strict=True)]
    found = wer_by_trait(table.assign(id=ids), clips)
    each = [table[n::2] for n in range(2)]
    assert list(found.trait[:2]) == ["corpus"] * 2 and list(found.group[:2]) == ["a", "b"]
    assert list(found.utterances[:2]) == [len(rows) for rows in each]
    assert list(found.wer_finetuned[:2]) == [
        round(100 * rows.errors_finetuned.sum() / rows.reference_words.sum(), 2) for rows in each
    ]


def test_nothing_known_of_speakers_leaves_a_header(table) -> None:
    unknown = [clip.model_copy(update={"gender": "", "age": ""}) for clip in CLIPS]
    found = wer_by_trait(table, unknown)
    assert found.empty and list(found) == list(wer_by_trait(table, CLIPS))


PHRASE = "e allora disse che nessuno di loro avrebbe più rivisto la casa sul fiume dove,"  # 78 characters
LONG = "މާލެ އަކީ ދިވެހިރާއްޖޭގެ ވެރިރަށެވެ. އެއީ އެންމެ ގިނަ މީހުން ދިރިއުޅޭ ރަށެވެ "


def heard(reference: str, hypothesis: str) -> pd.DataFrame:
    clips = [transcript("1", reference=reference, hypothesis=hypothesis)]
    return utterance_table({"pretrained": clips, "finetuned": clips})


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("ހަތަރު", "ހަތަރު ހަތަރު ހަތަރު ހަތަރު", True),
        ("މާލެ", "މާލެ އަކީ މާލެ އަކީ މާލެ އަކީ މާލެ އަކީ ރަށެއް", True),
        ("", "އައައައައައއަ", True),  # within a word
        ("谢", "谢谢谢谢谢谢谢谢", True),
        (PHRASE, f"{PHRASE} " * 18 + PHRASE[:37], True),
        (LONG, LONG * 2, True),  # no more of it fits into 444 ids
        ("no", "no " * 200, True),
        ("no no no no", "no " * 200, True),  # said four times
        ("no no no no", "no no no no no", False),
        (f"{PHRASE} {PHRASE}", f"{PHRASE} {PHRASE}", False),
        ("ހަތަރު", "ހަތަރު ހަތަރު ހަތަރު", False),
        ("މަޑު", "މަޑު މަޑުން", False),
        ("a million", "1000000", False),
        (PHRASE, PHRASE, False),
        ("ރަށް", "", False),
    ],
)
def test_looping(reference: str, hypothesis: str, expected: bool) -> None:
    assert list(looping(heard(reference, hypothesis), "finetuned")) == [expected]


def test_runaways() -> None:
    chant = "ހޭ ހޭ ހޭ ހޭ ހޭ ހޭ"
    clips = [
        transcript("1", reference="މާލެ", hypothesis="މާލެ މާލެ މާލެ މާލެ", hit_limit=True),
        transcript("2", reference=chant, hypothesis=chant),  # said so
        transcript("3", reference="ބަސް", hypothesis=""),
        transcript("4", reference="…", hypothesis="ބަސް!"),
    ]
    table = utterance_table({"pretrained": clips, "finetuned": clips})
    assert runaways(table, clips, "finetuned") == {
        "looping_hypotheses": 1,
        "wer_without_loops": pytest.approx(100 * 2 / 7),  # one word missing, one too many
        "limit_hits": 1,
        "length_ratio": (19 + 17 + 4) / (4 + 17 + 4),
    }
    assert "wer_without_loops" not in runaways(table[:1], clips[:1], "finetuned")  # of no clip at all
