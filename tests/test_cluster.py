"""cluster/ without a cluster: what its files name exists, and slurm.sh does things in the right order."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest
import yaml

from tests.recipes import REPOSITORY
from tests.test_pipeline import STAGES

SLURM, SKYPILOT = REPOSITORY / "cluster/slurm.sh", REPOSITORY / "cluster/skypilot.yaml"
TASK = yaml.safe_load(SKYPILOT.read_text())
PARAMS = yaml.safe_load((REPOSITORY / "params.yaml").read_text())

# Each says in calls.txt how it was called. A stage that is not up to date has no file of its name.
STUBS = {
    "dvc": """
        echo "dvc $* ${PET_NODE_RANK-}" >> calls.txt
        case $* in
            "status --quiet train") test -e train ;;
            "repro") if test -e slow; then sleep 60; fi ;;
            *train) test ! -e broken ;;
            "remote list") if test -e remote; then echo mine; fi ;;
        esac""",
    "python": 'echo "python $* $PYTHONPATH of $PET_NNODES at $PET_MASTER_ADDR $PET_NODE_RANK" >> calls.txt',
    "scontrol": 'echo "scontrol $*" >> calls.txt',
    "hostname": "echo first",
    "srun": """
        while [[ $1 == --* ]]; do shift; done
        SLURM_NODEID=0 "$@" || exit
        SLURM_NODEID=1 "$@" """,
}


@pytest.fixture
def job(tmp_path):
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").write_text('PATH="$SLURM_SUBMIT_DIR/.venv/bin:$PATH"\n')
    for name, body in STUBS.items():
        file = tmp_path / ".venv/bin" / name
        file.write_text(f"#!/bin/bash\n{body}\n")
        file.chmod(0o755)
    return tmp_path


def start(job, nodes=1):
    return subprocess.Popen(
        ["bash", SLURM],
        env={**os.environ, "SLURM_SUBMIT_DIR": job, "SLURM_JOB_NUM_NODES": str(nodes), "SLURM_JOB_ID": "7"},
        start_new_session=True,
    )


def calls(job):
    return [line.rstrip() for line in (job / "calls.txt").read_text().splitlines()]


def test_a_job_on_one_node_is_dvc_repro(job):
    assert start(job).wait(timeout=600) == 0
    assert calls(job) == ["dvc repro filter", "dvc repro"]


def test_several_nodes_train_together_and_the_first_does_the_rest(job):
    assert start(job, nodes=2).wait(timeout=600) == 0
    assert calls(job) == [
        "dvc repro filter",
        "dvc status --quiet train",
        "dvc repro --single-item --no-run-cache train 0",
        "python -m stages.train . of 2 at first 1",
        "dvc repro",
    ]


def test_no_node_waits_for_a_training_that_is_up_to_date(job):
    (job / "train").touch()
    assert start(job, nodes=2).wait(timeout=600) == 0
    assert calls(job) == ["dvc repro filter", "dvc status --quiet train", "dvc repro"]


def test_a_job_whose_training_fails_fails(job):
    (job / "broken").touch()
    assert start(job, nodes=2).wait(timeout=600) != 0
    assert calls(job)[-1].startswith("dvc repro --single-item")


def test_a_job_at_its_time_limit_ends_its_work_and_is_queued_again(job):
    (job / "slow").touch()
    process = start(job)
    deadline = time.monotonic() + 600
    while not (job / "calls.txt").exists() or calls(job)[-1:] != ["dvc repro"]:
        assert time.monotonic() < deadline, "the job did not come to `dvc repro`"
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    process.wait(timeout=600)
    assert calls(job)[-1] == "scontrol requeue 7"
    while not ended(process.pid):
        assert time.monotonic() < deadline, "the job's work goes on"
        time.sleep(0.05)


def ended(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("text", [SLURM.read_text(), SKYPILOT.read_text()], ids=["slurm", "skypilot"])
def test_what_is_named_exists(text):
    stages = re.findall(r"dvc repro (?:--[\w-]+ )*(\w+)", text)
    assert set(stages) <= set(STAGES)
    for module in re.findall(r"python -m (\S+)", text):
        assert (REPOSITORY / (module.replace(".", "/") + ".py")).exists(), module
    for target in re.findall(r"make (?:PYTHON=\S+(?: \S+)*\" )?(\.venv/\S+)", text):
        assert re.search(rf"^{re.escape(target)}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    for section, key in re.findall(r"\b(train|transcribe)\.(\w+)", text):
        assert key in PARAMS[section], f"{section}.{key}"
    for file in re.findall(r"\b(?:docs|cluster)/[\w.]+\w", text):
        assert (REPOSITORY / file).exists(), file


def test_the_task_puts_the_corpus_where_the_recipe_looks():
    ((target, source),) = TASK["file_mounts"].items()
    assert target == f"~/sky_workdir/{PARAMS['corpora']['cv13']['path']}"
    assert source == "${CORPUS}"
    assert TASK["envs"]["CORPUS"] == PARAMS["corpora"]["cv13"]["path"]


@pytest.mark.parametrize("part", ["setup", "run"])
def test_the_tasks_commands_are_bash_and_end_at_the_first_failure(part):
    assert TASK[part].startswith("set -e\n")
    subprocess.run(["bash", "-n"], input=TASK[part], text=True, check=True)


@pytest.mark.parametrize("remote", [False, True])
def test_the_task_runs_the_recipe_and_pushes_to_a_remote_that_there_is(job, remote):
    (job / ".venv/bin/nvidia-smi").symlink_to(shutil.which("true"))
    if remote:
        (job / "remote").touch()
    environment = {
        **os.environ,
        "SLURM_SUBMIT_DIR": str(job),
        "PATH": f"{job}/.venv/bin:{os.environ['PATH']}",
    }
    subprocess.run(["bash", "-c", TASK["run"]], cwd=job, env=environment, check=True)
    assert calls(job) == ["dvc repro", "dvc remote list", *["dvc push"] * remote]
