"""A test set for a corpus that comes without one."""

import hashlib
import logging
import unicodedata
from dataclasses import replace

from asr.params import Folder, Release
from asr.tables.corpus import Clip

logger = logging.getLogger(__name__)


def divide(listed: list[Clip], corpus: Folder | Release) -> list[Clip]:
    """Give splits to a corpus that has none: all train, all test, or a fraction test, as its `use` says."""
    if corpus.use == "both":
        return hold_out(listed, corpus.test_fraction)
    return [replace(clip, split=corpus.use) for clip in listed]


def hold_out(listed: list[Clip], fraction: float) -> list[Clip]:
    """Move a fraction of the speakers to test, or of the sentences if fewer than two speakers are named.

    Clips without a speaker stay in train if others have one: they could be anyone's. Speakers are chosen by
    hash, so that a new clip moves few others.

    Raises
    ------
    ValueError: fewer than two speakers and fewer than two sentences.
    """
    unit, keys = "speakers", [clip.speaker for clip in listed]
    if len(set(keys) - {""}) < 2:
        unit, keys = "sentences", [_spelling(clip.sentence) for clip in listed]
    known = sorted(set(keys) - {""}, key=lambda key: hashlib.sha256(key.encode()).digest())
    if len(known) < 2:
        raise ValueError(
            "the corpus has no test clips, and fewer than two speakers and two sentences, so there is nothing"
            " to hold out for testing: add recordings, or say in the table which clips are for testing"
        )
    held_out = set(known[: min(max(1, round(fraction * len(known))), len(known) - 1)])
    logger.info("no test split: %d of %d %s are test, chosen by hash", len(held_out), len(known), unit)
    return [
        replace(clip, split="test" if key in held_out else "train")
        for clip, key in zip(listed, keys, strict=True)
    ]


def _spelling(sentence: str) -> str:
    return " ".join(unicodedata.normalize("NFC", sentence).split())
