"""A Common Voice release, scripted or spontaneous, read as it is: https://github.com/common-voice/cv-dataset.

The tables may come after the clips in an archive, and a corpus does not fit in memory, so the archive
is read twice: once for the tables (which stops as soon as it has them) and once for the clips.

Columns differ between releases, so they are looked up by name.
"""

import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path, PurePosixPath

from asr.params import Release
from asr.sources.containers import Member, members
from asr.sources.held_out import divide
from asr.sources.metadata import Row, clean_name, read_release_table
from asr.tables.corpus import MAX_CLIP_BYTES, Clip

VALIDATED = "validated.tsv"  # has the rows of the three others too
TABLES = {"train.tsv": "train", "dev.tsv": "validation", "test.tsv": "test", VALIDATED: "validated"}
COLUMNS = ["path", "client_id", "sentence"]  # of every release since 2019
SPONTANEOUS = "ss-corpus-{}.tsv"  # the one table of a locale's spontaneous speech
SPONTANEOUS_COLUMNS = ["audio_file", "client_id", "transcription"]
SPONTANEOUS_SPLITS = {"train": "train", "dev": "validation", "test": "test", "unassigned": "unassigned"}
HINT = "is it a Common Voice release?"
logger = logging.getLogger(__name__)


def read_release(path: Path, corpus: Release) -> Iterator[Clip]:
    """Read the clips of a release, in the archive's order.

    Of scripted speech these are the clips of train, dev and test. With `add_validated`, those of
    validated.tsv come too; a clip that is also in one of the three tables keeps that table's split. Of
    spontaneous speech they are all that are transcribed. A release without test clips, as delta releases
    are, is divided into train and test by speaker. Listed clips that are not in the archive come last,
    without audio.
    """
    folder, missing = _list(path, corpus.locale, corpus.add_validated)
    if not any(clip.split == "test" for clip in missing.values()):
        missing = {clip.id: clip for clip in divide(list(missing.values()), corpus)}
    n_listed = len(missing)
    for member in members(path):
        inside = member.name.is_relative_to(folder)
        clip = missing.pop(clean_name(str(member.name.relative_to(folder))), None) if inside else None
        if clip and member.size > MAX_CLIP_BYTES:
            yield replace(clip, problem="too_large", detail=f"{member.size} bytes")
        elif clip:
            yield replace(clip, audio=member.read())
    if len(missing) == n_listed:
        raise ValueError(f"{path}: none of the {n_listed} clips listed in {folder.parent} is in {folder}")
    if missing:
        logger.warning("%s: %d of %d listed clips are missing", path, len(missing), n_listed)
    yield from missing.values()


def _list(path: Path, locale: str, validated: bool) -> tuple[PurePosixPath, dict[str, Clip]]:
    """Return the folder of a locale's clips, and these by id, without audio."""
    wanted = {name: split for name, split in TABLES.items() if name != VALIDATED or validated}
    folder, found = _read_tables(path, locale, wanted)
    if not found.keys() - {VALIDATED}:  # a delta release has no splits
        wanted = {VALIDATED: "train"}
        folder, found = _read_tables(path, locale, wanted)
    if not found:
        others = {_locale(member.name) for member in members(path)} - {None}
        raise ValueError(
            f"{path}: no tables {', '.join(TABLES)} in a folder {locale!r}, and no"
            f" {SPONTANEOUS.format(locale)}; it has {', '.join(sorted(others)) or 'no release'}: set"
            " locale"
        )
    absent = [name for name in wanted if name not in found and name != "dev.tsv"]
    if absent and SPONTANEOUS.format(locale) not in found:
        without = ", or set add_validated to false" if absent == [VALIDATED] else ""
        raise ValueError(
            f"{path}: {folder.parent} has no {' and no '.join(absent)}: give a whole release{without}"
        )
    listed: dict[str, Clip] = {}
    again = 0
    for clip in chain(*found.values()):
        split = listed.setdefault(clip.id, clip).split
        if split != clip.split and clip.split != "validated":
            raise ValueError(
                f"{path}: clip {clip.id!r} is listed in both {split} and {clip.split}:"
                " a release's splits share no clip, so the archive is not as released; get it anew"
            )
        again += split == clip.split and listed[clip.id] is not clip
    if again:
        logger.warning("%s: %d rows of a clip that their table has listed already are left out", path, again)
    if not listed:
        raise ValueError(f"{path}: the tables of {folder.parent} list no transcribed clip")
    return folder, listed


def _read_tables(
    path: Path, locale: str, wanted: dict[str, str]
) -> tuple[PurePosixPath, dict[str, list[Clip]]]:
    """Find a locale's tables; return the folder of its clips, and these by table, in the order of `wanted`.

    Reads no more of the archive than that takes.
    """
    tables: dict[PurePosixPath, dict[str, list[Clip]]] = {}  # by folder
    for member in members(path):
        home, name, where = member.name.parent, member.name.name, f"{path}: {member.name}"
        if name == SPONTANEOUS.format(locale):
            return home / "audios", {name: list(_spontaneous(member, where))}
        if name in wanted and home.name in (locale, ""):  # "" is no folder, as in early 2019
            found = tables.setdefault(home, {})
            found[name] = list(_scripted(member, wanted[name], where, locale))
            if len(found) == len(wanted):
                break
    if not tables:
        return PurePosixPath(), {}
    home, found = max(tables.items(), key=lambda item: (item[0].name == locale, len(item[1])))
    return home / "clips", {name: found[name] for name in wanted if name in found}


def _locale(name: PurePosixPath) -> str | None:
    """Return the locale of a table by its name, None for other files."""
    before, after = SPONTANEOUS.split("{}")
    if name.name.startswith(before) and name.name.endswith(after):
        return name.name.removeprefix(before).removesuffix(after)
    return name.parent.name if name.name in TABLES else None


def _scripted(member: Member, split: str, where: str, locale: str) -> Iterator[Clip]:
    if not member.size:
        return
    for row in read_release_table(member.pieces(), where, COLUMNS, HINT):
        other = row.get("locale") or locale
        if not member.name.parent.name and other != locale:
            raise ValueError(f"{where} is of locale {other!r}: set locale to that")
        yield _clip(row, row["path"], split, row["sentence"])


def _spontaneous(member: Member, where: str) -> Iterator[Clip]:
    """List the clips of a table of spontaneous speech, less those that nobody has transcribed yet."""
    rows = read_release_table(member.pieces(), where, SPONTANEOUS_COLUMNS, HINT)
    untranscribed = 0
    for row in rows:
        split = row.get("split") or "unassigned"
        if split not in SPONTANEOUS_SPLITS:
            raise ValueError(
                f"{where}: {row['audio_file']!r} is of split {split!r}, which is none of"
                f" {', '.join(SPONTANEOUS_SPLITS)}"
            )
        if row["transcription"].strip():
            yield _clip(row, row["audio_file"], SPONTANEOUS_SPLITS[split], row["transcription"])
        else:
            untranscribed += 1
    if untranscribed:
        logger.info("%s: %d recordings are not transcribed yet, and left out", where, untranscribed)


def _clip(row: Row, file: str, split: str, sentence: str) -> Clip:
    file = clean_name(file)
    if not PurePosixPath(file).suffix:
        file += ".mp3"  # releases of 2019 leave it out
    return Clip(
        id=file,
        split=split,
        speaker=sys.intern(row["client_id"]),  # the same text in many rows, of which there are millions
        sentence=sentence,
        gender=sys.intern(row.get("gender", "")),
        age=sys.intern(row.get("age", "")),
        accent=sys.intern(row.get("accents", row.get("accent", ""))),
    )
