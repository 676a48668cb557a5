"""What a folder of recordings has for transcripts: tables, or the files of a layout that is known."""

import logging
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path, PurePath

from asr.sources import annotations, kaldi, workbook
from asr.sources.containers import file_pieces
from asr.sources.files import Files
from asr.sources.lines import read_lines
from asr.sources.metadata import Row
from asr.sources.user_table import MOST_LINES, SUFFIXES, Columns, is_table, read_table
from asr.tables import corpus

# The words of the model hub: https://huggingface.co/docs/datasets/repository_structure
SPLITS = {name: name for name in corpus.SPLITS} | {
    "training": "train", "valid": "validation", "val": "validation", "dev": "validation", "testing": "test",
    "eval": "test", "evaluation": "test",
}  # fmt: skip
SURE = (".tsv", ".csv", ".jsonl", *workbook.SUFFIXES)  # is a table, whatever is in it
SHOWN = 5  # files in a message or the log
HINT = (
    f"It takes the audio files and a table ({', '.join(SUFFIXES)}) with a row per file, or what else"
    " docs/corpora.md lists: set path and table; without any, `make sample`"
)
_WORD = re.compile(rf"(?<![a-z])(?:{'|'.join(SPLITS.keys() - corpus.ADDED)})(?![a-z])")
_LIBRISPEECH = re.compile(r".*\.trans\.txt|transcripts\.txt")  # the latter in Multilingual LibriSpeech
_LIBRISPEECH_ID = re.compile(r"(\d+)[-_]\d+[-_]\d+")  # speaker, chapter, utterance
Read = Callable[..., Iterator[Row]]
Log = Callable[..., None]
logger = logging.getLogger(__name__)


def split_of(path: PurePath) -> str | None:
    """Return the split of which a path speaks: in its last part that has a word for one, by the last such."""
    words = (_WORD.findall(part.casefold()) for part in reversed(path.parts))
    return next((SPLITS[found[-1]] for found in words if found), None)


def read_rows(
    files: Files, table: str | None, columns: Columns, tiers: str | list[str] | None
) -> Iterator[tuple[str, str, Row]]:
    """Read the named table, or what there is first of tables, data folders of Kaldi, annotations and texts.

    Yields
    ------
    where the row is, for messages; the folder that its recording's name is relative to; and the row, with
    texts under the keys of `columns`

    Raises
    ------
    FileNotFoundError: no such table, or nothing that is known.
    ValueError: an ill-formed file, or it is unclear which tables or tiers are meant.
    """
    rows = []
    if table:
        found, read = {_named(files.root, table): None}, _read_table
    else:
        found, read = _nearest(files, columns)
    if found:
        annotations.warn_of_others(files.root, next(iter(found)))
    else:
        rows = annotations.read(files.root, files.names(), tiers)
        found, read = {} if rows else dict.fromkeys(_texts(files)), _read_text
    if not found and not rows:
        raise FileNotFoundError(f"no table and no annotations in {files.root}. {HINT}")
    for number, row in enumerate(rows, 1):
        yield f"{files.root}, annotation {number}", ".", row
    for index, (file, split) in enumerate(found.items()):
        log = logger.info if index < SHOWN else logger.debug
        known = {"split": split} if split else {}
        home = _home(file, files)
        for number, row in enumerate(read(file, files, columns, log), 1):
            yield f"{file}, row {number}", home, known | row


def _named(root: Path, name: str) -> Path:
    table = root / name
    if not table.is_file():
        raise FileNotFoundError(f"no table {table}. {HINT}")
    if table.suffix.lower() not in SUFFIXES:
        raise ValueError(f"table {name!r} has to be one of {', '.join(SUFFIXES)}")
    return table


def _nearest(files: Files, columns: Columns) -> tuple[dict[Path, str | None], Read]:
    """Return tables or data folders, those that are nearest to the folder, with the splits that they say."""
    kinds = (("tables", _is_table, _read_table), ("data folders of Kaldi", kaldi.is_data_folder, kaldi.read))
    for depth, level in enumerate(_levels(files.root)):
        for kind, tells, read in kinds:
            found = [file for file in level if tells(file, files, columns)]
            others = [file for file in level if file.suffix.lower() in SURE and file not in found]
            if found:
                logger.info("%s: %s are read: %s", files.root, kind, _some(files.root, found))
            if found and others:
                logger.warning("no table of clips, and left out: %s", _some(files.root, others))
            if found:
                return _splits(files.root, found), read
        if others and not depth:
            return _splits(files.root, others), _read_table
    return {}, _read_table


def _levels(folder: Path) -> Iterator[list[Path]]:
    """List the files that may have transcripts: of a folder, then of those in it, and so on."""
    folders = [folder]
    while folders:
        level, below = [], []
        for entry in chain.from_iterable(map(os.scandir, folders)):
            if entry.name.startswith((".", "~$")):  # ~$: a lock
                continue
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.path)
            elif entry.name == kaldi.TEXT or os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                level += [Path(entry.path)] if entry.is_file() else []
        yield sorted(level)
        folders = below


def _splits(root: Path, found: list[Path]) -> dict[Path, str | None]:
    """Choose among files by the splits that their paths say. None: they have to be told by other means.

    Raises
    ------
    ValueError: there are several, and some without a split.
    """
    splits = {file: split_of(file.relative_to(root)) for file in found}
    unclear = [file for file in found if not splits[file]]
    if len(unclear) == len(found) and len({file.parent for file in found}) == len(found):
        return dict.fromkeys(found)  # one, or one in each folder
    if unclear and "train" not in splits.values():
        raise ValueError(
            f"{root} has several tables ({_some(root, found)}): set table to one, or name them"
            " by their splits, train.csv and test.csv"
        )
    if unclear:
        logger.warning("left out, because they say no split: %s", _some(root, unclear))
    splits = {file: split for file, split in splits.items() if split}
    if len(set(splits.values())) == 1 or "test" not in splits.values():
        return dict.fromkeys(splits)
    logger.info("the splits are those of their names")
    return splits


def _some(root: Path, found: list[Path]) -> str:
    names = (str(file.relative_to(root)) for file in found[:SHOWN])
    return ", ".join(names) + ", …" * (len(found) > SHOWN)


def _home(file: Path, files: Files) -> str:
    return os.path.relpath(file.parent, files.root)


def _names_recording(file: Path, files: Files, name: str) -> bool:
    return not files.find(name, _home(file, files))[1]


def _is_table(file: Path, files: Files, columns: Columns) -> bool:
    if file.suffix.lower() not in SUFFIXES or _is_text(file, files):
        return False
    if file.name == "segments.txt" and (file.parent / "transcripts.txt").is_file():
        return False  # of Multilingual LibriSpeech: where a recording is from
    return is_table(partial(file_pieces, file), str(file), columns, partial(_names_recording, file, files))


def _read_table(file: Path, files: Files, columns: Columns, log: Log) -> Iterator[Row]:
    names_file = partial(_names_recording, file, files)
    for row in read_table(partial(file_pieces, file), str(file), columns, names_file, log):
        known = _LIBRISPEECH_ID.fullmatch(row["audio"]) if _LIBRISPEECH.fullmatch(file.name) else None
        yield {"speaker": known[1]} | row if known else row


def _texts(files: Files) -> list[Path]:
    paths = [files.root / path for paths in files.names().values() for path in paths]
    return sorted(file for file in paths if _is_text(file, files))


def _is_text(file: Path, files: Files) -> bool:
    return file.suffix.lower() == ".txt" and _names_recording(file, files, file.stem)


def _read_text(file: Path, files: Files, columns: Columns, log: Log) -> Iterator[Row]:
    """Read what is spoken in the recording of the same name. A folder is a speaker, but not in a split's."""
    lines = islice(read_lines(file_pieces(file), str(file), log), MOST_LINES)
    sentence = " ".join(filter(None, map(str.strip, lines)))
    folder = file.parent.relative_to(files.root)
    yield {"audio": file.stem, "sentence": sentence, "speaker": "" if split_of(folder) else folder.name}
