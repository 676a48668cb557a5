"""A language's letters and a few sentences, from Google Fonts' language data (`gflanguages`).

Most sentences are from the Universal Declaration of Human Rights. They show how a tokenizer and a normaliser
treat the script, but they are not typical speech.
"""

import re
from dataclasses import dataclass
from importlib.resources import files

from gfmetadata import LanguageProto, text_format

SPECIMENS = ("styles", "tester", "specimen_48", "specimen_36", "specimen_32", "specimen_21", "specimen_16")
DOTTED_CIRCLE = "\u25cc"  # carries a mark that stands alone


@dataclass(frozen=True)
class Alphabet:
    letters: tuple[str, ...]  # letters, groups of letters and single marks, capitals too; may be empty
    sentences: tuple[str, ...]  # may be empty


def alphabet(code: str, script: str) -> Alphabet:
    """Look up a language's letters in a script, and sentences; both are empty if it is not listed.

    Parameters
    ----------
    code: BCP 47, such as dv
    script: ISO 15924, such as Thaa; Hani covers traditional and simplified characters
    """
    scripts = ("Hant", "Hans") if script == "Hani" else (script,)
    for script in scripts:
        file = files("gflanguages") / "data" / "languages" / f"{code}_{script}.textproto"
        if file.is_file():
            found = text_format.Parse(file.read_text(encoding="utf-8"), LanguageProto())
            return Alphabet(
                _letters(f"{found.exemplar_chars.base} {found.exemplar_chars.marks}"),
                _sentences([getattr(found.sample_text, name) for name in SPECIMENS]),
            )
    return Alphabet((), ())


def _letters(listed: str) -> tuple[str, ...]:
    """Read a list of letters such as `A {CH} ◌́ በ-ኆ`: groups in braces, ranges with a hyphen."""
    letters = []
    for part in listed.replace(DOTTED_CIRCLE, "").split():
        span = re.fullmatch(r"(.)-(.)", part)
        if span:
            letters += map(chr, range(ord(span[1]), ord(span[2]) + 1))
        else:
            letters.append(part.strip("{}") or part)
    return tuple(dict.fromkeys(letters))


def _sentences(specimens: list[str]) -> tuple[str, ...]:
    """List the lines of several specimens, without those that are part of another line."""
    lines = dict.fromkeys(" ".join(line.split()) for text in specimens for line in text.split("\n"))
    return tuple(
        line for line in lines if line and not any(line != other and line in other for other in lines)
    )
