from io import StringIO

import pandas as pd
import pytest

from asr.evaluation import utterance_table as utterances
from asr.tables.csv_text import to_csv


def test_a_table_is_written_as_pandas_writes_it():
    table = pd.DataFrame({"id": ["=1+1", "a,b"], "n": [-1, 2], "x": [None, "-"], "y": [-0.5, 1.0]})
    assert to_csv(table) == 'id,n,x,y\n=1+1,-1,,-0.5\n"a,b",2,-,1.0\n'


@pytest.mark.parametrize("text", ['a"b', "a,b", "a\nb", " a ", "'=", "NA", "-1"])
def test_any_text_without_controls_comes_back(text):
    table = pd.DataFrame({"id": ["x", text, "y"], "n": [1, 2, 3]})
    assert pd.read_csv(StringIO(to_csv(table)), dtype={"id": str}, keep_default_na=False).equals(table)
    row = dict.fromkeys(utterances.COLUMNS, 1) | dict.fromkeys(utterances.TEXT_COLUMNS, text)
    table = pd.DataFrame([row, row])
    assert utterances.from_csv(to_csv(table), "here").equals(table)


@pytest.mark.parametrize("control", ["\0", "\r", "\x1b", "\x7f", "\x9b", "\u202e", "\u2066"], ids=ascii)
def test_a_control_character_is_written_as_its_escape(control):
    table = pd.DataFrame({"id": [f"a{control}b,"], "text": ["ab\u200f\u0308 ބ\t"]})
    assert to_csv(table) == f'id,text\n"a{ascii(control)[1:-1]}b,",ab\u200f\u0308 ބ\t\n'
