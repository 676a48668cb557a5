"""`python -m asr.demo` as a user calls it."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml

from asr import demo
from tests.recipes import REPOSITORY

BASE = REPOSITORY / "sample/base"


def start(folder, *args):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = ["python", "-m", "asr.demo", "--no-browser", "--port", "0", *map(str, args)]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts what it puts into the background deaf to Ctrl+C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_it_says_its_address_serves_the_page_and_ends_with_ctrl_c(tmp_path):
    models = ("--pretrained", BASE, "--model", BASE, "--language", "sinhalese")
    process = start(tmp_path, *models, "--lang", "dv")
    try:
        line = next(line for line in process.stderr if "http://" in line)
        address = re.search(r"http://127\.0\.0\.1:\d+", line).group()
        with urllib.request.urlopen(address) as response:
            page = response.read().decode()
        assert 'lang="dv"' in page and "Try the model" in page
    finally:
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=600)
    assert (process.returncode, output) == (0, "") and "Traceback" not in errors, errors


def test_before_dvc_repro_it_says_so(tmp_path):
    process = start(tmp_path)
    errors = process.communicate(timeout=600)[1]
    message = "no model in data/pretrained: run `dvc repro` or `dvc pull` first, or give --pretrained FOLDER"
    assert (process.returncode, errors) == (1, f"demo: {message}\n")


@pytest.mark.parametrize(
    ("pretrained", "model", "message"),
    [
        ("nowhere", BASE, "no model in nowhere: run `dvc repro` or `dvc pull` first, or give --pretrained"),
        (BASE, "nowhere", "no model in nowhere: run `dvc repro` or `dvc pull` first, or give --model"),
        (BASE, BASE, "which language it writes: give --language"),
    ],
    ids=["no pretrained", "no model", "no language"],
)
def test_what_is_missing_is_named(pretrained, model, message):
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        demo.load(Path(pretrained), Path(model), None)


def test_the_pretrained_model_writes_the_language_of_the_fine_tuned_one():
    assert {model.language for model in demo.load(BASE, BASE, "sinhalese").values()} == {"sinhalese"}


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} cannot be opened .* give --port another"):
            demo.open_port(port)


def test_a_port_that_is_none_is_named():
    with pytest.raises(OSError, match="port 99999 cannot be opened"):
        demo.open_port(99999)


@pytest.mark.parametrize(
    ("source", "expected"), [("archive", "dv"), ("sample", "dv"), ("folder", ""), ("hub", ""), ("mdc", "dv")]
)
def test_the_language_tag_is_that_of_the_corpus_where_it_is_known(tmp_path, source, expected):
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    params["download"]["source"] = source
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    assert demo.language_tag(tmp_path / "params.yaml") == expected


def test_without_a_recipe_the_language_is_not_known(tmp_path):
    assert demo.language_tag(tmp_path / "params.yaml") == ""


@pytest.mark.parametrize(
    ("platform", "screen", "opened"),
    [
        ("linux", {}, []),
        ("linux", {"DISPLAY": ":0"}, ["address"]),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, ["address"]),
        ("darwin", {}, ["address"]),
    ],
)
def test_a_browser_is_opened_where_there_is_a_screen(monkeypatch, platform, screen, opened):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in screen.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    found = []
    monkeypatch.setattr(demo.webbrowser, "open", found.append)
    demo.open_browser("address")
    assert found == opened
