import pandas as pd
import pytest

from asr.evaluation import utterance_table as utterances
from asr.tables.spreadsheets import inert, original, to_csv

TEXTS = ["=1+1", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", "'=1", "''-1"]
HARMLESS = ["", "ދިވެހި", "l'acqua", "'tis", "a=b", "1-2", "''"]


@pytest.mark.parametrize("text", TEXTS)
def test_a_formula_becomes_text_and_comes_back(text):
    assert inert(text) == "'" + text
    assert original(inert(text)) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_stay(text):
    assert inert(text) == text == original(text)


def test_a_table_s_texts_are_inert_and_its_numbers_stay():
    table = pd.DataFrame({"id": ["=1", "a"], "n": [-1, 2], "x": [None, "-"], "y": [-0.5, 1.0]})
    assert to_csv(table) == "id,n,x,y\n'=1,-1,,-0.5\na,2,'-,1.0\n"


@pytest.mark.parametrize("text", ["a\rb", "\r", "a\0b", 'a"b', "a,b", "a\nb", " a ", "'=", "NA"])
def test_any_text_comes_back_from_the_table_of_utterances(text):
    table = pd.DataFrame([dict.fromkeys(utterances.COLUMNS, 1)] * 3)
    table["id"] = ["x", text, "y"]
    for column in utterances.TEXT_COLUMNS[1:]:
        table[column] = text
    assert utterances.from_csv(to_csv(table), "here").equals(table)
