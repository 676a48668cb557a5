"""`asr` as people type it: what it lists, what it does not import, and how every command ends."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from importlib import import_module

import pytest

from asr import __main__ as asr
from tests.recipes import REPOSITORY

# Standard output is buffered, as it is where people start it.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": ""}
BASE = str(REPOSITORY / "sample/base")
HEAVY = {"torch", "transformers", "datasets", "numpy", "pandas", "dvc", "jinja2", "pydantic", "matplotlib"}
ALL_HELP = """
import sys
from asr import __main__ as asr
for name in ("", *asr.COMMANDS):
    sys.argv = ["asr", *name.split(), "--help"]
    try:
        asr.main()
    except SystemExit as ended:
        assert ended.code == 0, name
print("imported:", *sys.modules)
"""


def start(*args, cwd=None, stdout=subprocess.PIPE):
    return subprocess.Popen(
        [sys.executable, *args],
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_help_lists_the_commands_and_imports_nothing_heavy():
    """`asr --help` and that of every command, in one process."""
    output, errors = start("-c", ALL_HELP).communicate()
    assert errors == ""
    help_of_all, imported = output.split("imported: ")
    for name in asr.COMMANDS:
        summary = import_module(f"asr.commands.{name.replace('-', '_')}.cli").__doc__.splitlines()[0]
        assert f"  {name:14}{summary}\n" in help_of_all
        assert f"usage: asr {name} " in help_of_all and help_of_all.count(summary) == 2
    assert not HEAVY & set(imported.split())


def test_every_folder_of_commands_is_listed():
    folders = [file.parent.name for file in (REPOSITORY / "asr/commands").glob("*/cli.py")]
    assert sorted(folders) == sorted(name.replace("-", "_") for name in asr.COMMANDS)


def test_it_is_installed_as_a_console_script():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    module, function = project["scripts"]["asr"].split(":")
    assert getattr(import_module(module), function) is asr.main


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("transcirbe", "no command 'transcirbe'; did you mean transcribe?"),
        ("new_language", "no command 'new_language'; did you mean new-language?"),
        ("x", "no command 'x'; `asr --help` lists the commands"),
    ],
)
def test_an_unknown_command_is_answered_with_the_nearest(monkeypatch, capsys, name, hint):
    monkeypatch.setattr(sys, "argv", ["asr", name])
    with pytest.raises(SystemExit) as ended:
        asr.main()
    assert ended.value.code == 2 and hint in capsys.readouterr().err


@pytest.mark.parametrize("command", ["demo", "export", "transcribe x.wav"])
def test_without_a_model_every_command_says_the_same(monkeypatch, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.wav").touch()
    name, *args = command.split()
    for recipe in ("", "elsewhere/"):
        folder = ["--recipe", recipe] if recipe else []
        with pytest.raises(FileNotFoundError, match=f"^no model in {recipe}data/model: run `dvc repro`"):
            import_module(f"asr.commands.{name}.cli").main([*args, *folder])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--batch-size", "0"], "--batch-size: '0': expected a whole number, 1 or more"),
        (["--num-beams", "x"], "--num-beams: 'x': expected a whole number, 1 or more"),
    ],
)
def test_a_number_that_cannot_be_is_refused(capsys, args, message):
    with pytest.raises(SystemExit):
        import_module("asr.commands.transcribe.cli").main(["a.wav", *args])
    assert f"asr transcribe: error: argument {message}" in capsys.readouterr().err


def test_ctrl_c_ends_a_command_with_a_line(tmp_path):
    os.mkfifo(tmp_path / "params.yaml")
    process = start("-m", "asr", "demo", "--model", BASE, "--pretrained", BASE, cwd=tmp_path)
    while process.poll() is None:
        try:
            writer = os.open(tmp_path / "params.yaml", os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError:  # it does not read yet
            time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    os.close(writer)
    assert (process.returncode, errors) == (130, "demo: interrupted: what is written is whole\n")


def test_a_closed_pipe_ends_a_command_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    for args in (["--help"], ["compare", "--help"]):
        process = start("-m", "asr", *args, stdout=writer)
        assert (process.communicate()[1], process.returncode) == ("", 141)
    os.close(writer)


def test_output_that_cannot_be_written_is_named():
    with open("/dev/full", "w") as full:
        process = start("-m", "asr", "compare", "--help", stdout=full)
    said = "the output could not be written ([Errno 28] No space left on device): make room and run it again"
    assert (process.communicate()[1], process.returncode) == (f"compare: {said}\n", 1)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("transcribe", MemoryError(), "transcribe: out of memory: lower --batch-size"),
        ("export", MemoryError(), "export: out of memory: end other programs"),
        ("card", PermissionError(13, "Permission denied", "x"), "'x': let this user read and write there"),
    ],
)
def test_what_the_machine_lacks_has_the_advice_of_the_command(monkeypatch, name, error, message):
    def main(argv):
        raise error

    monkeypatch.setattr(sys, "argv", ["asr", name])
    monkeypatch.setattr(f"asr.commands.{name}.cli.main", main)
    with pytest.raises(SystemExit) as ended:
        asr.main()
    assert "dvc" not in ended.value.code and message in ended.value.code
