"""The settings of a corpus that has none yet, found from what lies at its path."""

from pathlib import Path

from asr.commands.new_language.recipe import Block, committed
from asr.params import SOURCES, Corpus, Filter, FolderColumns, read_yaml
from asr.runtime.errors import CODE
from asr.sources.containers import members
from asr.sources.release import COLUMNS, SPONTANEOUS, TABLES
from asr.sources.user_table import SUFFIXES

USE = ("both", "train | test | both")
FRACTION = 0.1


def archive(path: str, locale: str, sha256: str | None, comment: str | None = None) -> Block:
    """Return the settings of a Common Voice release."""
    return {
        "source": ("archive", "a Common Voice release"),
        "path": (path, comment),
        "sha256": (sha256, "null: not checked"),
        **release(locale),
    }


def release(locale: str) -> Block:
    """Return what the settings of all releases have."""
    return {
        "use": USE,
        "locale": (locale, None),
        "test_fraction": (FRACTION, "of the speakers, where a release has no test split"),
        "add_validated": (False, "true: train on validated.tsv too, less what validation and test share"),
    }


def folder(path: str, table: str | None, locale: str | None) -> Block:
    """Return the settings of a folder of recordings. The nulls are found when it is read."""
    return {
        "source": ("folder", "recordings, and a table or annotations"),
        "path": (path, None),
        "use": USE,
        "locale": (locale, "of its speech; the model card names the language"),
        "table": (table, "relative to the folder; null: what it has"),
        "columns": (dict.fromkeys(FolderColumns.model_fields), "null: found by their usual names"),
        "tiers": (None, "of annotations, names or patterns; null: those that hold what is said"),
        "test_fraction": (FRACTION, "of the speakers, where nothing says the split"),
    }


def of_path(path: Path, locale: str | None) -> Corpus:
    """Recognise a release, packed or unpacked, or a folder of recordings; also by the path of its table.

    Parameters
    ----------
    locale: of the release; None: the only one in it

    Raises
    ------
    FileNotFoundError: nothing is there.
    ValueError: a release of several locales, or a file that is neither an archive nor a table.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"no file or folder {path.absolute()}: give a folder of recordings, a Common Voice release, or a"
            " recipe's folder"
        )
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        return as_corpus(folder(str(path.parent), path.name, locale))
    found = _locales(path)
    if not found and path.is_dir():
        return as_corpus(folder(str(path), None, locale))
    if len(found) > 1 and not locale:
        raise ValueError(f"{path} has the locales {', '.join(sorted(found))}: choose one with --locale")
    return as_corpus(archive(str(path), locale or next(iter(found), ""), None))


def of_root() -> tuple[Filter, int]:
    """Return the root's settings of `filter`, and its window, as a new recipe has them."""
    params = read_yaml(committed(CODE, "params.yaml"))
    return Filter.model_validate(params["filter"]), params["model"]["audio_window_s"]


def as_corpus(block: Block) -> Corpus:
    """Return settings as the sources take them."""
    keys = {key: value for key, (value, _) in block.items()}
    return SOURCES[keys["source"]].model_validate(keys)


def _locales(path: Path) -> set[str]:
    """List the locales of the releases at a path. A folder whose top has tables is called as its locale."""
    before, after = SPONTANEOUS.split("{}")
    found = set()
    for member in members(path):
        home, name = member.name.parent.name, member.name.name
        if name.startswith(before) and name.endswith(after):
            found.add(name.removeprefix(before).removesuffix(after))
        elif name in TABLES and (home or path.is_file() or (path / "clips").is_dir()):
            header = next(member.pieces(), b"").partition(b"\n")[0].decode("utf-8-sig", "replace")
            if {*COLUMNS} <= {*header.strip().split("\t")}:
                found.add(home or path.resolve().name if path.is_dir() else home)
    return found
