"""The figures on docs/languages.md. Those in ids want Whisper's own tokenizer:

    REAL_CHECKPOINT=corpora/whisper-base pytest -m real tests/test_languages_page.py
"""

import os
import re

import pytest

from asr.commands.new_language.alphabets import alphabet
from asr.commands.new_language.database import find, script_name
from asr.commands.new_language.relatives import nearest, proposals
from asr.commands.new_language.spelling import cost, treatment
from asr.model.whisper import load_processor
from tests.recipes import REPOSITORY

PAGE = (REPOSITORY / "docs/languages.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if " % |" in line]
OTHERS = """English takes 1.1 ids a word,
Italian 1.8, Russian 2.2, Arabic 3.0, Hindi 5.9, Bengali 13.5 and Georgian 21.3:"""


def sample(locale: str) -> tuple[str, ...]:
    return alphabet(locale, find(locale).script).sentences


def test_the_page_has_its_languages():
    assert [row[0].split()[0] for row in ROWS] == ["`dv`", "`ti`", "`zgh`", "`ug`", "`sah`", "`hsb`"]
    assert OTHERS in PAGE


@pytest.mark.parametrize(("name", "script", "proposed", "others", "ids", "broken", "words"), ROWS)
def test_what_the_tool_proposes_and_counts(name, script, proposed, others, ids, broken, words):
    locale = re.findall("`(.+)`", name)[0]
    first, *rest = proposals(nearest(locale))
    assert script_name(find(locale).script).startswith(script)
    assert proposed == (first.token if first.near() else f"{first.token}, a guess")
    assert others == ", ".join(one.token for one in rest)
    found = treatment(sample(locale))
    fallen_apart = found.words != found.whisper_words
    assert words == f"{found.words}" + (f" become {found.whisper_words}" if fallen_apart else ", the same")
    assert not found.lost and fallen_apart == bool(found.confused)


@pytest.mark.real
def test_what_a_word_costs():
    tokenizer = load_processor(os.environ["REAL_CHECKPOINT"], "english", "transcribe").tokenizer
    for name, *_, ids, broken, _ in ROWS:
        found = cost(tokenizer, sample(re.findall("`(.+)`", name)[0]))
        share = f"{100 * found.broken / found.ids:.0f} %"
        assert (ids, broken) == (f"{found.ids_per_word:.1f}", share)
    for locale, stated in zip("en it ru ar hi bn ka".split(), re.findall(r"\d+\.\d", OTHERS), strict=True):
        assert f"{cost(tokenizer, sample(locale)).ids_per_word:.1f}" == stated
