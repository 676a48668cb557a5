"""Several processes, on the CPU: how they are started, what they say, and that they train as one does."""

import json
import os
import signal
import subprocess
import sys

import pandas as pd
import psutil
import pytest
import torch
from safetensors.torch import load_file

from asr.runtime import processes
from asr.training.batches import NO_LOSS
from tests.recipes import REPOSITORY, Recipe
from tests.servers import unused_port
from tests.spied import kill_in_pass, start_spy

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
    assert said(probe(2, python=sys.executable)) == ["0 of 2 main", "1 of 2 not main", "[0, 0, 1, 10]"]


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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_ending_the_launcher_ends_them_all(probe, number, code):
    process = probe(2, "sleep", python=sys.executable)
    for _ in range(2):
        while " of 2 " not in process.stdout.readline():
            assert process.poll() is None
    children = psutil.Process(process.pid).children()
    assert len(children) == 2
    process.send_signal(number)
    assert process.wait(timeout=600) == code
    assert psutil.wait_procs(children, timeout=600)[1] == []


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


# Seven steps are most of two epochs of 32 rows. Three validation rows at a time leave a last batch of two.
SETTINGS = {
    "train.padding": "longest",  # of a global batch, however many processes share it
    "train.per_device_train_batch_size": 4,
    "train.per_device_eval_batch_size": 3,
    "train.max_steps": 7,
    "train.eval_steps": 3,
    "train.save_steps": 3,
    "train.learning_rate": 1.5e-3,  # so that a difference shows
}


def trained(folder, finished, changes):
    """Return a recipe whose training has been run, and the label ids of each of its optimizer steps."""
    folder.mkdir()
    recipe = Recipe(folder, SETTINGS | changes)
    recipe.share(finished)
    said(start_spy(recipe))
    passes = json.loads((recipe.folder / "seen.json").read_text())  # of each process
    accumulated = changes["train.gradient_accumulation_steps"]
    steps = [
        sorted(
            [label for label in row if label != NO_LOSS]
            for seen in passes
            for batch in seen[first : first + accumulated]
            for row in batch
        )
        for first in range(0, len(passes[0]), accumulated)
    ]
    return recipe, steps


@pytest.fixture(scope="module")
def alone(tmp_path_factory, finished):
    settings = {"train.num_processes": 1, "train.gradient_accumulation_steps": 2}
    return trained(tmp_path_factory.mktemp("alone") / "one", finished, settings)


@pytest.fixture(scope="module")
def shared(tmp_path_factory, finished):
    settings = {"train.num_processes": 2, "train.gradient_accumulation_steps": 1}
    return trained(tmp_path_factory.mktemp("shared") / "two", finished, settings)


@pytest.mark.slow
def test_two_processes_see_the_global_batches_of_one_that_accumulates(alone, shared):
    assert [len(step) for step in alone[1]] == [8] * 7
    assert shared[1] == alone[1]
    assert alone[1][0] != alone[1][4]  # the second epoch has an order of its own


@pytest.mark.slow
def test_two_processes_train_as_one_that_accumulates(alone, shared):
    # Both add the same float32 gradients up in another order. Adam divides by their size, which makes the
    # most of it where they are next to nothing; a wrong mean or a lost row is some hundred times as much.
    one, two = alone[0].folder, shared[0].folder
    for name in ("training_curve.csv", "validation_curve.csv"):
        curves = [pd.read_csv(folder / "metrics" / name) for folder in (one, two)]
        pd.testing.assert_frame_equal(*curves, rtol=1e-4)
        assert len(curves[0]) >= 3
    heard = [json.loads((folder / "metrics/train.json").read_text())["padding"] for folder in (one, two)]
    assert heard[0] == heard[1] and heard[0]["compared"] == 8
    weights, others = (load_file(folder / "data/trained/model.safetensors") for folder in (one, two))
    start = load_file(one / "data/pretrained/model.safetensors")
    moved = {name: (weights[name] - start[name]).abs().max() for name in start}
    assert max(moved.values()) > 1e-3
    for name in weights:
        torch.testing.assert_close(others[name], weights[name], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_killed_training_of_two_processes_ends_as_an_undisturbed_one(tmp_path, finished, shared):
    recipe = Recipe(tmp_path, {})
    recipe.params = shared[0].params
    recipe.set({})
    recipe.share(finished)
    # In the middle of the second epoch, whose order has to be found again.
    kill_in_pass(recipe, 7, "checkpoint-6/whole")
    assert "resuming from" in recipe.run("train")
    for file in ("metrics/training_curve.csv", "metrics/validation_curve.csv", "metrics/train.json"):
        assert (recipe.folder / file).read_text() == (shared[0].folder / file).read_text()
    model = "data/trained/model.safetensors"
    assert (recipe.folder / model).read_bytes() == (shared[0].folder / model).read_bytes()


def test_two_processes_write_the_transcripts_of_one(tmp_path, finished):
    recipe = Recipe(tmp_path, {"transcribe.batch_size": 2})
    recipe.share(finished)
    recipe.run("transcribe", "data/pretrained", "data/one.jsonl")
    recipe.set({"transcribe.num_processes": 2})
    recipe.run("transcribe", "data/pretrained", "data/two.jsonl")
    one, two = ((recipe.folder / f"data/{name}.jsonl").read_bytes() for name in ("one", "two"))
    assert two == one
    rows = pd.read_csv(recipe.folder / "data/filtered/test.csv")
    assert [json.loads(line)["id"] for line in one.splitlines()] == list(rows["id"])
    assert not list((recipe.folder / "data").glob("*.part"))
