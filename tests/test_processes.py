"""Several processes, on the CPU: how they are started, and what they say."""

import os
import signal
import subprocess
import sys

import psutil
import pytest
import torch

from asr.runtime import processes
from tests.recipes import REPOSITORY
from tests.servers import unused_port

PROBE = """
import os, sys, time
from asr.runtime import processes
from asr.runtime.errors import report_errors


def say(*words):
    # In one call: what two processes print into the same pipe is else mixed within a line.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())


if "nameless" in sys.argv:
    import socket

    def no_name(*args):
        return "no-such-host.invalid"

    socket.getfqdn = no_name

with report_errors("probe", stage=False):
    processes.start("probe", int(sys.argv[1]))
    rank, size = processes.rank(), processes.world_size()
    if "fail" in sys.argv:
        raise OSError("no such thing")
    if f"break-{rank}" in sys.argv:
        raise KeyError(f"broken in {rank}")
    if f"die-{rank}" in sys.argv:
        os.kill(os.getpid(), 9)
    say(rank, "of", size, "main" if processes.is_main() else "not main")
    if "sleep" in sys.argv:
        say("process", os.getpid())
        time.sleep(100)
    processes.barrier()
    if rank == size - 1:
        say(processes.gather([rank, rank * 10]))
    else:
        processes.gather([rank, rank * 10])
"""


@pytest.fixture
def probe(tmp_path):
    (tmp_path / "probe.py").write_text(PROBE)

    def start(*args, python="python", command=("-m", "probe"), **environment):
        return subprocess.Popen(
            [python, *command, *map(str, args)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{REPOSITORY}:{tmp_path}", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def said(process, code=0):
    """Return the lines that processes have printed."""
    output = process.communicate(timeout=1800)[0]
    assert process.returncode == code, output
    return sorted(output.splitlines())


def test_one_process_is_just_this_one(probe):
    assert said(probe(1)) == ["0 of 1 main", "[0, 0]"]


def test_two_are_started_and_know_each_other(probe):
    assert said(probe(2)) == ["0 of 2 main", "1 of 2 not main", "[0, 0, 1, 10]"]


def test_torchrun_may_start_them_and_then_says_how_many(probe):
    run = ("-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "probe")
    lines = said(probe(1, python=sys.executable, command=run))
    assert lines == ["0 of 2 main", "1 of 2 not main", "[0, 0, 1, 10]"]


def test_two_machines_find_each_other(probe):
    port = str(unused_port())
    environment = {"PET_NNODES": "2", "PET_MASTER_ADDR": "localhost", "PET_MASTER_PORT": port}
    first, second = (probe(1, PET_NODE_RANK=rank, **environment) for rank in "01")
    assert said(first) == ["0 of 2 main"]
    assert said(second) == ["1 of 2 not main", "[0, 0, 1, 10]"]


def test_on_one_machine_they_do_not_need_its_name(probe):
    assert "[0, 0, 1, 10]" in said(probe(2, "nameless"))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("fail", "probe: no such thing"),
        ("die-1", "probe: process 1 was ended by SIGKILL: is there enough memory?"),
    ],
)
def test_what_went_wrong_is_said_once(probe, how, message):
    assert [line for line in said(probe(2, how), code=1) if " of 2 " not in line] == [message]


def test_a_defect_keeps_its_traceback_and_the_others_are_silent(probe):
    lines = said(probe(2, "break-1"), code=1)
    assert lines.count("KeyError: 'broken in 1'") == 1
    assert sum("Traceback" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("number", "code", "python"),
    # A forked launcher that is killed leaves its workers.
    [(signal.SIGTERM, 143, "python"), (signal.SIGKILL, -9, sys.executable)],
    ids=["SIGTERM", "SIGKILL"],
)
def test_ending_the_launcher_ends_them_all(probe, number, code, python):
    process = probe(2, "sleep", python=python)
    lines = (line for line in process.stdout if line.startswith("process"))
    workers = [psutil.Process(int(next(lines).split()[1])) for _ in range(2)]
    process.send_signal(number)
    assert process.wait(timeout=600) == code
    assert psutil.wait_procs(workers, timeout=600)[1] == []


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="3 processes on this machine, which has 2 GPUs: set train.num_proc"):
        processes.start("stages.train", 3)


@pytest.mark.parametrize(("before", "after"), [(None, "0"), ("2,3", "2"), ("", "")])
def test_one_process_sees_one_gpu(monkeypatch, before, after):
    if before is None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that it is put back
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("CUDA has read the variable by now"))
    processes.start("stages.train", 1)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == after
