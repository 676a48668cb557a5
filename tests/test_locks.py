import multiprocessing
import os
import subprocess
import sys

import pytest

from asr.runtime import locks
from tests.recipes import REPOSITORY


def hold(file, ready, release):
    with locks.held(file, "test"):
        ready.set()
        release.wait()


@pytest.fixture
def other(tmp_path):
    """A process that holds the lock."""
    ready, release = multiprocessing.Event(), multiprocessing.Event()
    process = multiprocessing.Process(target=hold, args=(tmp_path / "lock", ready, release), daemon=True)
    process.start()
    assert ready.wait(600)
    yield process
    process.kill()
    process.join()


def test_a_second_run_waits_and_goes_on_when_the_first_is_killed(tmp_path, other, monkeypatch, caplog):
    naps = []

    def sleep(seconds):
        naps.append(seconds)
        if len(naps) == 20:
            other.kill()  # as a machine that goes down: nothing is tidied up
            other.join()

    monkeypatch.setattr(locks.time, "sleep", sleep)
    with locks.held(tmp_path / "lock", "featurize"):
        assert (tmp_path / "lock").read_text().split()[0] == str(os.getpid())
    assert len(naps) == 20
    (said,) = (record.getMessage() for record in caplog.records)
    assert f"process {other.pid} on" in said and "still at work on featurize" in said
    assert f"`kill {other.pid}`" in said


def test_whether_it_is_free_can_be_asked_without_waiting(tmp_path, other):
    with locks.held_if_free(tmp_path / "lock") as free:
        assert not free
    other.kill()
    other.join()
    with locks.held_if_free(tmp_path / "lock") as free:
        assert free


def test_who_waits_ends_with_the_dvc_that_started_it(tmp_path, other):
    script = (
        "from pathlib import Path; from asr.runtime import locks\n"
        f"with locks.held(Path({str(tmp_path / 'lock')!r}), 'featurize'): print('got it')\n"
    )
    start_and_stay = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]]); input()"
    dvc = subprocess.Popen(
        [sys.executable, "-c", start_and_stay, script],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "DVC_STAGE": "featurize"},
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "waiting" in dvc.stderr.readline()
    dvc.kill()
    output, errors = dvc.communicate(timeout=600)  # returns when the child has closed them too
    assert "the dvc that started featurize has ended" in errors and "got it" not in output
