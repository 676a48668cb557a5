"""Check every file in DVC's cache, and remove those that are damaged.

DVC trusts a cached file if it is read-only, and all are. What a failing disk changed, or a program that wrote
through a hard link, comes back with the next `dvc checkout`, without a warning. A removed file is made again
by `dvc repro`, or fetched by `dvc pull`. The exit code is 1 if a file was damaged.
"""

import hashlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from asr.commands import arguments

NAME = re.compile(r"[0-9a-f]{30}(\.dir)?")  # after the two characters that name the folder
logger = logging.getLogger("verify")


def damaged(cache: Path) -> Iterator[Path]:
    """Yield the files of a cache, `files/md5`, whose MD5 is not the one in their name."""
    for path in sorted(cache.glob("??/*")):
        if NAME.fullmatch(path.name):
            with path.open("rb") as file:
                checksum = hashlib.file_digest(file, "md5").hexdigest()
            if checksum != path.parent.name + path.name.removesuffix(".dir"):
                yield path


def main(argv: list[str]) -> None:
    parser = arguments.command_parser("verify", __doc__)
    arguments.add_recipe(parser)
    args = parser.parse_args(argv)

    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        with Repo(str(args.recipe)) as repo:
            cache = Path(repo.cache.local.path)
    except NotDvcRepoError as error:
        message = f"{error}: go to a recipe's folder, or name it with --recipe"
        raise ValueError(message) from error
    found = list(damaged(cache))
    for path in found:
        logger.warning("%s is damaged (%d bytes): removed", path, path.stat().st_size)
        path.unlink()
    if found:
        raise ValueError(f"{len(found)} damaged: `dvc repro` makes what is missing, `dvc pull` fetches it")
    logger.info("%s is whole", cache)
