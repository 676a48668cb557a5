import errno
import json
import logging
import os
import shlex
import signal
import subprocess
import sys

import psutil
import pytest
import torch

from asr.audio.decode import decode
from asr.runtime import locks
from asr.runtime.errors import report_errors
from tests.recipes import REPOSITORY


def test_a_missing_file_ends_with_its_message(tmp_path):
    with pytest.raises(SystemExit) as end, report_errors("download"):
        (tmp_path / "missing.tsv").read_text()
    assert str(end.value).startswith("download: ") and "missing.tsv" in str(end.value)


def test_a_value_error_of_ours_ends_with_its_message():
    with pytest.raises(SystemExit) as end, report_errors("featurize"):
        decode(b"no audio")
    assert str(end.value) == "featurize: Format not recognised"


@pytest.mark.parametrize("defect", [lambda: shlex.split("'open"), lambda: {}["step"]], ids=["library", "key"])
def test_a_defect_keeps_its_traceback(defect):
    with pytest.raises((ValueError, KeyError)), report_errors("train"):
        defect()


def test_what_is_foreign_moves_no_cursor(tmp_path):
    foreign = "a\x1b[2J\x9b\u202e\rb\tc\nd"
    script = f"with report_errors('featurize', stage=False):\n    import logging\n    name = {foreign!r}\n"
    script += "    print(name); logging.getLogger('asr').info(name); raise OSError(name)"
    shown = "a\\x1b[2J\\x9b\\u202e\\rb\tc\nd\n"
    output, errors = start(tmp_path, script).communicate()
    assert (output, errors) == (shown, f"asr: {shown}featurize: {shown}")


def test_the_script_exits_with_one_and_logs_its_own_progress_only(tmp_path):
    script = (
        "import logging; from asr.runtime.errors import report_errors\n"
        "with report_errors('filter'):\n"
        "    logging.getLogger('filter').info('half done'); logging.getLogger('httpx').info('GET secret')\n"
        "    raise PermissionError('data/filtered is read-only')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.endswith("filter: half done\nfilter: data/filtered is read-only\n")
    assert "secret" not in done.stderr


def start(folder, script, *args, **environment):
    """Start a script in a recipe's folder, as the stage featurize."""
    (folder / "params.yaml").touch()
    return subprocess.Popen(
        [sys.executable, "-c", "from asr.runtime.errors import report_errors\n" + script, *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


WORK = "with report_errors('featurize'): print('at work', flush=True); input()"


@pytest.fixture
def at_work(tmp_path):
    """A run of the stage that holds its lock."""
    process = start(tmp_path, WORK)
    assert process.stdout.readline() == "at work\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_run_waits_for_one_that_was_left_behind(tmp_path, at_work):
    second = start(tmp_path, WORK)
    assert f"process {at_work.pid} on" in second.stderr.readline()
    at_work.kill()
    output, errors = second.communicate("\n", timeout=600)
    assert output == "at work\n" and second.returncode == 0, errors


@pytest.mark.parametrize(
    "environment",
    [{"RANK": "1", "LOCAL_RANK": "1"}, {"ASR_STAGE_HELD": "featurize", "RANK": "0"}, {"PET_NNODES": "2"}],
    ids=str,
)
def test_of_several_processes_only_one_holds_the_lock(tmp_path, at_work, environment):
    other = start(tmp_path, WORK, **environment)
    assert other.communicate("\n", timeout=600)[0] == "at work\n"


def test_processes_that_a_stage_starts_know_that_it_holds_the_lock(tmp_path):
    inner = "from asr.runtime.errors import report_errors\n" + WORK
    script = (
        "import subprocess, sys\n"
        f"with report_errors('featurize'): subprocess.run([sys.executable, '-c', {inner!r}], check=True)"
    )
    output, errors = start(tmp_path, script).communicate("\n", timeout=600)
    assert output == "at work\n", errors


def test_workers_of_a_killed_stage_end_and_hold_nothing(tmp_path):
    script = (
        "import os; from concurrent.futures import ProcessPoolExecutor\n"
        "with report_errors('featurize'), ProcessPoolExecutor(2) as pool:\n"
        "    print(*pool.map(sleepy_pid, range(2)), flush=True); input()"
    )
    both = "import multiprocessing, os\nboth = multiprocessing.Barrier(2)\n"
    script = both + "def sleepy_pid(_): both.wait(); return os.getpid()\n" + script
    killed = start(tmp_path, script)
    workers = [psutil.Process(int(pid)) for pid in killed.stdout.readline().split()]
    assert len(set(workers)) == 2
    killed.kill()
    killed.wait()
    with locks.held_if_free(tmp_path / "data/.lock-featurize") as free:
        assert free
    gone, alive = psutil.wait_procs(workers, timeout=600)
    assert not alive
    killed.communicate()


def test_outside_of_a_recipe_no_folder_is_made(tmp_path):
    with report_errors("featurize"):
        assert not (tmp_path / "data").exists()


def test_a_full_disk_ends_with_what_to_do(tmp_path):
    with pytest.raises(SystemExit) as end, report_errors("train"):
        torch.save({"step": 1}, "/dev/full")
    assert f"train: no room to write in {tmp_path}" in end.value.code
    assert "make room and run `dvc repro` again" in end.value.code


@pytest.mark.parametrize(
    ("stage", "advice"),
    [
        (True, "lower transcribe.batch_size, then run `dvc repro` again"),
        (False, "lower --batch-size, then run it again"),
    ],
)
def test_memory_that_ran_out_ends_with_what_to_do(stage, advice):
    with pytest.raises(SystemExit) as end, report_errors("transcribe", stage):
        torch.empty(1 << 60, dtype=torch.int8)
    assert end.value.code.startswith(f"transcribe: out of memory: {advice} (RuntimeError: ")


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EPERM], ids=errno.errorcode.get)
def test_a_place_that_is_not_writable_ends_with_what_to_do(code):
    with pytest.raises(SystemExit) as end, report_errors("train"):
        raise OSError(code, os.strerror(code), "data/model")
    assert f"{os.strerror(code)}: 'data/model': let this user read and write there" in end.value.code


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError("read-only"), "train: read-only"),
        (KeyError("step"), "Traceback (most recent call last):"),
    ],
    ids=repr,
)
def test_one_of_several_processes_hands_its_error_to_their_launcher(tmp_path, monkeypatch, error, message):
    def ended(code):
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", ended)  # at once, in a real process
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    with pytest.raises(SystemExit) as end, report_errors("train"):
        raise error
    assert end.value.code == 1
    report = json.loads((tmp_path / "error.json").read_text())
    assert report["message"].startswith(message) and report["time_ns"] > 0


def test_ctrl_c_ends_a_stage_and_its_workers_with_one_line(tmp_path):
    script = (
        "import time; from concurrent.futures import ProcessPoolExecutor\n"
        "with report_errors('featurize'), ProcessPoolExecutor(2) as pool:\n"
        "    list(pool.map(abs, range(9))); print('at work', flush=True); time.sleep(600)"
    )
    stage = start(tmp_path, script)
    assert stage.stdout.readline() == "at work\n"
    os.killpg(stage.pid, signal.SIGINT)  # as a terminal does
    assert stage.communicate(timeout=600) == ("", "featurize: interrupted: `dvc repro` goes on\n")
    assert stage.returncode == 130


@pytest.mark.parametrize(
    ("stage", "code", "said"), [(False, 141, ""), (True, 1, "featurize: [Errno 32] Broken pipe\n")]
)
def test_a_reader_that_has_gone_is_no_error_of_a_command(tmp_path, stage, code, said):
    process = start(tmp_path, f"with report_errors('featurize', {stage}): input(); print('row')")
    process.stdout.close()
    assert process.communicate("\n", timeout=600)[1] == said
    assert process.returncode == code


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # this repository's root is a recipe's folder
    yield
    for name in ("download", "featurize", "train", "asr"):
        logging.getLogger(name).setLevel(logging.NOTSET)
