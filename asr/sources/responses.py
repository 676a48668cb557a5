"""What a server's response means that brings no file, or that none comes at all."""

import email.utils
import http.client
import itertools
import logging
import time
from urllib.parse import urlsplit

import requests
import urllib3

LONGEST_WAIT_S = 300  # of those that a server asks for
FOR_A_WHILE = (408, 429, 500, 502, 503, 504)
logger = logging.getLogger(__name__)


def refuse(response: requests.Response, shown: str) -> None:
    """Raise what a response that brings no file calls for; wait first, if the server asks for that.

    Raises
    ------
    ConnectionError: for a while only: another try may do.
    TimeoutError: the server asks to wait longer than LONGEST_WAIT_S.
    PermissionError: refused, or sent on from https to http.
    FileNotFoundError: not there.
    ValueError: a page.
    """
    status = response.status_code
    ways = [urlsplit(step.url).scheme for step in (*response.history, response)]
    if ("https", "http") in itertools.pairwise(ways):
        raise PermissionError(
            f"{shown} sends on from https to http, where others may change the file: refused"
        )
    # Not the server's own phrase, which may repeat what it was sent.
    says = f"{shown}: the server says {status} {http.client.responses.get(status, '')}".rstrip()
    if status in FOR_A_WHILE:
        wait_s = _retry_after(response)
        if wait_s > LONGEST_WAIT_S:
            raise TimeoutError(f"{says}, come back in {wait_s / 60:.0f} minutes: run again then")
        if wait_s:
            logger.warning("%s, come back in %.0f s", says, wait_s)
            time.sleep(wait_s)
        raise ConnectionError(says)
    if status in (401, 403, 407):
        raise PermissionError(
            f"{says}: the address has expired, or asks for a login: get a new one, or put the login into"
            " ~/.netrc, or download the file by other means and set download.archive to its path"
        )
    if status not in (200, 206):
        raise FileNotFoundError(f"{says}: check download.archive")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise ValueError(
            f"{shown} is a page, not a file: a login, perhaps, or a page about the file: set download.archive"
            " to the file's own address"
        )


def _retry_after(response: requests.Response) -> float:
    """Read the seconds that a server asks to wait; 0 if it does not."""
    value = response.headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


def reason(error: Exception, timeout_s: float) -> str:
    """Say what went wrong without the address, which may hold a key."""
    inner = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(inner, urllib3.exceptions.NameResolutionError):
        return "the host's name is not known (DNS): is the network there, and the name right?"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refuses, or is not there: look at HTTP_PROXY and HTTPS_PROXY"
    if isinstance(error, requests.exceptions.SSLError):
        return "no trust in the server's certificate"
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return f"nothing came for {timeout_s} s"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return f"the transfer broke off ({type(error).__name__})"
