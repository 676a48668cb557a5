"""Whisper's languages, ranked by nearness to another language: family, script, contact, distance."""

import itertools
import math
from dataclasses import dataclass
from functools import cache

from langcodes import Language as Tag
from langcodes import standardize_tag
from langcodes.data_dicts import MACROLANGUAGES
from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE

from asr.commands.new_language.database import SAME_SCRIPT, Language, find

FAR_KM = 3000  # a longer distance is not counted: Paraguay's Spanish came from Spain
NEAR = 2  # groups that relatives have in common at least; the first group is the whole family


@dataclass(frozen=True)
class Candidate:
    """One of Whisper's languages, compared with the language to be recognised."""

    token: str  # as in model.language
    code: str  # Whisper's
    language: Language
    same: bool  # the same language, perhaps under another code
    part_of: bool  # it is the macrolanguage (ISO 639-3) of the language
    shared: tuple[str, ...]  # groups of the family tree that both belong to, from the family down
    same_script: bool
    contact: tuple[str, ...]  # countries where it is official and the language is spoken
    distance_km: float  # infinite if a place is unknown

    def rank(self) -> tuple:
        """Return a sort key: the nearest language first.

        A common branch of the family counts first, the deeper the better. Then family, script and contact
        count a point each. Ties are decided by distance up to FAR_KM, then by the number of countries.
        """
        branch = len(self.shared) if len(self.shared) >= NEAR else 0
        points = (len(self.shared) == 1) + self.same_script + bool(self.contact)
        return -self.same, -self.part_of, -branch, -points, min(self.distance_km, FAR_KM), -len(self.contact)

    def near(self) -> bool:
        """Tell whether it is the same language, or in the same branch of the family."""
        return self.same or self.part_of or len(self.shared) >= NEAR

    def reason(self) -> str:
        """Say in a few words how near it is."""
        if self.same:
            return "Whisper knows the language"
        found = []
        if self.part_of:
            found.append(f"part of the macrolanguage {self.language.name} (ISO 639-3)")
        if self.shared:
            groups = self.shared if len(self.shared) < 3 else (self.shared[0], "…", self.shared[-1])
            found.append(f"both {' > '.join(groups)} ({_groups(len(self.shared))} in common)")
        else:
            found.append("no relative")
        found.append("the same script" if self.same_script else f"another script, {self.language.script}")
        if self.contact:
            found.append(f"official in {', '.join(self.contact[:3])}, where the language is spoken")
        if self.distance_km < math.inf:
            found.append(f"{round(self.distance_km, -2 if self.distance_km > 1000 else -1):,.0f} km apart")
        return "; ".join(found)


def nearest(locale: str, script: str | None = None) -> list[Candidate]:
    """Rank all of Whisper's languages, the nearest to the locale first.

    Parameters
    ----------
    script: of the corpus; None or "" for the language's usual one
    """
    language = find(locale)
    script = SAME_SCRIPT.get(script, script) or language.script
    return sorted((_compare(language, script, *one) for one in _whispers()), key=Candidate.rank)


def proposals(ranked: list[Candidate], number: int = 3) -> list[Candidate]:
    """Take the first few, and the nearest with the same script that has contact."""
    first = ranked[:number]
    return first + [one for one in ranked if one.same_script and one.contact and one not in first][:1]


def token(name: str) -> str:
    """Return Whisper's name of a language, given a name or code of it.

    Raises
    ------
    ValueError: Whisper does not know the language.
    """
    code = TO_LANGUAGE_CODE.get(name.lower(), name.lower())
    if code not in LANGUAGES:
        known = ", ".join(sorted(LANGUAGES.values()))
        raise ValueError(f"--language: Whisper does not know {name!r}; it knows {known}")
    return LANGUAGES[code]


@cache
def _whispers() -> list[tuple[str, Language]]:
    return [(code, find(code)) for code in LANGUAGES]


def _compare(language: Language, script: str, code: str, known: Language) -> Candidate:
    wider, own = MACROLANGUAGES.get(language.code), _dominant(language.code)
    return Candidate(
        token=LANGUAGES[code],
        code=code,
        language=known,
        same=own == _dominant(known.code),
        part_of=wider == known.code,
        shared=_common(language.family, known.family),
        same_script=bool(script) and script == known.script,
        contact=tuple(sorted(language.countries & known.official)),
        distance_km=min(
            (_distance_km(here, there) for here in language.places for there in known.places),
            default=math.inf,
        ),
    )


def _dominant(code: str) -> str:
    """Map Mandarin to Chinese, Standard Arabic to Arabic and so on, as CLDR does."""
    return Tag.get(standardize_tag(code, macro=True)).language


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """Return the groups with which both begin."""
    pairs = zip(one, other, strict=False)
    return tuple(group for group, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _distance_km(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Return the great-circle distance between two places, by the haversine formula."""
    (lat, lon), (lat2, lon2) = (map(math.radians, place) for place in (here, there))
    half = math.sin((lat2 - lat) / 2) ** 2 + math.cos(lat) * math.cos(lat2) * math.sin((lon2 - lon) / 2) ** 2
    return 2 * 6371 * math.asin(math.sqrt(half))


def _groups(number: int) -> str:
    return "1 group" if number == 1 else f"{number} groups"
