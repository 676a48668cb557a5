"""Which column of a user's table is which: by the name that params give, or else by its usual names."""

import difflib
import logging
import re

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
logger = logging.getLogger(__name__)


def find(named: dict[str, str | None], header: list[str], table: str) -> dict[str, str]:
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
    logger.info("%s: of its columns %s", table, taken)
    return found


def matches(named: dict[str, str | None], header: list[str]) -> int:
    """Count the keys for which `find` would find a column."""
    return sum(bool(_columns(key, name, header)) for key, name in named.items())


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
