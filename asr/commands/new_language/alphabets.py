"""What a language is written with, and a few sentences: Google Fonts' language data, `gflanguages`.

The sentences are mostly of the Universal Declaration of Human Rights: enough to see how a tokenizer and a
normaliser treat the script, and no picture of what people say.
"""

import re
from dataclasses import dataclass
from importlib.resources import files

from gfmetadata import LanguageProto, text_format

SPECIMENS = ("styles", "tester", "specimen_48", "specimen_36", "specimen_32", "specimen_21", "specimen_16")
DOTTED_CIRCLE = "\u25cc"  # what a mark is shown on


@dataclass(frozen=True)
class Alphabet:
    letters: tuple[str, ...]  # letters, groups of letters and single marks, capitals too; may be empty
    sentences: tuple[str, ...]  # may be empty


def alphabet(code: str, script: str) -> Alphabet:
    """Look up a language's letters in a script, and a short text; both are empty where it is not listed.

    Parameters
    ----------
    code: BCP 47, such as dv
    script: ISO 15924, such as Thaa; Hani stands for traditional and simplified characters
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
    """List the lines of several specimens, less those that are part of another one."""
    lines = dict.fromkeys(" ".join(line.split()) for text in specimens for line in text.split("\n"))
    return tuple(
        line for line in lines if line and not any(line != other and line in other for other in lines)
    )
