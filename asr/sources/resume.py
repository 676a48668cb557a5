"""Fetch a file over HTTP and go on where the last attempt broke off."""

import logging
from pathlib import Path
from urllib.parse import urlsplit

import requests

TIMEOUT_S = (10, 60)  # to connect, between two reads
CHUNK_BYTES = 2**20
logger = logging.getLogger(__name__)


def fetch(url: str, path: Path) -> None:
    """Download a URL to `path`, by way of `path.part`, which is kept if the transfer breaks off.

    Raises
    ------
    ConnectionError: unreachable, refused, or broken off; names host and path of the URL, not its query,
        which may hold a key.
    """
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    start = part.stat().st_size if part.exists() else 0
    shown = urlsplit(url)._replace(query="", fragment="").geturl()
    logger.info("%s to %s%s", shown, path, f", on from byte {start}" if start else "")
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            if response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{start}":
                part.rename(path)  # was complete already
                return
            response.raise_for_status()
            # A server may ignore the range and send the whole.
            with part.open("ab" if response.status_code == 206 else "wb") as file:
                for chunk in response.iter_content(CHUNK_BYTES):
                    file.write(chunk)
    except requests.HTTPError as error:
        status = f"{error.response.status_code} {error.response.reason}"
        raise ConnectionError(f"{shown}: the server says {status}: check download.archive") from None
    except requests.RequestException as error:
        kept = part.stat().st_size if part.exists() else 0
        raise ConnectionError(
            f"{shown}: {type(error).__name__}, {kept} bytes are in {part}: run again to go on from there;"
            " without a network, `make sample` runs the pipeline on a synthetic corpus"
        ) from None
    part.rename(path)
