"""Errors of each utterance: the same counts as the headline, row by row."""

import evaluate
import pytest

from asr.evaluation.error_counts import rounded, score_utterances
from asr.scoring import hf_metric

# reference, hypothesis; errors, sub, del, ins, reference words; char errors, reference chars
ROWS = [
    ("މާލެ އަކީ.", "މާލެ އަކީ", (0, 0, 0, 0, 2), (0, 9)),
    ("މާލެ އަކީ ރަށެއް", "މާލެ އިކީ", (2, 1, 1, 0, 3), (8, 16)),
    ("Il gatto", "il gatto nero", (1, 0, 0, 1, 2), (5, 8)),
    ("ශ\u0dca\u200dරී ලංකා", "ශ\u0dcaරී", (1, 0, 1, 0, 2), (5, 9)),
    ("كِتَاب", "كُتَاب", (1, 1, 0, 0, 1), (1, 6)),
    ("你好世界", "你好", (1, 1, 0, 0, 1), (2, 4)),
    ("…", "a bc", (2, 0, 0, 2, 0), (4, 0)),
    ("a b", "", (2, 0, 2, 0, 2), (3, 3)),
    ("", "", (0, 0, 0, 0, 0), (0, 0)),
]
REFERENCES, HYPOTHESES = [row[0] for row in ROWS], [row[1] for row in ROWS]


@pytest.mark.parametrize(("reference", "hypothesis", "words", "chars"), ROWS)
def test_counts_of_an_utterance(reference, hypothesis, words, chars) -> None:
    table = score_utterances([reference], [hypothesis])
    names = ["errors", "substitutions", "deletions", "insertions", "reference_words"]
    assert tuple(table[names].iloc[0]) == words
    assert tuple(table[["char_errors", "reference_chars"]].iloc[0]) == chars
    assert set(table.dtypes.astype(str)) == {"int64"}


def test_rows_add_up_to_the_headline() -> None:
    totals = score_utterances(REFERENCES, HYPOTHESES).sum()
    headline = evaluate.load(hf_metric.__file__, keep_in_memory=True).compute(
        predictions=HYPOTHESES, references=REFERENCES
    )
    for count in ("substitutions", "deletions", "insertions", "reference_words"):
        assert totals[count] == headline[count]
    assert 100 * totals["errors"] / totals["reference_words"] == pytest.approx(headline["wer"])
    assert 100 * totals["char_errors"] / totals["reference_chars"] == pytest.approx(headline["cer"])


def test_lengths_have_to_agree() -> None:
    with pytest.raises(ValueError, match="shorter"):
        score_utterances(["a", "b"], ["a"])


def test_rounded() -> None:
    found = rounded({"wer": 100 / 3, "cer": 0.0, "utterances": 3})
    assert found == {"wer": 33.33, "cer": 0.0, "utterances": 3}
    assert [type(value) for value in found.values()] == [float, float, int]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_rounded_refuses_what_json_cannot_write(value) -> None:
    with pytest.raises(ValueError, match=f"finite numbers, found wer = {value}"):
        rounded({"wer": value, "cer": 1.0})
