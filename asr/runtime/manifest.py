"""A list of a folder's files with their checksums: it tells whether all are there, as they were written."""

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path

NAME, PART = "whole", "whole.part"


def write(folder: Path) -> None:
    """List a folder's files in `folder/whole`, which appears when all are on the disk, and not before.

    A power cut leaves either a folder without a list or one that is whole.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            _flush(path)
        elif path not in (folder / NAME, folder / PART):
            with path.open("rb") as file:
                os.fsync(file.fileno())
                checksum = hashlib.file_digest(file, "sha256").hexdigest()
            files[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size, "sha256": checksum}
    _flush(folder)
    _flush(folder.parent)
    _replace(folder, files)


def drop(folder: Path, names: Collection[str]) -> None:
    """Remove files from a listed folder, which stays whole at every moment."""
    files = _read(folder)
    _replace(folder, {name: file for name, file in files.items() if name not in names})
    for name in names:
        (folder / name).unlink(missing_ok=True)


def damage(folder: Path) -> str | None:
    """Find what is wrong with a listed folder; None if it is as it was written."""
    try:
        files = _read(folder)
        for name, expected in files.items():
            size = (folder / name).stat().st_size
            if size != expected["size"]:
                return f"{name} has {size} bytes, not {expected['size']}"
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected["sha256"]:
                    return f"{name} has another checksum than when it was written"
    except FileNotFoundError as error:
        return f"{Path(error.filename).relative_to(folder)} is missing"
    except (OSError, ValueError, KeyError) as error:
        return f"it cannot be read: {error}"
    return None


def _read(folder: Path) -> dict[str, dict]:
    return json.loads((folder / NAME).read_text(encoding="utf-8"))["files"]


def _replace(folder: Path, files: dict[str, dict]) -> None:
    with (folder / PART).open("w", encoding="utf-8") as file:
        json.dump({"files": files}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    (folder / PART).rename(folder / NAME)
    _flush(folder)


def _flush(folder: Path) -> None:
    """Have a folder's entries on the disk: a file can be there while its name is not."""
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
