"""The characters of transcripts: letters by script, digits, and what nobody types on purpose."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from itertools import chain

import pandas as pd
import regex
from langcodes.data_dicts import ALL_SCRIPTS

from asr.scoring.text import has_controls

TOGETHER = ({"Hani", "Hira", "Kana"}, {"Hani", "Hang"}, {"Hani", "Bopo"})  # scripts of one language
NO_SCRIPT = {"Zinh", "Zyyy", "Zzzz"}  # Unicode's, of what several scripts have
SHOWN = 3  # clips, and words or characters, as examples
_LETTER, _DIGIT = regex.compile(r"[\p{L}\p{M}]"), regex.compile(r"\p{Nd}")
_WORD = regex.compile(r"[\p{L}\p{M}]+")
_TAG = regex.compile(r"\[[^\[\]]*\]|<[^<>]*>|\{[^{}]*\}")
# No joiners and marks of direction, which belong into some scripts' words.
_INVISIBLE = regex.compile(r"[\p{Default_Ignorable_Code_Point}--[\u200c-\u200f\u061c\ufe0f]]", regex.V1)
_UNKNOWN = regex.compile(r"[\p{Co}\p{Cn}\ufffd]")


def by_script(characters: Counter[str]) -> dict[str, Counter[str]]:
    """Sort letters and marks by script, under its ISO 15924 code; the script of most letters comes first."""
    letters, found = "".join(filter(_LETTER.match, characters)), {}
    for code in {*ALL_SCRIPTS} - NO_SCRIPT:
        try:
            of_it = regex.findall(rf"\p{{Script={code}}}", letters)
        except regex.error:  # a script that Unicode has no property for, such as Hans or Jpan
            continue
        if of_it:
            found[code] = Counter({character: characters[character] for character in of_it})
    return dict(sorted(found.items(), key=lambda item: (-item[1].total(), item[0])))


def examine(sentences: pd.Series) -> dict:
    """Count characters, and list what is odd.

    Parameters
    ----------
    sentences: texts, by the id of their clip

    Returns
    -------
    scripts: of each, its letters and how often they come. digits: the same, and `clips` with any. others:
    what is neither. tags: how often each comes. odd: of each kind that there is, the number of `clips`,
    `some` of them, and `examples`
    """
    tags = Counter(chain.from_iterable(sentences.map(_TAG.findall)))
    sentences = sentences.map(lambda text: _TAG.sub(" ", text))
    counts = Counter(chain.from_iterable(sentences))
    scripts = by_script(counts)
    digits = {character: n for character, n in counts.most_common() if _DIGIT.match(character)}
    others = {c: n for c, n in counts.most_common() if not (c.isspace() or c in digits or _LETTER.match(c))}
    of_digits = sentences[sentences.map(lambda text: _DIGIT.search(text) is not None)]
    return {
        "scripts": {code: dict(letters.most_common()) for code, letters in scripts.items()},
        "digits": {"clips": len(of_digits), "some": list(of_digits.index[:SHOWN]), "characters": digits},
        "others": others,
        "tags": dict(tags.most_common()),
        "odd": {kind: found for kind, found in _odd(sentences, scripts) if found["clips"]},
    }


def _odd(sentences: pd.Series, scripts: dict[str, Counter[str]]) -> Iterable[tuple[str, dict]]:
    yield "control characters", _kind(sentences, _controls, name_of)
    yield "characters that cannot be seen", _kind(sentences, _invisible, name_of)
    yield "characters that Unicode does not know", _kind(sentences, _UNKNOWN.findall, name_of)
    yield "UTF-8 that was read as Windows-1252", _kind(sentences, _misread)
    own = next(iter(scripts), "")
    own = {own}.union(*(group for group in TOGETHER if own in group))
    if foreign := _class(set(scripts) - own):
        words = regex.compile(rf"[\p{{L}}\p{{M}}]*{foreign}[\p{{L}}\p{{M}}]*")
        has_own = regex.compile(_class(own)).search
        mixed = _kind(sentences, lambda text: [word for word in words.findall(text) if has_own(word)])
        yield "words of two scripts", mixed
        other = _kind(sentences, lambda text: [word for word in words.findall(text) if not has_own(word)])
        yield "words of another script", other
    is_composed = sentences.map(lambda text: unicodedata.is_normalized("NFC", text))
    if any(unicodedata.normalize("NFD", text) != text for text in sentences[is_composed]):
        yield (
            "words that are not composed (NFC), beside others that are",
            _kind(sentences[~is_composed], _apart),
        )


def _class(scripts: set[str]) -> str:
    return "[" + "".join(rf"\p{{Script={code}}}" for code in sorted(scripts)) + "]" if scripts else ""


def _kind(sentences: pd.Series, find, show=str) -> dict:
    """Return number, some, and examples of the sentences in which `find` finds anything."""
    found = sentences.map(find)
    found = found[found.map(bool)]
    examples = Counter(chain.from_iterable(found))
    return {
        "clips": len(found),
        "some": list(found.index[:SHOWN]),
        "examples": {show(example): number for example, number in examples.most_common(SHOWN)},
    }


def name_of(character: str) -> str:
    """Name a character by code point and name."""
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()


def _controls(text: str) -> list[str]:
    return [character for character in text if has_controls(character)] if has_controls(text) else []


def _invisible(text: str) -> list[str]:
    return [character for character in _INVISIBLE.findall(text) if not has_controls(character)]


def _misread(text: str) -> list[str]:
    try:
        return [text] if text.encode("cp1252").decode("utf-8") != text else []
    except UnicodeError:
        return []


def _apart(text: str) -> list[str]:
    return [word for word in _WORD.findall(text) if not unicodedata.is_normalized("NFC", word)]
