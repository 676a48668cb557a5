"""Both transcripts as the demo shows them, with words marked that differ or are wrong."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2

from asr.evaluation.alignment import align
from asr.evaluation.charts import LABELS
from asr.evaluation.report import direction
from asr.scoring.text import normalize

TEMPLATES = Path(__file__).parent / "templates"
EQUAL, INSERT = "equal", "insert"
_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Word:
    """A word of a text as written, and how the other text differs there."""

    text: str  # with case and punctuation
    kind: str  # equal, substitute, delete or insert


def mark(left: str, right: str) -> tuple[list[Word], list[Word]]:
    """Mark the words in which two texts differ, apart from case and punctuation.

    A word that only the left text has is a "delete", one that only the right text has an "insert".
    """
    steps = align(left, right)
    kinds_left = iter([step.kind for step in steps if step.reference])
    kinds_right = iter([step.kind for step in steps if step.hypothesis])
    return _marked(left, kinds_left), _marked(right, kinds_right)


def _marked(text: str, kinds: Iterator[str]) -> list[Word]:
    """Give each written word its kind. `normalize` makes no word of a dash, and two words of "l'ora"."""
    words = []
    for written in text.split():
        of_word = [next(kinds) for _ in normalize(written).split()]
        words.append(Word(written, next((kind for kind in of_word if kind != EQUAL), EQUAL)))
    return words


def page(lang: str, max_bytes: int) -> str:
    """Render the demo's page.

    Parameters
    ----------
    lang: BCP 47 tag of the texts; "" if it is unknown
    max_bytes: of the largest recording that the page sends
    """
    return _environment.get_template("page.html.j2").render(labels=LABELS, lang=lang, max_bytes=max_bytes)


def compare(texts: dict[str, str], reference: str) -> dict:
    """Render how two texts differ from the reference or, without one, from each other.

    Parameters
    ----------
    texts: of each model, with the keys of LABELS in their order
    reference: what was said; no words if it is unknown

    Returns
    -------
    texts: HTML of each; summary: a sentence; legend: the page's legend that explains it, "" for none
    """
    return _errors(texts, reference) if normalize(reference) else _differences(texts)


def _differences(texts: dict[str, str]) -> dict:
    marked = mark(*texts.values())
    count = sum(word.kind != EQUAL for word in marked[0]) + sum(word.kind == INSERT for word in marked[1])
    summary = {0: "Both heard the same.", 1: "1 word differs."}.get(count, f"{count} words differ.")
    template = _environment.get_template("differences.html.j2")
    return {
        "texts": {name: template.render(words=words) for name, words in zip(texts, marked, strict=True)},
        "summary": summary if any(marked) else "Neither heard anything.",
        "legend": "differences" if count else "",
    }


def _errors(texts: dict[str, str], reference: str) -> dict:
    steps = {name: align(reference, text) for name, text in texts.items()}
    wrong = {name: sum(step.kind != EQUAL for step in of_text) for name, of_text in steps.items()}
    words = len(normalize(reference).split())
    template = _environment.get_template("errors.html.j2")
    of_all = {"direction": direction(reference), "words": words}
    return {
        "texts": {
            name: template.render(text=text, steps=steps[name], wrong=wrong[name], **of_all)
            for name, text in texts.items()
        },
        "summary": f"{words} {'word' if words == 1 else 'words'} said; wrong: "
        + ", ".join(f"{LABELS[name]} {count}" for name, count in wrong.items()),
        "legend": "errors",
    }
