"""A Common Voice release from Mozilla Data Collective, by its own client."""

import hashlib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import requests

from asr.runtime import disk
from asr.runtime.secrets import redacted
from asr.sources.archive import CORPORA, read_release
from asr.sources.responses import FOR_A_WHILE, reason, refuse
from asr.sources.resume import keep_trying
from asr.tables.corpus import Clip

SITE = "https://mozilladatacollective.com"
WITHOUT = "download.source=archive, hub or folder, or `make sample` for a synthetic corpus"
TIMEOUT_S = 60  # of the client, between two reads
Result = TypeVar("Result")
logger = logging.getLogger(__name__)


def clips(dataset: str, locale: str, validated: bool) -> Iterator[Clip]:
    """Download a release to corpora/, unless it is there, check it, and read its clips.

    Parameters
    ----------
    dataset: id or slug of the dataset
    locale: the release's folder, such as "dv"
    validated: whether to read the rest of validated.tsv too

    Raises
    ------
    PermissionError: no key in MDC_API_KEY, a wrong one, or the dataset's terms are not accepted.
    FileNotFoundError: no such dataset.
    ConnectionError: unreachable, or broken off, in every try (the next call goes on from there).
    TimeoutError: the platform asks to come back later than in a few minutes.
    ValueError: not the file that the platform says it is, or an answer that the client cannot read.
    """
    page = f"{SITE}/datasets/{dataset}"
    key = os.environ.get("MDC_API_KEY", "")
    if not key:
        raise PermissionError(
            "download.source is mdc, but the environment has no MDC_API_KEY:\n"
            f"  1. sign in at {SITE}, accept the terms of {page}\n"
            f"  2. make a key (your profile, API) and `export MDC_API_KEY=…`\n"
            f"  Without one: {WITHOUT}."
        )
    if not re.fullmatch("[!-~]+", key):
        raise PermissionError("MDC_API_KEY has spaces, line ends or letters that no key has: copy it anew")
    client = _client()
    details = _ask(lambda: client.get_dataset_details(dataset), page, None)
    name = details.filename or ""
    if not name or name != Path(name).name or name.startswith("."):
        raise ValueError(f"{page}: the platform names no archive that could be stored, but {name!r}")
    archive = CORPORA / name
    fresh = not archive.exists()
    if fresh:
        part = archive.with_name(f"{name}.part")
        logger.info("%s to %s", page, archive)
        _ask(lambda: _transfer(client, details.id, part), page, part)
    check(archive, details.checksum, details.sizeBytes, fresh)
    return read_release(archive, locale, validated)


def check(archive: Path, checksum: str | None, size: float | None, fresh: bool) -> None:
    """Compare an archive with what the platform says of it; one that has just come is moved out of the way.

    Parameters
    ----------
    checksum: 64 hex digits of a sha256; something else is not compared
    size: bytes, or None if the platform does not say
    fresh: whether it has just been downloaded
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
            f" use it as it is, with download.source=archive and download.archive={archive}"
        )
    damaged = archive.replace(archive.with_name(f"{archive.name}.damaged"))
    raise ValueError(
        f"{archive} came, but not as the platform has it ({what}): it is now {damaged}; run again"
    )


def _client() -> ModuleType:
    """Import the platform's client, but let it read no .env file: the key is in the environment only."""
    os.environ["PYTHON_DOTENV_DISABLED"] = "1"
    import datacollective

    return datacollective


def _transfer(client: ModuleType, dataset: str, part: Path) -> None:
    """Let the client download, from where it broke off. Each try gets a link of its own, good for a while."""
    from datacollective.errors import DownloadError

    try:
        client.download_dataset(dataset, download_directory=str(CORPORA), show_progress=sys.stderr.isatty())
    except DownloadError as error:
        cause = error.__cause__
        if isinstance(cause, KeyboardInterrupt) or disk.is_full(cause):
            raise cause from None
        if isinstance(cause, requests.HTTPError) and cause.response.status_code == 416:
            part.unlink(missing_ok=True)  # was whole already, or is of another file
        raise ConnectionError(
            f"the transfer broke off after {error.total_downloaded_bytes} of {error.total_archive_bytes}"
        ) from cause


def _ask(question: Callable[[], Result], page: str, part: Path | None) -> Result:
    """Ask the platform, again if that may help, and say what its refusals call for."""
    from datacollective.errors import AuthenticationError

    try:
        return keep_trying(lambda: _ask_once(question), part)
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
            f"{page}: no such dataset, or removed. Look up its id on {SITE}/datasets and set"
            " download.mdc.dataset"
        ) from error
    except (RuntimeError, ValueError) as error:  # not its text, which may hold a link with a signature
        raise ValueError(
            f"{page}: the platform's answer is not one that its client can read ({type(error).__name__}): is"
            " there a login page between, or a newer `datacollective`?"
        ) from error


def _ask_once(question: Callable[[], Result]) -> Result:
    """Raise a ConnectionError for what may pass."""
    from datacollective.errors import RateLimitError

    try:
        return question()
    except RateLimitError as error:
        refuse(error.response, SITE)
    except requests.HTTPError as error:
        if error.response.status_code in FOR_A_WHILE:
            refuse(error.response, SITE)
        raise PermissionError(str(error)) from error
    except requests.JSONDecodeError:
        raise
    except requests.RequestException as error:
        raise ConnectionError(f"{SITE}: {reason(error, TIMEOUT_S)}") from error
