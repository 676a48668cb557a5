"""Keys and passwords: they come from the environment, and get into no output and no file of ours.

A server may repeat a key in its error message, and a library an address with a signature in it. So what a
stage prints goes through `redacted`.
"""

import base64
import netrc
import os
import re
import sys
from pathlib import Path
from typing import TextIO
from urllib.parse import parse_qsl, unquote, urlsplit

from huggingface_hub.constants import HF_TOKEN_PATH

VARIABLES = ("MDC_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
SHORTEST = 6  # characters; what is shorter is no key, and would be found in ordinary words
NAMES = (
    r"(?:token|key|api_?key|sig|signature|secret|password|passwd|pwd|auth|authorization|credentials?|policy)"
)
IN_QUERY = re.compile(rf"([?&](?:[\w.~-]*[-_.])?{NAMES}=)[^&\s'\"<>]+", re.IGNORECASE)
LOGIN = re.compile(r"(\w://)[^/\s@'\"<>]+@")


def redacted(text: str) -> str:
    """Put *** in place of keys in the environment, logins in addresses, and signatures in their queries."""
    for secret in _known():
        text = text.replace(secret, "***")
    return IN_QUERY.sub(r"\1***", LOGIN.sub(r"\1***@", text))


def refuse_in_address(address: str) -> str:
    """Return an address, a path or a name as it is, unless something in it looks like a secret.

    Raises
    ------
    ValueError: an address with a login, or with a parameter that is named like a key or a signature.
    """
    split = urlsplit(address) if "://" in address else urlsplit("")
    found = "a login" if "@" in split.netloc else None
    for name, _ in parse_qsl(split.query, keep_blank_values=True):
        if re.fullmatch(rf"(?:.*[-_.])?{NAMES}", name, re.IGNORECASE):
            found = f"a {name}"
    if found:
        raise ValueError(
            f"the address has {found} in it, and params.yaml and dvc.lock are for everyone to see. A login"
            " belongs into ~/.netrc; of a signed link, download the file by other means and name its path"
        )
    return address


def keep_out_of_output() -> None:
    """Let everything that this process prints from now on go through `redacted`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, _Redacting):
            setattr(sys, name, _Redacting(stream))


class _Redacting:
    """A text stream less the secrets. Written line by line or message by message, never half a secret."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(redacted(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _known() -> list[str]:
    """List the secrets of this process, the longest first, for one may be a part of another."""
    found = {os.environ.get(name, "").strip() for name in VARIABLES}
    try:
        found.add(Path(HF_TOKEN_PATH).read_text().strip())  # of `hf auth login`
    except (OSError, UnicodeDecodeError):
        pass  # never logged in
    for user, password in _logins():
        sent = base64.b64encode(f"{user}:{password}".encode()).decode()
        found |= {password, sent}
    return sorted((secret for secret in found if len(secret) >= SHORTEST), key=len, reverse=True)


def _logins() -> list[tuple[str, str]]:
    """List users and passwords of proxies, and of the hosts in ~/.netrc, which `requests` sends them to."""
    found = []
    for name in PROXIES:
        proxy = urlsplit(os.environ.get(name) or os.environ.get(name.upper(), ""))
        found.append((unquote(proxy.username or ""), unquote(proxy.password or "")))
    try:
        hosts = netrc.netrc(os.environ.get("NETRC") or Path.home() / ".netrc").hosts
        found += [(user, password or "") for user, _, password in hosts.values()]
    except (OSError, RuntimeError, netrc.NetrcParseError):
        pass  # none, or none that could be used
    return [(user, password) for user, password in found if password]
