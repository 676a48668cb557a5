"""ELAN's annotation files (https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf).

pympi-ling 1.71 reads them too. It gives no times to annotations that ELAN has not aligned, and fails with a
KeyError where an optional attribute is missing.
"""

import logging
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree

from asr.sources.tiers import Annotation, Tier

DEEPEST = 20  # tiers that explain one another
logger = logging.getLogger(__name__)


class Media(NamedTuple):
    """A recording that an annotation file names."""

    links: list[str]  # relative path and URL, of which either may be wrong by now
    origin_s: float  # where in it the time 0 of the annotations is


def read(file: Path) -> tuple[list[Media], list[Tier]]:
    """Return the recordings, those of sound first, and the tiers.

    An annotation without a time divides the time of its aligned neighbours. Those that explain others have
    their times; several that explain the same one are joined.

    Raises
    ------
    ValueError: it is no such file.
    """
    try:
        document = ElementTree.parse(file).getroot()
        if document.tag != "ANNOTATION_DOCUMENT":
            raise ValueError(f"it begins with <{document.tag}>")
        slots = {
            slot.get("TIME_SLOT_ID"): float(slot.get("TIME_VALUE")) / 1000
            for slot in document.iter("TIME_SLOT")
            if slot.get("TIME_VALUE")
        }
        media = sorted(document.iter("MEDIA_DESCRIPTOR"), key=_has_picture)
        recordings = [Media(_links(each), float(each.get("TIME_ORIGIN") or 0) / 1000) for each in media]
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(f"{file} cannot be read as ELAN's: {error}. Save it anew in ELAN") from error
    aligned: dict[str | None, Annotation] = {}
    for tier in document.iter("TIER"):
        timeless = _align(tier, slots, aligned)
        if timeless:
            logger.warning("%s, tier %r: %d without a time are left out", file, tier.get("TIER_ID"), timeless)
    parents = {
        each.get("ANNOTATION_ID"): each.get("ANNOTATION_REF") for each in document.iter("REF_ANNOTATION")
    }
    tiers = {tier.get("TIER_ID"): tier for tier in document.iter("TIER")}
    return recordings, [
        Tier(name or "", _participant(tier, tiers), *_annotations(tier, aligned, parents))
        for name, tier in tiers.items()
    ]


def _has_picture(media: ElementTree.Element) -> bool:
    return not media.get("MIME_TYPE", "").startswith("audio")


def _links(media: ElementTree.Element) -> list[str]:
    links = [*filter(None, map(media.get, ("RELATIVE_MEDIA_URL", "MEDIA_URL")))]
    return [*links, *map(unquote, links)]  # %20 may be a space


def _align(tier: ElementTree.Element, slots: dict, aligned: dict) -> int:
    """Add a tier's annotations to those with times, by id; return how many have none."""
    timeless, run = 0, []
    for annotation in tier.iter("ALIGNABLE_ANNOTATION"):
        run.append(annotation)
        start_s = slots.get(run[0].get("TIME_SLOT_REF1"))
        end_s = slots.get(annotation.get("TIME_SLOT_REF2"))
        if start_s is None:
            timeless += len(run)
        elif end_s is None:
            continue
        else:
            step_s = (end_s - start_s) / len(run)
            for number, each in enumerate(run):
                times = start_s + number * step_s, start_s + (number + 1) * step_s
                aligned[each.get("ANNOTATION_ID")] = Annotation(*times, _text(each))
        run = []
    return timeless + len(run)


def _participant(tier: ElementTree.Element | None, tiers: dict) -> str:
    """Return who speaks in a tier, or else in the one that it explains."""
    for _ in range(DEEPEST):
        if tier is None or tier.get("PARTICIPANT", "").strip():
            break
        tier = tiers.get(tier.get("PARENT_REF"))
    return "" if tier is None else tier.get("PARTICIPANT", "").strip()


def _annotations(
    tier: ElementTree.Element, aligned: dict, parents: dict
) -> tuple[list[Annotation], bool, int]:
    """Return a tier's annotations, whether they explain those of another tier, and how many have no text."""
    texts = defaultdict(list)  # by the id of the annotation that has the times
    for annotation in tier.iter("ALIGNABLE_ANNOTATION"):
        texts[annotation.get("ANNOTATION_ID")].append(_text(annotation))
    for annotation in tier.iter("REF_ANNOTATION"):
        above = annotation.get("ANNOTATION_REF")
        for _ in range(DEEPEST):  # they might go in a circle
            if above in aligned or above not in parents:
                break
            above = parents[above]
        texts[above].append(_text(annotation))
    found = [
        aligned[above]._replace(text=" ".join(filter(None, parts)))
        for above, parts in texts.items()
        if above in aligned and any(parts)
    ]
    empty = sum(above in aligned and not any(parts) for above, parts in texts.items())
    return sorted(found), tier.get("PARENT_REF") is not None, empty


def _text(annotation: ElementTree.Element) -> str:
    return " ".join(annotation.findtext("ANNOTATION_VALUE", "").split())
