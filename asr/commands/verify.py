"""Read every file in DVC's cache, and remove those that are no longer what their name says.

    asr verify

DVC takes a cached file for whole if it is read-only, which it makes them all: what a failing disk, or a
program that wrote through a hard link, has changed comes back with the next `dvc checkout`, without a
word. Once it is removed, `dvc repro` makes it again, or `dvc pull` brings it. Exit code 1 if there was one.
"""

import argparse
import hashlib
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from dvc.exceptions import NotDvcRepoError
from dvc.repo import Repo

OBJECT = re.compile(r"[0-9a-f]{30}(\.dir)?")  # after the two characters that name its folder
logger = logging.getLogger("verify")


def damaged(cache: Path) -> Iterator[Path]:
    """Yield the files of a DVC cache, `files/md5`, whose checksum is not the one in their name."""
    for path in sorted(cache.glob("??/*")):
        if OBJECT.fullmatch(path.name):
            with path.open("rb") as file:
                checksum = hashlib.file_digest(file, "md5").hexdigest()
            if checksum != path.parent.name + path.name.removesuffix(".dir"):
                yield path


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="asr verify", description=__doc__.splitlines()[0])
    parser.parse_args(argv)
    try:
        with Repo() as repo:
            cache = Path(repo.cache.local.path)
    except NotDvcRepoError as error:
        sys.exit(f"verify: {error}")
    found = list(damaged(cache))
    for path in found:
        logger.warning("%s is damaged (%d bytes): removed", path, path.stat().st_size)
        path.unlink()
    if found:
        sys.exit(f"verify: {len(found)} damaged: `dvc repro` makes what is missing, `dvc pull` brings it")
    logger.info("%s is whole", cache)
