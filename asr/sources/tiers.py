"""The tiers of an annotated recording, and which of them hold what is said."""

import re
from fnmatch import fnmatchcase
from itertools import combinations
from typing import NamedTuple

SAME_SPEECH = 0.9  # of the time of one of two tiers, in which the other has a text too
SHOWN = 10  # tiers in a message
_REFERENCE = re.compile(r"\S*\d\S*")  # interview.012


class Annotation(NamedTuple):
    """A text, and when it is said in the recording."""

    start_s: float
    end_s: float
    text: str


class Tier(NamedTuple):
    """The annotations of one speaker, or of one kind."""

    name: str  # "" where a format has no tiers
    participant: str  # who speaks; "" if the file does not say
    annotations: list[Annotation]  # with a text, in the order of time
    has_parent: bool = False  # they explain those of another tier
    n_empty: int = 0  # annotations without a text


def choose(tiers: list[Tier], patterns: list[str] | None, file: str) -> list[Tier]:
    """Return the tiers whose name matches a pattern (`fnmatch`); None: those that seem to hold transcripts.

    They have no parent, and texts that are more than reference numbers.

    Raises
    ------
    ValueError: without patterns, two such tiers have texts for the same speech, or there is none.
    """
    if patterns:
        return [tier for tier in tiers if any(fnmatchcase(tier.name, pattern) for pattern in patterns)]
    found = [tier for tier in tiers if tier.annotations and not tier.has_parent and not _is_reference(tier)]
    unclear = [pair for pair in combinations(found, 2) if _same_speech(*pair)]
    if unclear or not found and any(tier.annotations for tier in tiers):
        raise ValueError(
            f"{file}: it is not clear which of its tiers hold what is said: {described(tiers)}. Set"
            " tiers to their names or patterns, such as [A, B] or 'tx@*'"
        )
    return found


def described(tiers: list[Tier]) -> str:
    """Name tiers with the number of their texts, and the first text."""
    shown = [
        f"{tier.name!r} ({len(tier.annotations)}: {tier.annotations[0].text[:20]!r})"
        if tier.annotations
        else f"{tier.name!r} (0)"
        for tier in tiers[:SHOWN]
    ]
    return ", ".join(shown) + ", …" * (len(tiers) > SHOWN)


def _is_reference(tier: Tier) -> bool:
    return all(_REFERENCE.fullmatch(annotation.text) for annotation in tier.annotations)


def _same_speech(one: Tier, other: Tier) -> bool:
    """Tell whether two tiers have texts at the same times, as words and sounds do, and not two speakers."""
    if one.participant and other.participant and one.participant != other.participant:
        return False
    shared_s, waiting, others = 0.0, list(one.annotations), list(other.annotations)
    least_s = min(sum(a.end_s - a.start_s for a in tier.annotations) for tier in (one, other))
    while waiting and others:
        last, other_last = waiting[-1], others[-1]
        shared_s += max(0, min(last.end_s, other_last.end_s) - max(last.start_s, other_last.start_s))
        (waiting if last.start_s > other_last.start_s else others).pop()
    return shared_s > SAME_SPEECH * least_s
