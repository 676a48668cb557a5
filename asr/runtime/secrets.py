"""Keys come from the environment, never from params.yaml, and stay out of our messages.

A server may repeat a key in its answer, and a library an address with a signature in it.
"""

import logging
import os
import re
from functools import cache
from pathlib import Path

from huggingface_hub.constants import HF_TOKEN_PATH

VARIABLES = ("MDC_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
MIN_LENGTH = 6  # characters of a key; a shorter text would be found in ordinary words
LOGIN = re.compile(r"(\w://)[^/\s@'\"<>]+@")
QUERY = re.compile(r"(\w://[^\s?#'\"<>]*)[?#][^\s\"<>]*[^\s\"<>']")  # fragments too


def redacted(text: str) -> str:
    """Put *** in place of our keys, and of the login and the query of every address."""
    for key in _keys():
        text = text.replace(key, "***")
    return QUERY.sub(r"\1?***", LOGIN.sub(r"\1***@", text))


@cache
def keep_out_of_logs() -> None:
    """Redact all that is logged from now on: huggingface_hub warns with the signed address of a file."""
    make = logging.getLogRecordFactory()

    def redacting(*args: object, **kwargs: object) -> logging.LogRecord:
        record = make(*args, **kwargs)
        record.msg, record.args = redacted(record.getMessage()), ()
        return record

    logging.setLogRecordFactory(redacting)


def _keys() -> list[str]:
    """List the keys of this process, the longest first, because one may be a part of another."""
    found = {os.environ.get(name, "").strip() for name in VARIABLES}
    try:
        found.add(Path(HF_TOKEN_PATH).read_text().strip())  # of `hf auth login`
    except (OSError, UnicodeDecodeError):
        pass  # not logged in
    return sorted((key for key in found if len(key) >= MIN_LENGTH), key=len, reverse=True)
