import subprocess
import sys

import pytest

from asr.runtime import secrets

KEY = "hf_s3cretOfTheTests0001"


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    for name in secrets.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(secrets, "HF_TOKEN_PATH", str(tmp_path / "token"))


@pytest.mark.parametrize("name", secrets.VARIABLES)
def test_a_key_in_the_environment(monkeypatch, name):
    monkeypatch.setenv(name, KEY)
    assert secrets.redacted(f"Bearer {KEY}, {KEY}!") == "Bearer ***, ***!"


def test_the_token_that_a_login_has_stored(tmp_path):
    (tmp_path / "token").write_text(KEY + "\n")
    assert secrets.redacted(f"Bearer {KEY}") == "Bearer ***"


def test_of_two_keys_one_within_the_other_nothing_is_left(monkeypatch):
    monkeypatch.setenv("MDC_API_KEY", KEY)
    monkeypatch.setenv("HF_TOKEN", KEY + "-and-more")
    assert secrets.redacted(f"{KEY}-and-more {KEY}") == "*** ***"


def test_what_is_too_short_for_a_key_is_no_key(monkeypatch):
    monkeypatch.setenv("MDC_API_KEY", "a")
    assert secrets.redacted("a path to a file") == "a path to a file"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("https://me:pass@host/x", "https://***@host/x"),
        ("'https://host/x?accessToken=1&y=2' !", "'https://host/x?***' !"),
        ("'https://host/x?q='a'&hmac=b' !", "'https://host/x?***' !"),
        ("https://host/x#token=abc, b@c", "https://host/x?*** b@c"),
        ("https://host, file://x/y.z: ?a#b", "https://host, file://x/y.z: ?a#b"),
    ],
)
def test_logins_and_queries_of_addresses(text, expected):
    assert secrets.redacted(text) == expected


def test_neither_logs_nor_the_message_that_ends_a_stage_have_a_key(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", KEY)
    script = f"""
import logging
from asr.runtime.errors import report_errors
import huggingface_hub
with report_errors("probe", stage=False):
    logging.getLogger("huggingface_hub").warning("from %s: %s", "https://cdn/x?Signature=1", OSError(3))
    raise OSError("you sent {KEY}")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stderr, done.returncode) == (
        "huggingface_hub: from https://cdn/x?*** 3\nprobe: you sent ***\n",
        1,
    )
