"""A language's family, script, countries and places.

The package `qwanqwa` has the families of Glottolog, and countries and places mostly of Google's LinguaMeta.
`langcodes` has the macrolanguages of ISO 639-3 and the usual scripts of Unicode CLDR.
"""

import gc
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import cache

import iso639
from langcodes import Language as Tag
from langcodes import LanguageTagError
from langcodes.data_dicts import LIKELY_SUBTAGS, MACROLANGUAGES
from qq import Database, IdType, Languoid

# Locales of Common Voice whose tag names another language.
COMMON_VOICE = {"zh-HK": "yue"}
# Glottolog's groups of languages without a family.
NO_FAMILY = {
    "Artificial Language", "Bookkeeping", "Mixed Language", "Pidgin", "Speech Register", "Unattested",
    "Unclassifiable",
}  # fmt: skip
NO_LANGUAGE = {"", "mul", "zxx"}  # undetermined, several, or none
PRIVATE = re.compile("q[a-t][a-z]")  # BCP 47
SAME_SCRIPT = {"Hans": "Hani", "Hant": "Hani"}


@dataclass(frozen=True)
class Language:
    """A language. What is unknown is empty."""

    code: str  # BCP 47, without script and region
    name: str
    script: str  # ISO 15924, the usual one; Hani for both kinds of Chinese characters
    family: tuple[str, ...] = ()  # Glottolog's groups, from the family down
    countries: frozenset[str] = frozenset()  # ISO 3166
    official: frozenset[str] = frozenset()  # countries where it is an official language
    places: tuple[tuple[float, float], ...] = ()  # latitude and longitude; several for a macrolanguage


def find(locale: str) -> Language:
    """Look up a locale as Common Voice spells it: ckb, zh-HK, rm-sursilv. An unknown one has no family.

    Raises
    ------
    ValueError: no language has the code, or not as Common Voice spells it and names a release's folder.
    """
    if "_" in locale or not locale.split("-")[0].islower():
        raise ValueError(f"{locale!r} is not spelt as Common Voice does: such as ckb, zh-HK or nan-tw")
    try:
        tag = Tag.get(COMMON_VOICE.get(locale, locale))
    except LanguageTagError as error:
        raise ValueError(
            f"{locale!r} is not a language code ({error}): give Common Voice's locale, such as ckb or zh-HK,"
            " or an ISO 639-3 code"
        ) from error
    code = tag.language or ""
    languoid = _look_up(code)
    if code in NO_LANGUAGE or not (languoid or PRIVATE.fullmatch(code) or _in_iso_639(code)):
        raise ValueError(
            f"ISO 639 has no language {locale!r}: look its code up (https://iso639-3.sil.org), or"
            " take one for private use, qaa to qtz, or mis"
        )
    members = _members(code, languoid)
    scripts = [script.iso_15924 for script in languoid.canonical_scripts] if languoid else []
    script = tag.script or (tag.maximize().script if code in LIKELY_SUBTAGS else next(iter(scripts), ""))
    if not languoid:
        return Language(code, locale, script)
    return Language(
        code=code,
        name=languoid.name or locale,
        script=SAME_SCRIPT.get(script, script),
        family=_groups_of_most([_family(member) for member in members]),
        countries=frozenset(languoid.country_codes),
        official=frozenset(languoid.official_in_countries),
        places=tuple((m.latitude, m.longitude) for m in members if m.latitude is not None),
    )


@cache
def _database() -> Database:
    gc.disable()  # or a third of the seconds goes into looking at what is still being made
    try:
        return Database.load()
    finally:
        gc.enable()


def _look_up(code: str) -> Languoid | None:
    for kind in (IdType.BCP_47, IdType.ISO_639_3):
        try:
            with warnings.catch_warnings(action="ignore"):  # about replaced codes
                return _database().get(code, kind)
        except KeyError:
            continue
    return None


def _in_iso_639(code: str) -> bool:
    try:
        return bool(iso639.Language.match(code))
    except iso639.LanguageNotFoundError:
        return False


def _members(code: str, languoid: Languoid | None) -> list[Languoid]:
    """List a macrolanguage's languages if Glottolog has no group for it; else the language itself."""
    if languoid and languoid.latitude is None and not languoid.family_tree:
        members = [_look_up(part) for part, whole in MACROLANGUAGES.items() if whole == code]
        return [member for member in members if member and member.family_tree] or [languoid]
    return [languoid] if languoid else []


def _family(languoid: Languoid) -> tuple[str, ...]:
    groups = tuple(group.name or group.glottocode for group in reversed(languoid.family_tree))
    return () if groups and groups[0] in NO_FAMILY else groups


def _groups_of_most(families: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the groups of most families, because a macrolanguage may have a pidgin of another family."""
    found: tuple[str, ...] = ()
    while True:
        longer = Counter(family[: len(found) + 1] for family in families if len(family) > len(found))
        groups, number = max(longer.items(), key=lambda item: item[1], default=((), 0))
        if number * 2 <= len(families):
            return found
        found = groups
