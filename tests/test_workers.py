import os
import signal
import time

import pytest

from asr.runtime import workers
from asr.runtime.workers import Died, in_order, n_workers

_started = []


def start(what):
    _started.append(what)


def double(row):
    return (2 * row, _started)


def fatal(row):
    if row in (5, 6, 40):
        os.kill(os.getpid(), signal.SIGKILL)
    return row


def endless(row):
    while row == 3:
        pass
    return row


def die(*args):
    os._exit(1)


def refuse(row):
    raise KeyError(row)


@pytest.mark.parametrize("n_rows", [0, 1, 100])
def test_results_come_in_order_from_processes_that_were_started_once(n_rows):
    found = list(in_order(double, n_rows, start, ("x",)))
    assert found == [(2 * row, ["x"]) for row in range(n_rows)]
    assert _started == []


def test_there_is_a_process_for_each_core_that_a_job_was_given(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 8}, raising=False)
    assert n_workers() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # not on a Mac
    assert n_workers() == os.cpu_count()


def test_a_row_that_kills_its_process_is_named_and_no_other_is_lost(monkeypatch):
    monkeypatch.setattr(workers, "CHUNK", 2)
    found = list(in_order(fatal, 100, start, ("x",)))
    died = [row for row in range(100) if isinstance(found[row], Died)]
    assert died == [5, 6, 40]
    assert [row for row in found if not isinstance(row, Died)] == [r for r in range(100) if r not in died]
    assert "its process crashed" in found[5]


def test_a_row_that_does_not_end_is_ended(monkeypatch):
    monkeypatch.setattr(workers, "LIMIT_S", 0.3)
    found = list(in_order(endless, 20, start, ("x",)))
    assert [isinstance(row, Died) for row in found] == [row == 3 for row in range(20)]


def test_processes_that_die_whatever_they_do_end_the_run():
    with pytest.raises(ChildProcessError, match="before they compute"):
        list(in_order(double, 10, die, ()))


def test_an_error_stays_an_error():
    with pytest.raises(KeyError):
        list(in_order(refuse, 10, start, ("x",)))


def leave_a_file(row):
    (_started[0] / str(row)).touch()
    return row


def test_results_that_are_not_taken_yet_are_few(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "CHUNK", 2)
    bound = n_workers() * workers.AHEAD * workers.CHUNK
    for row in in_order(leave_a_file, 10 * bound, start, (tmp_path,)):
        if row % 10 == 0:
            time.sleep(0.05)  # time enough for them all, were there no bound
        assert len(list(tmp_path.iterdir())) <= row + bound
