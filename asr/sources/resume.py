"""Fetch a file over HTTP and go on where the last attempt broke off, but only within the same file.

What has arrived is in `path.part`, and what file it is a part of in `path.part.json`: the URL, the server's
ETag or date of change, and the length. A server that says neither is asked for the whole again.
"""

import json
import logging
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import requests
import urllib3

from asr.sources.responses import reason, refuse

TIMEOUT_S = (10, 60)  # to connect, between two reads
CHUNK_BYTES = 2**16
WAITS_S = (1, 2, 4, 8, 16)  # before another try; from the first again when a try has brought something new
NO_USE_AGAIN = (
    requests.TooManyRedirects,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
)
Result = TypeVar("Result")
logger = logging.getLogger(__name__)


def fetch(url: str, path: Path) -> None:
    """Download a URL to `path`, by way of `path.part`, which is kept if the transfer breaks off.

    Credentials for the host come from ~/.netrc. Errors name host and path of the URL, not its query.

    Raises
    ------
    ConnectionError: unreachable, or broken off, in every try; the next call goes on from there.
    TimeoutError: the server asks to come back later than in a few minutes.
    PermissionError: refused, or sent on from https to http.
    FileNotFoundError: not there.
    ValueError: no file: a page, or a way that is not HTTP.
    """
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    split = urlsplit(url)
    shown = split._replace(netloc=split.netloc.rpartition("@")[2], query="", fragment="").geturl()
    logger.info("%s to %s", shown, path)
    try:
        keep_trying(lambda: _attempt(url, shown, part), part)
    except ConnectionError as error:
        raise ConnectionError(
            f"{error}. {_size(part)} bytes are in {part}: run again to go on from there; without a network,"
            " `make sample` runs the pipeline on a synthetic corpus"
        ) from None
    part.replace(path)
    _note(part).unlink(missing_ok=True)


def keep_trying(attempt: Callable[[], Result], part: Path | None) -> Result:
    """Call `attempt` until it ends without a ConnectionError, or too many in turn have brought nothing new.

    New is what makes `part` longer than it has ever been here.
    """
    longest, waits = _size(part), list(WAITS_S)
    while True:
        try:
            return attempt()
        except ConnectionError as error:
            if _size(part) > longest:
                longest, waits = _size(part), list(WAITS_S)
            if not waits:
                raise
            logger.warning("%s; another try in %d s", error, waits[0])
            time.sleep(waits.pop(0))


def _attempt(url: str, shown: str, part: Path) -> None:
    """Fetch what is missing of a part. A ConnectionError means that another try may bring more."""
    known = _known(part, shown)
    start = _size(part) if known["validator"] else 0
    if start and start == known["length"]:
        return
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": known["validator"]}
        logger.info("on from byte %d of %s", start, known["length"] or "?")
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            if response.status_code == 416:
                if response.headers.get("Content-Range") == f"bytes */{start}":
                    return
                part.unlink(missing_ok=True)
                raise ConnectionError(f"{shown}: no such range: the file has changed; from the start again")
            refuse(response, shown)
            length = _continue(response, part, start, known, shown)
            with part.open("ab") as file:
                for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
    except NO_USE_AGAIN as error:
        raise ValueError(
            f"{shown} leads to a place that is no http or https address ({type(error).__name__}): check"
            " download.archive"
        ) from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise ConnectionError(f"{shown}: {reason(error, TIMEOUT_S[1])}") from None
    if length is not None and _size(part) < length:  # a server may send less than it is asked for
        raise ConnectionError(f"{shown}: less than the {length} bytes that the server has announced")


def _continue(response: requests.Response, part: Path, start: int, known: dict, shown: str) -> int | None:
    """Make `part` ready for what the response brings; return the whole's length, if it is known."""
    etag, changed = response.headers.get("ETag", ""), response.headers.get("Last-Modified")
    validator = etag if etag.startswith('"') else changed  # a weak ETag does not say that bytes are the same
    if response.status_code == 206:
        first, length = _range(response)
        same = validator in (None, known["validator"]) and known["length"] in (None, length)
        if not same or first != start or not start:
            part.unlink(missing_ok=True)
            raise ConnectionError(f"{shown}: the server sends a part of another file; from the start again")
        return length
    if start:
        logger.warning("%s: changed, or the server sends no parts; from the start again", shown)
    part.unlink(missing_ok=True)
    length = response.headers.get("Content-Length")
    known = {"url": shown, "validator": validator, "length": int(length) if length else None}
    _note(part).write_text(json.dumps(known))
    return known["length"]


def _range(response: requests.Response) -> tuple[int | None, int | None]:
    """Read of which byte on the response is a part, and the length of the whole."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not found:
        return None, None
    return int(found[1]), None if found[2] == "*" else int(found[2])


def _known(part: Path, shown: str) -> dict:
    """Read what a part is a part of. One of another URL, or without such a note, is a part of nothing."""
    try:
        known = json.loads(_note(part).read_text())
        if known["url"] == shown and {"validator", "length"} <= known.keys():
            return known
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        pass
    return {"validator": None, "length": None}


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _size(path: Path | None) -> int:
    return path.stat().st_size if path and path.exists() else 0
