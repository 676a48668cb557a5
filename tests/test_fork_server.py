"""A process of the fork server does what a true Python does, and goes when its client goes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.recipes import REPOSITORY

FORKED = "import sys; print('torch' in sys.modules, file=sys.stderr)\n"


def start(code, *args, **options):
    return subprocess.Popen(
        ["python", "-c", FORKED + code, *args],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def test_it_has_the_libraries_and_none_of_our_code(tmp_path):
    code = "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    output, errors = start(code, cwd=tmp_path).communicate()
    loaded = set(output.split())
    assert {"torch", "transformers", "datasets", "dvc"} <= loaded and errors == "True\n"
    assert not {"asr", "stages", "tests"} & loaded


def test_our_code_is_that_of_its_own_path(tmp_path):
    """Whether the server has compiled its text or, in a copy that was changed, not."""
    shutil.copytree(REPOSITORY / "asr", tmp_path / "asr", ignore=shutil.ignore_patterns("__pycache__"))
    copy = tmp_path / "asr/scoring/text.py"
    code = "from asr.scoring.text import normalize as n; print(n.__code__.co_filename, n('A'))"
    assert start(code, cwd=tmp_path).communicate() == (f"{copy} a\n", "True\n")
    copy.write_text(copy.read_text() + "\n\ndef normalize(text):\n    return 'changed'\n")
    assert start(code, cwd=tmp_path).communicate() == (f"{copy} changed\n", "True\n")


def test_folder_arguments_environment_and_streams_are_its_own(tmp_path):
    (tmp_path / "module.py").write_text(
        "import os, sys; print(os.getcwd(), os.environ['ASR_X'], *sys.argv[1:])"
    )
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/other.py").write_text("import sys; print(sys.stdin.read(), 1 / 0)")
    environment = {**os.environ, "ASR_X": "ދިވެހި", "PYTHONPATH": "lib"}
    for command, output, error in (
        (["-m", "module", "a", "b c"], f"{tmp_path} ދިވެހި a b c\n", ""),
        (["module.py"], f"{tmp_path} ދިވެހި\n", ""),
        (["-c", "import sys; sys.stdout.reconfigure(errors='strict'); print(1)"], "1\n", ""),
        (["-c", "import other"], "", "ZeroDivisionError: division by zero\n"),
    ):
        for python in ("python", sys.executable):
            done = subprocess.run(
                [python, *command], cwd=tmp_path, env=environment, input="x", capture_output=True, text=True
            )
            assert done.stdout == output and done.stderr.endswith(error)
            assert done.returncode == bool(error)


@pytest.mark.parametrize(
    ("code", "expected"), [("sys.exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", -9)]
)
def test_it_ends_as_its_process_does(code, expected):
    process = start(code)
    assert process.communicate() == ("", "True\n") and process.returncode == expected


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, -signal.SIGINT)]
)
def test_a_signal_comes_through(number, expected):
    with start("import time\nprint('ready', flush=True); time.sleep(600)") as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
    assert process.returncode == expected


def test_its_process_goes_with_it():
    with start("import os, time\nprint(os.getpid(), flush=True); time.sleep(600)") as process:
        forked = psutil.Process(int(process.stdout.readline()))
        process.kill()
    assert forked.pid != process.pid
    psutil.wait_procs([forked], timeout=600)
    assert not forked.is_running()


@pytest.mark.parametrize("name", ["HF_HOME", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTHONHASHSEED"])
def test_what_libraries_read_when_they_are_imported_makes_it_a_true_python(name):
    assert start("", env={**os.environ, name: "3"}).communicate()[1] == "False\n"


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "DVC_STAGE", "LOCAL_RANK", "AWS_PROFILE", "PYTHONPATH"])
def test_what_is_read_later_does_not(name):
    assert start("", env={**os.environ, name: "3"}).communicate()[1] == "True\n"


def test_the_encoding_of_streams_that_is_asked_for_is_theirs():
    code = (
        "import codecs, sys; streams = sys.stdin, sys.stdout, sys.stderr;"
        " print([(codecs.lookup(stream.encoding).name, stream.errors) for stream in streams])"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    true = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert start(code, env=environment).communicate() == (true.stdout, "True\n")


def test_code_that_is_injected_makes_it_a_true_python(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("print('injected')")
    injected = start("", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert injected.communicate() == ("injected\n", "False\n")


def test_two_processes_draw_different_numbers():
    code = "import random, numpy; print(random.random(), numpy.random.random())"
    one, two = (start(code).communicate()[0].split() for _ in range(2))
    assert one[0] != two[0] and one[1] != two[1]


def test_the_server_ends_with_who_started_it():
    code = "from tests import fork_server; print(fork_server.start(), flush=True)\n"
    code += "import os; os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 600
    while Path(done.stdout.strip()).exists():
        assert time.monotonic() < deadline, "the server goes on"
        time.sleep(0.01)
