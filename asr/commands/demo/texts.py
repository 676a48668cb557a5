"""What both models heard as the demo shows it: words marked that differ, or that are not what was said."""

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
    """What stands between two spaces of a text, and how the other text differs there."""

    text: str  # as written, with its case and punctuation
    kind: str  # equal, substitute (another word stands there), delete or insert (none does)


def mark(left: str, right: str) -> tuple[list[Word], list[Word]]:
    """Mark the words of two texts that are not the same, case and punctuation aside.

    What only the left text has is a "delete", what only the right one has an "insert".
    """
    steps = align(left, right)
    kinds_left = iter([step.kind for step in steps if step.reference])
    kinds_right = iter([step.kind for step in steps if step.hypothesis])
    return _marked(left, kinds_left), _marked(right, kinds_right)


def _marked(text: str, kinds: Iterator[str]) -> list[Word]:
    """Give each written word the kind of what `normalize` makes of it: no word of a dash, two of "l'ora"."""
    words = []
    for written in text.split():
        of_word = [next(kinds) for _ in normalize(written).split()]
        words.append(Word(written, next((kind for kind in of_word if kind != EQUAL), EQUAL)))
    return words


def page(lang: str, max_bytes: int) -> str:
    """Render the demo's page.

    Parameters
    ----------
    lang: tag (BCP 47) of the language that is written; "" where it is not known
    max_bytes: of the largest recording that it is to send
    """
    return _environment.get_template("page.html.j2").render(labels=LABELS, lang=lang, max_bytes=max_bytes)


def compare(texts: dict[str, str], reference: str) -> dict:
    """Render two texts with what differs between them or, where it is known, from what was said.

    Parameters
    ----------
    texts: of each model, by the keys of LABELS and in their order
    reference: what was said; without a word in it, it is taken for not known

    Returns
    -------
    texts: HTML of each; summary: a sentence; legend: which of the page's legends explains it, "" for none
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
