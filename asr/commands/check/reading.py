"""The clips of corpora as `download` would bring them; of their sound only what its header says."""

import hashlib
import io
import logging
import sys
from collections.abc import Iterator
from importlib import import_module
from logging.handlers import BufferingHandler
from pathlib import Path, PurePosixPath

import pandas as pd
import soundfile

from asr.audio.decode import LONGEST_S, decode, open_sound
from asr.audio.formats import SUFFIXES
from asr.params import Archive, Corpus, Folder
from asr.sources.containers import members
from asr.sources.metadata import clean_name
from asr.tables.corpus import Clip, id_in

COLUMNS = (
    "corpus", "name", "id", "split", "speaker", "sentence", "problem", "detail", "duration_s", "sound",
    "format", "rate", "channels",
)  # fmt: skip

MOST_LINES = 1_000  # of the log


def read(corpora: dict[str, Corpus]) -> tuple[pd.DataFrame, list[str]]:
    """Read all clips that the corpora's `use` wants.

    Returns
    -------
    columns COLUMNS, and what the sources logged. `name` is the clip's in its corpus, `id` that among all
    corpora; `problem` is one of `features.PROBLEMS`, or ""; `sound` is a hash of the bytes, 0 without any

    Raises
    ------
    OSError, ValueError: as the sources do; or there is no clip.
    """
    log, logger = BufferingHandler(MOST_LINES), logging.getLogger("asr.sources")
    logger.addHandler(log)
    try:
        listed = [row for name, corpus in corpora.items() for row in _rows(name, corpus)]
    finally:
        logger.removeHandler(log)
    rows = pd.DataFrame(listed, columns=COLUMNS)
    if rows.empty:
        raise ValueError(f"no clip that `use` wants in {', '.join(corpora)}")
    return rows, [record.getMessage() for record in log.buffer]


def _rows(corpus_name: str, corpus: Corpus) -> Iterator[tuple]:
    for clip in import_module(f"asr.sources.{corpus.source}").clips(corpus):
        if corpus.use in ("both", "test" if clip.split == "test" else "train"):
            speaker = clip.speaker and sys.intern(id_in(corpus_name, clip.speaker))
            names = corpus_name, clip.id, id_in(corpus_name, clip.id)
            yield *names, clip.split, speaker, clip.sentence, *_sound(clip)


def _sound(clip: Clip) -> tuple[str, str, float, int, str, int, int]:
    """Return problem, detail, seconds, hash, format, rate and channels of a clip."""
    if clip.problem or not clip.audio:
        return clip.problem or "no_audio", clip.detail, 0.0, 0, "", 0, 0
    digest = int.from_bytes(hashlib.blake2b(clip.audio, digest_size=7).digest())
    try:
        with open_sound(io.BytesIO(clip.audio)) as sound:
            kind = sys.intern("/".join(sound.format.upper().split(",")[:3])), sound.samplerate, sound.channels
            is_soundfile = isinstance(sound, soundfile.SoundFile)
            seconds = sound.frames / sound.samplerate if is_soundfile else sound.stated_s
        if not 0 < seconds <= LONGEST_S:  # the header does not know
            samples, rate = decode(clip.audio)
            seconds = len(samples) / rate
        return "", "", seconds, digest, *kind
    except (ValueError, OverflowError, EOFError) as error:
        problem = {OverflowError: "too_large", EOFError: "cut_off"}.get(type(error), "undecodable")
        return problem, str(error), 0.0, digest, "", 0, 0


def without_row(corpus: Corpus, names: set[str]) -> list[str]:
    """List the recordings beside those of a corpus, in its folder or archive, that are none of its clips.

    Parameters
    ----------
    names: of the clips
    """
    if not isinstance(corpus, Archive | Folder):
        return []
    there = (clean_name(str(member.name)) for member in members(Path(corpus.path)))
    recordings = [name for name in map(PurePosixPath, there) if name.suffix.lower() in SUFFIXES]
    if isinstance(corpus, Archive):
        homes = {each.parent for each in recordings if each.name in names}
        return [each.name for each in recordings if each.parent in homes and each.name not in names]
    used = names | {name.rpartition("#")[0] for name in names}  # the latter of parts of a recording
    return [str(each) for each in recordings if str(each) not in used]


def place(corpus: Corpus) -> str:
    """Return what stands before a clip's name where a message says its path."""
    return f"{corpus.path}/" if Path(corpus.path).is_dir() else f"{corpus.path}: "
