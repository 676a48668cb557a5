"""Keys come from the environment, never from params.yaml, and stay out of our messages.

A server may repeat a key in its answer, and a library an address with a signature in it.
"""

import os
import re
from pathlib import Path

from huggingface_hub.constants import HF_TOKEN_PATH

VARIABLES = ("MDC_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
MIN_LENGTH = 6  # characters of a key; a shorter text would be found in ordinary words
LOGIN = re.compile(r"(\w://)[^/\s@'\"<>]+@")
QUERY = re.compile(r"(\w://[^\s?#'\"<>]*)[?#][^\s'\"<>]+")  # fragments too


def redacted(text: str) -> str:
    """Put *** in place of our keys, and of the login and the query of every address."""
    for key in _keys():
        text = text.replace(key, "***")
    return QUERY.sub(r"\1?***", LOGIN.sub(r"\1***@", text))


def _keys() -> list[str]:
    """List the keys of this process, the longest first, because one may be a part of another."""
    found = {os.environ.get(name, "").strip() for name in VARIABLES}
    try:
        found.add(Path(HF_TOKEN_PATH).read_text().strip())  # of `hf auth login`
    except (OSError, UnicodeDecodeError):
        pass  # not logged in
    return sorted((key for key in found if len(key) >= MIN_LENGTH), key=len, reverse=True)
