"""Recordings with annotations beside them: of ELAN, Praat or Audacity, or subtitles."""

import logging
import os
import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from asr.audio.formats import SUFFIXES
from asr.sources import cues, elan, praat
from asr.sources.metadata import Row, clean_name
from asr.sources.tiers import SHOWN, Tier, choose, described

# Of a recording that has several, the first is read.
READERS = {
    ".eaf": elan.read,
    ".textgrid": praat.read,
    ".vtt": cues.read_subtitles,
    ".srt": cues.read_subtitles,
    ".txt": cues.read_labels,
}
LARGEST = 64 * 2**20  # bytes, of an annotation file
LOSSLESS = (".wav", ".flac")  # taken before others of the same name
Names = dict[str, list[str]]  # a folder's files by `clean_name` in lower case
logger = logging.getLogger(__name__)


def find(names: Names) -> list[str]:
    """List the annotation files of a folder, in the order to read them; a .txt only beside a recording."""
    recorded = _recordings(names)
    kinds = {kind: number for number, kind in enumerate(READERS)}
    found = [
        (kinds[_kind(name)], _stem(name), name)
        for name in _visible(names)
        if _kind(name) in kinds and (_kind(name) != ".txt" or _stem(name) in recorded)
    ]
    return [name for *_, name in sorted(found)]


def read(root: Path, names: Names, patterns: str | list[str] | None) -> list[Row]:
    """Read the annotation files of a folder, if it has any; return a row for each text.

    Parameters
    ----------
    patterns: of the names of tiers, as `tiers.choose` takes them

    Raises
    ------
    ValueError: a file cannot be read, it is not clear which tiers to take, or none has a text.
    """
    patterns = [patterns] if isinstance(patterns, str) else patterns
    recorded = _recordings(names)
    read: dict[str, tuple[str, float, list[Tier]]] = {}  # by recording
    left: list[Tier] = []
    empty = []  # files of which no tier that is taken has a text
    for name in find(names):
        file, media, tiers = root / name, [], None
        if file.stat().st_size > LARGEST:
            raise ValueError(
                f"{file}: over {LARGEST >> 20} MiB, which is no annotation of speech: move it away"
            )
        if _kind(name) == ".eaf":
            media, tiers = elan.read(file)
        recording, origin_s = _recording(name, media, names, recorded)
        if recording in read:
            logger.warning("%s is left out: %s is read for %r", name, read[recording][0], recording)
            continue
        tiers = READERS[_kind(name)](file) if tiers is None else tiers
        if tiers is None:
            continue  # a .txt with something else in it
        taken = choose(tiers, patterns, str(file)) if _kind(name) in (".eaf", ".textgrid") else tiers
        left += [tier for tier in tiers if all(tier is not other for other in taken)]
        if any(tier.annotations for tier in taken):
            read[recording] = name, origin_s, taken
        else:
            empty.append(name)
    if empty and not read:
        asked = f" that matches {', '.join(patterns)} (the corpus' tiers)" if patterns else ""
        raise ValueError(f"{root}: no tier{asked} has a text; there are {described(left) or 'none'}")
    if not read:
        return []
    if empty:
        some = ", ".join(empty[:SHOWN]) + ", …" * (len(empty) > SHOWN)
        logger.warning("%d annotation files have no text to take: %s", len(empty), some)
    taken = [tier for *_, tiers in read.values() for tier in tiers]
    _report(len(read), taken, left)
    several = len({tier.name for tier in taken if tier.annotations} - {""}) > 1
    return [
        {
            "audio": recording,
            "sentence": text,
            "speaker": tier.participant or (tier.name if several else ""),
            "start": f"{start_s + origin_s:.6f}",
            "end": f"{end_s + origin_s:.6f}",
        }
        for recording, (_, origin_s, tiers) in read.items()
        for tier in tiers
        for start_s, end_s, text in tier.annotations
    ]


def warn_of_others(root: Path, table: Path) -> None:
    """Log if a folder whose table is read has annotations of ELAN or Praat too."""
    for folder, _, files in os.walk(root):
        found = [file for file in files if _kind(file) in (".eaf", ".textgrid")]
        if found:
            logger.warning("%s is read, and no annotations, such as %s", table, Path(folder, found[0]))
            return


def _recording(
    name: str, media: list[elan.Media], names: Names, recorded: dict[str, str]
) -> tuple[str, float]:
    """Return the recording of an annotation file, and where in it the time 0 is.

    It is one that the file names, or one with the file's name, beside it or elsewhere in the folder. If there
    is none, the name that it should have is returned.
    """
    folder = posixpath.dirname(name)
    for each in media:
        for link in each.links:
            for place in (link, posixpath.basename(clean_name(link))):
                found = names.get(clean_name(posixpath.join(folder, place)).casefold())
                if found:
                    return found[0], each.origin_s
    expected = [posixpath.basename(clean_name(link)) for each in media for link in each.links]
    stems = [_stem(name), *map(posixpath.basename, map(_stem, [*expected, name]))]
    known = [recorded[stem] for stem in stems if stem in recorded]
    missing = posixpath.join(folder, expected[0]) if expected else posixpath.splitext(name)[0]
    return [*known, missing][0], media[0].origin_s if media else 0.0


def _recordings(names: Names) -> dict[str, str]:
    """List the recordings of a folder by `_stem`, and by the last part of it where one is meant."""
    found, anywhere = {}, defaultdict(list)
    audio = [name for name in _visible(names) if _kind(name) in SUFFIXES]
    for name in sorted(audio, key=lambda name: (_kind(name) not in LOSSLESS, name)):
        if found.setdefault(_stem(name), name) == name:
            anywhere[posixpath.basename(_stem(name))].append(name)
    return {stem: paths[0] for stem, paths in anywhere.items() if len(paths) == 1} | found


def _visible(names: Names) -> Iterable[str]:
    return (
        name for several in names.values() for name in several if not PurePosixPath(name).name.startswith(".")
    )


def _kind(name: str) -> str:
    return posixpath.splitext(name)[1].lower()


def _stem(name: str) -> str:
    return posixpath.splitext(clean_name(name))[0].casefold()


def _report(n_recordings: int, taken: list[Tier], left: list[Tier]) -> None:
    """Log which tiers were taken and which were not, with the number of their texts."""
    logger.info(
        "%d recordings with annotations, %d texts", n_recordings, sum(len(t.annotations) for t in taken)
    )
    for what, tiers in (("taken", taken), ("left out", left)):
        counts = Counter()
        for tier in tiers:
            counts[tier.name] += len(tier.annotations)
        counts.pop("", None)
        if counts:
            some = ", ".join(f"{name!r} ({n} texts)" for name, n in counts.most_common(SHOWN))
            logger.info("tiers %s: %s%s", what, some, ", …" * (len(counts) > SHOWN))
    empty = sum(tier.n_empty for tier in taken)
    if empty:
        logger.warning("%d annotations without a text are left out", empty)
