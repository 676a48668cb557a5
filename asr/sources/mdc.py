"""A Common Voice release from Mozilla Data Collective, by its own client."""

import hashlib
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import requests

from asr.params import Mdc
from asr.runtime import disk
from asr.runtime.secrets import redacted
from asr.sources.release import read_release
from asr.tables.corpus import Clip

CORPORA = Path("corpora")
SITE = "https://mozilladatacollective.com"
WITHOUT = "a corpus with source: archive, hub or folder, or `make sample` for a synthetic one"
WAITS_S = (1, 2, 4, 8, 16, 32)  # before another try; from the first again when a try has brought something
FOR_A_WHILE = (408, 429, 500, 502, 503, 504)  # HTTP statuses after which another try may help
Result = TypeVar("Result")
logger = logging.getLogger(__name__)


def clips(corpus: Mdc) -> Iterator[Clip]:
    """Download a release to corpora/ unless it is there, check it, and yield its clips.

    Raises
    ------
    PermissionError: MDC_API_KEY is missing or wrong, or the dataset's terms are not accepted.
    FileNotFoundError: no such dataset.
    ConnectionError: no connection, or the transfer broke off, in every try; the next call goes on from there.
    ValueError: the file's size or checksum is wrong, or the client cannot read the platform's answer.
    """
    page = f"{SITE}/datasets/{corpus.dataset}"
    key = os.environ.get("MDC_API_KEY", "")
    if not key:
        raise PermissionError(
            "source is mdc, but the environment has no MDC_API_KEY:\n"
            f"  1. sign in at {SITE}, accept the terms of {page}\n"
            f"  2. make a key (your profile, API) and `export MDC_API_KEY=…`\n"
            f"  Without one: {WITHOUT}."
        )
    if not re.fullmatch("[!-~]+", key):
        raise PermissionError("MDC_API_KEY has spaces, line ends or letters that no key has: copy it anew")
    os.environ["PYTHON_DOTENV_DISABLED"] = "1"  # or the client reads a .env file: keys come from outside
    import datacollective

    details = _ask(lambda: datacollective.get_dataset_details(corpus.dataset), page, None)
    name = details.filename or ""
    if not name or name != Path(name).name or name.startswith("."):
        raise ValueError(f"{page}: the platform names no archive that could be stored, but {name!r}")
    archive = CORPORA / name
    fresh = not archive.exists()
    if fresh:
        part = archive.with_name(f"{name}.part")
        logger.info("%s to %s", page, archive)
        _ask(lambda: _transfer(details.id, part), page, part)
    check(archive, details.checksum, details.sizeBytes, fresh)
    return read_release(archive, corpus)


def check(archive: Path, checksum: str | None, size: float | None, fresh: bool) -> None:
    """Raise a ValueError unless an archive has the platform's size and checksum.

    Parameters
    ----------
    checksum: 64 hex digits of a sha256; anything else is not compared
    size: bytes, or None if the platform does not say
    fresh: whether it has just been downloaded; a wrong one is then renamed, so that the next run downloads it
    """
    found, expected = {"bytes": archive.stat().st_size}, {"bytes": size and int(size)}
    if checksum and re.fullmatch("[0-9a-f]{64}", checksum.lower()):
        expected["sha256"] = checksum.lower()
        with archive.open("rb") as file:
            found["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    else:
        logger.warning("%s: the platform gives no sha256 of it, so it is not compared", archive)
    wrong = [name for name in found if expected[name] and found[name] != expected[name]]
    if not wrong:
        return
    what = "; ".join(f"{name} {found[name]}, expected {expected[name]}" for name in wrong)
    if not fresh:
        raise ValueError(
            f"{archive} is not what the platform has under this name ({what}): move it away and run again, or"
            f" use it as it is, with source: archive and path: {archive}"
        )
    damaged = archive.replace(archive.with_name(f"{archive.name}.damaged"))
    raise ValueError(
        f"{archive} was downloaded, but is not as the platform has it ({what}): it is now {damaged};"
        " run again"
    )


def _transfer(dataset: str, part: Path) -> None:
    """Let the client download, and go on where the last try broke off. Every try gets a new link."""
    from datacollective import download_dataset
    from datacollective.errors import DownloadError

    try:
        download_dataset(dataset, download_directory=str(CORPORA), show_progress=sys.stderr.isatty())
    except DownloadError as error:
        cause = error.__cause__
        if isinstance(cause, KeyboardInterrupt) or disk.is_full(cause):
            raise cause from None
        if isinstance(cause, requests.HTTPError) and cause.response.status_code == 416:
            part.unlink(missing_ok=True)  # was whole already, or is of another file
        raise ConnectionError(
            f"the transfer broke off after {error.total_downloaded_bytes} of {error.total_archive_bytes}"
            f" ({type(cause).__name__})"
        ) from cause


def _ask(question: Callable[[], Result], page: str, part: Path | None) -> Result:
    """Ask the platform, again if that may help; turn its refusals into errors that say what to do."""
    from datacollective.errors import AuthenticationError

    try:
        return _keep_trying(lambda: _ask_once(question), part)
    except ConnectionError as error:
        raise ConnectionError(f"{page}: {error}. Run again to go on; without a network: {WITHOUT}") from error
    except AuthenticationError as error:
        raise PermissionError(
            f"{SITE} does not accept the key in MDC_API_KEY: make a new one there (your profile, API)"
        ) from error
    except PermissionError as error:
        raise PermissionError(
            f"{page}: access denied. Accept the dataset's terms on that page, with the account that made"
            f" the key in MDC_API_KEY, and run again.\n  {redacted(str(error))}"
        ) from error
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{page}: no such dataset, or removed. Look up its id on {SITE}/datasets and set dataset"
        ) from error
    except (RuntimeError, ValueError) as error:  # not its text, which may hold a link with a signature
        raise ValueError(
            f"{page}: the platform's answer is not one that its client can read ({type(error).__name__}): is"
            " there a login page between, or a newer `datacollective`?"
        ) from error


def _keep_trying(attempt: Callable[[], Result], part: Path | None) -> Result:
    """Call `attempt` again after a ConnectionError, until several tries in turn have brought nothing new.

    New is what makes `part` longer than it has been.
    """
    longest, waits = 0, iter(WAITS_S)
    while True:
        try:
            return attempt()
        except ConnectionError as error:
            size = part.stat().st_size if part and part.exists() else 0
            if size > longest:
                longest, waits = size, iter(WAITS_S)
            wait_s = next(waits, None)
            if wait_s is None:
                raise
            logger.warning("%s; another try in %d s", error, wait_s)
            time.sleep(wait_s)


def _ask_once(question: Callable[[], Result]) -> Result:
    """Raise a ConnectionError if another try may help, without the client's text, which may hold a link."""
    from datacollective.errors import RateLimitError

    try:
        return question()
    except (RateLimitError, requests.HTTPError) as error:
        status = error.response.status_code
        if status not in FOR_A_WHILE:
            raise PermissionError(str(error)) from error
        wait = error.response.headers.get("Retry-After", "not given")
        raise ConnectionError(f"the platform says {status} (Retry-After: {wait})") from error
    except requests.JSONDecodeError:
        raise
    except requests.RequestException as error:
        raise ConnectionError(f"no connection ({type(error).__name__})") from error
