"""Which column of a user's table is which: by the name that params give, or else by its usual names."""

import difflib
import re
from collections.abc import Callable, Iterable
from itertools import zip_longest

USUAL = {
    "audio": (
        "path", "file", "filename", "file_name", "audio", "audio_filepath", "audio_path", "audio_file",
        "file_path", "wav", "wav_filename", "recording", "clip",
    ),
    "sentence": ("sentence", "text", "transcription", "transcript"),
    "speaker": ("speaker", "client_id", "speaker_id"),
    "split": ("split", "subset"),
    # Where a recording has several texts: times as `segments.seconds` reads them.
    "start": ("start", "start_time", "start_s", "start_sec", "begin", "begin_time", "offset", "onset"),
    "end": ("end", "end_time", "end_s", "end_sec", "stop", "stop_time"),
    "duration": ("duration", "duration_s", "duration_sec"),
}  # fmt: skip
REQUIRED = ("audio", "sentence")
SHOWN = 20  # columns in a message


def find(
    named: dict[str, str | None], header: list[str], table: str, log: Callable[..., None]
) -> dict[str, str]:
    """Choose a column for each key of USUAL; log which. Case, spaces, hyphens and underscores do not matter.

    Parameters
    ----------
    named: a column for each key of USUAL; None: the first of the usual names that the table has, if any

    Raises
    ------
    ValueError: no such column, none for a required key, or more than one of the name.
    """
    shown = ", ".join([*filter(None, header)][:SHOWN]) + ", …" * (len(header) > SHOWN) or "none"
    found = {}
    for key, name in named.items():
        setting = f"columns.{key}"
        columns = _columns(key, name, header)
        if len(columns) > 1:
            several = ", ".join(map(repr, columns))
            raise ValueError(f"{table}: more than one column for {key}, {several}: rename all but one")
        if columns:
            found[key] = columns[0]
        elif name:
            near = difflib.get_close_matches(_plain(name), map(_plain, header), 1)
            meant = [f"did you mean {column!r}? " for column in header if _plain(column) in near][:1]
            raise ValueError(
                f"{table}: no column {name!r} among {shown}: {''.join(meant)}Set {setting}; null finds it by"
                " its usual names"
            )
        elif key in REQUIRED:
            usual = ", ".join(USUAL[key])
            raise ValueError(
                f"{table}: no column for {key} among {shown}: set {setting} to its name. If the first line"
                f" does not name the columns, add one that does. Usual names are {usual}"
            )
    taken = ", ".join(f"{key} is {found[key]!r}" if key in found else f"{key} has none" for key in named)
    log("%s: of its columns %s", table, taken)
    return found


def by_number(rows: list[list[str]], table: str, mark: str) -> tuple[dict[str, str | None], list[str]]:
    """Choose columns for a table without a header, the first of which names files; return them and a header.

    Parameters
    ----------
    rows: some of the first
    mark: separates fields

    Raises
    ------
    ValueError: several columns have long texts. Between `|` the last is taken, LJSpeech's normalised text.
    """
    cells = list(zip_longest(*rows, fillvalue=""))
    header = [f"column {number}" for number in range(1, len(cells) + 1)]
    sizes = {name: len("".join(column)) for name, column in zip(header[1:], cells[1:], strict=True)}
    texts = [name for name, size in sizes.items() if 3 * size > max(sizes.values())]
    if len(texts) != 1 and not (texts and mark == "|"):
        raise ValueError(
            f"{table} has no line that names its columns, and which one has the sentences is not clear"
            f" ({', '.join(texts or sizes)}): add a first line, such as path{mark}sentence"
        )
    named = dict.fromkeys(USUAL) | {"audio": header[0], "sentence": texts[-1]}
    if len(header) == 3 and len(texts) == 1:
        speakers = [*filter(None, cells[3 - header.index(texts[0])])]
        if len(set(speakers)) < len(speakers) and "." not in "".join(speakers):  # nor durations
            named["speaker"] = header[3 - header.index(texts[0])]
    return named, header


def matches(named: dict[str, str | None], header: list[str], keys: Iterable[str] = USUAL) -> int:
    """Count the keys for which `find` would find a column."""
    return sum(bool(_columns(key, named.get(key), header)) for key in keys)


def _columns(key: str, name: str | None, header: list[str]) -> list[str]:
    if name in header:
        return [column for column in header if column == name]
    for usual in [name] if name else USUAL[key]:
        columns = [column for column in header if _plain(column) == _plain(usual)]
        if columns:
            return columns
    return []


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()
