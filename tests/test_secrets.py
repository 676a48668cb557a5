"""Keys get into no output and no file: whole stages run against servers that repeat what they were sent."""

import io
import subprocess
import sys

import pytest

from asr.runtime import secrets

KEY = "hf_s3cretOfTheTests0001"


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    for name in (*secrets.VARIABLES, *secrets.PROXIES, *map(str.upper, secrets.PROXIES)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(secrets, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.mark.parametrize("name", secrets.VARIABLES)
def test_a_key_in_the_environment(monkeypatch, name):
    monkeypatch.setenv(name, KEY)
    assert secrets.redacted(f"Bearer {KEY}, {KEY}!") == "Bearer ***, ***!"


def test_the_token_that_a_login_has_stored(tmp_path):
    (tmp_path / "token").write_text(KEY + "\n")
    assert secrets.redacted(f"Bearer {KEY}") == "Bearer ***"


@pytest.mark.parametrize("name", ["https_proxy", "HTTP_PROXY"])
def test_a_proxy_s_password(monkeypatch, name):
    monkeypatch.setenv(name, f"http://me:{KEY}@proxy:3128")
    assert secrets.redacted(f"{KEY} was not accepted") == "*** was not accepted"


@pytest.mark.parametrize("text", [KEY, "bWU6aGZfczNjcmV0T2ZUaGVUZXN0czAwMDE="])
def test_a_login_and_what_is_sent_of_it(tmp_path, monkeypatch, text):
    (tmp_path / "netrc").write_text(f"machine example.org login me password {KEY}\n")
    assert secrets.redacted(f"you sent Basic {text}") == "you sent Basic ***"
    (tmp_path / "netrc").write_text("machine example.org nonsense\n")
    assert secrets.redacted(text) == text
    monkeypatch.setenv("all_proxy", f"http://me:{KEY}@proxy")
    assert secrets.redacted(text) == "***"


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
        ("https://host/x?a=1&X-Amz-Signature=abc&b=2 !", "https://host/x?a=1&X-Amz-Signature=***&b=2 !"),
        ("'https://host/x?sig=abc'", "'https://host/x?sig=***'"),
        ("https://host/x?a=1, b@c", "https://host/x?a=1, b@c"),
        ("keep key=1 and token: 2", "keep key=1 and token: 2"),
    ],
)  # fmt: skip
def test_logins_and_signatures_in_addresses(text, expected):
    assert secrets.redacted(text) == expected


def test_a_stream_is_as_before_but_for_the_secrets(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", KEY)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    secrets.keep_out_of_output()
    secrets.keep_out_of_output()
    print("a", KEY, "b")
    sys.stderr.writelines([f"{KEY}\n", "c\n"])
    assert sys.stdout.getvalue() == "a *** b\n" and sys.stderr.getvalue() == "***\nc\n"
    assert not sys.stdout.isatty()


@pytest.mark.parametrize(
    "does",
    [
        "raise KeyError(KEY)",  # a defect, with its traceback
        "raise OSError(KEY)",
        "logging.getLogger('asr').info(KEY)",
        "warnings.warn(KEY)",
        "print(KEY)",
        "library.warning(KEY)",
    ],
)
def test_a_stage_prints_none_however_it_comes_to(monkeypatch, does):
    monkeypatch.setenv("HF_TOKEN", KEY)
    script = f"""
import logging, os, sys, warnings
from asr.runtime.errors import report_errors
KEY = os.environ["HF_TOKEN"]
with report_errors("probe", stage=False):
    library = logging.getLogger("library")  # with a handler of its own, as those of Hugging Face have
    library.propagate = False
    library.addHandler(logging.StreamHandler())
    {does}
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert KEY not in done.stdout + done.stderr and "***" in done.stdout + done.stderr
    assert done.returncode == ("raise" in does)
