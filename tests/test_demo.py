"""`asr demo` as a user calls it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.request

import pytest
import yaml

from asr.commands.demo import cli
from asr.commands.demo.server import load
from tests.recipes import REPOSITORY, corpus

BASE = REPOSITORY / "sample/base"


def start(folder, *args):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = ["python", "-m", "asr", "demo", "--no-browser", "--port", "0", *map(str, args)]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
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


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--model", str(BASE)], "no model in data/pretrained: .* or --pretrained"),
        (["--model", str(BASE), "--pretrained", str(BASE)], "which language it writes: give --language"),
    ],
)
def test_what_is_missing_is_named(tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        cli.main([*args, "--port", "0", "--no-browser"])


def test_both_models_write_with_the_settings_of_the_fine_tuned_one(tmp_path):
    shutil.copytree(BASE, tmp_path / "model")
    file = tmp_path / "model/generation_config.json"
    own = {"language": "sinhalese", "num_beams": 3, "max_length": 99}
    file.write_text(json.dumps(json.loads(file.read_text()) | own))
    loaded = load(BASE, tmp_path / "model", None)
    assert loaded["pretrained"].options == loaded["finetuned"].options
    options = loaded["finetuned"].options
    assert (options.language, options.num_beams, options.max_new_tokens) == ("sinhalese", 3, 99)


def test_a_port_that_is_taken_or_is_none_is_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        for port in (other.getsockname()[1], 99999):
            with pytest.raises(OSError, match=f"port {port} cannot be opened .* give another --port"):
                cli.open_port(port)


@pytest.mark.parametrize(
    ("locales", "expected"), [(["dv"], "dv"), (["dv", None], "dv"), ([None], ""), (["dv", "si"], "")]
)
def test_the_language_tag_is_that_of_the_corpora_where_it_is_known(tmp_path, locales, expected):
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    params["corpora"] = {f"c{n}": corpus("folder", locale=locale) for n, locale in enumerate(locales)}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    assert cli.language_tag(tmp_path / "params.yaml") == expected


def test_without_a_recipe_the_language_is_not_known(tmp_path):
    assert cli.language_tag(tmp_path / "params.yaml") == ""
