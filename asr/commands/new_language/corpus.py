"""What there is of a language: a release, a folder of recordings, or a text; and how a recipe names it."""

import argparse
import hashlib
import os
from pathlib import Path

from asr.commands.check import settings
from asr.commands.new_language.recipe import Block
from asr.params import Archive, Corpus
from asr.runtime.errors import CODE
from asr.sources.mdc import CORPORA


def read_lines(path: Path) -> list[str]:
    """Read a text with a sentence on each line.

    Raises
    ------
    FileNotFoundError: no such file.
    ValueError: not UTF-8, or empty.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"--text: {path} is not UTF-8 ({error.reason}): save it as UTF-8") from error
    if not lines:
        raise ValueError(f"--text: {path} is empty")
    return lines


def find_archive(locale: str) -> Path | None:
    """Find the locale's release in corpora/; None unless there is exactly one."""
    suffixes = ("tar", "tar.gz", "zip")
    names = (f"{kind}-corpus-*-{locale}.{suffix}" for kind in ("cv", "sps") for suffix in suffixes)
    found = [path for name in names for path in (CODE / CORPORA).glob(name) if path.is_file()]
    return found[0] if len(found) == 1 else None


def readable(args: argparse.Namespace) -> Corpus | None:
    """Return the settings by which a corpus can be read from here; None if it is not there."""
    if args.archive:
        return settings.as_corpus(settings.archive(str(args.archive), args.locale, None))
    found = settings.of_path(args.folder, args.locale) if args.folder else None
    if isinstance(found, Archive):
        raise ValueError(f"--folder: {args.folder} is a Common Voice release: give it as --archive")
    return found


def block(args: argparse.Namespace, folder: Path, found: Corpus | None) -> Block:
    """Return a corpus' keys with their values and comments, as the recipe's params.yaml is to have them."""
    if args.folder:
        return settings.folder(seen_from(folder, Path(found.path)), found.table, args.locale)
    if args.mdc:
        anchor = seen_from(folder, CODE / CORPORA / "README.md")
        return {
            "source": ("mdc", "Mozilla Data Collective"),
            "path": (anchor, "of what is there, nothing here can be watched"),
            "dataset": (args.mdc, "id or slug"),
            **settings.release(args.locale),
        }
    path = seen_from(folder, args.archive or CODE / CORPORA / f"cv-corpus-{args.locale}.tar.gz")
    if not args.archive:
        return settings.archive(path, args.locale, None, "to be set")
    return settings.archive(path, args.locale, sha256(args.archive) if args.archive.is_file() else None)


def seen_from(folder: Path, path: Path) -> str:
    """Return a path as the recipe's stages need it: relative within the repository, else absolute."""
    path, root = path.resolve(), CODE.resolve()
    return os.path.relpath(path, folder.resolve()) if root in path.parents else str(path)


def sha256(path: Path) -> str:
    """Return the checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
