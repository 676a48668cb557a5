"""A training that writes down what it sees, and can be held at a step, to be killed or hindered there."""

import os
import signal
import subprocess
import time

from tests.recipes import Recipe

# Runs stages.train, and writes down which labels each process saw in each forward pass. The pass
# ASR_LAST_PASS waits for a file called go.
SPY = """
import json
import os
import time
from pathlib import Path

from asr.runtime import processes
from asr.runtime.errors import report_errors
from asr.training.trainer import WhisperTrainer
from stages import train

Path(f"process-{os.getpid()}").touch()
start, step, seen = processes.start, WhisperTrainer.training_step, []


def training_step(self, model, inputs, *rest):
    seen.append(inputs["labels"].tolist())
    while str(len(seen)) == os.environ.get("ASR_LAST_PASS") and not Path("go").exists():
        time.sleep(0.05)
    return step(self, model, inputs, *rest)


WhisperTrainer.training_step = training_step
processes.start = lambda module, count: start("spy", count)
with report_errors("train"):
    train.main()
    everyone = processes.gather([seen])
    if processes.is_main():
        Path("seen.json").write_text(json.dumps(everyone))
"""


def start_spy(recipe: Recipe, **environment: str) -> subprocess.Popen:
    """Start a training; it writes seen.json, a list of passes for each process."""
    (recipe.folder / "spy.py").write_text(SPY)
    return subprocess.Popen(
        ["python", "-m", "spy"],
        cwd=recipe.folder,
        env={**os.environ, "PYTHONPATH": "..:.", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(running: subprocess.Popen, recipe: Recipe, pattern: str) -> None:
    """Wait until a file that matches is in the folder of a training's checkpoints."""
    while not list(recipe.folder.glob(f"checkpoints/*/{pattern}")):
        assert running.poll() is None, running.communicate()[0]
        time.sleep(0.05)


def kill_in_pass(recipe: Recipe, number: int, when: str) -> None:
    """Start a training; kill its processes in their pass of that number, once a file matches `when`."""
    running = start_spy(recipe, ASR_LAST_PASS=str(number))
    wait_for(running, recipe, when)
    for file in recipe.folder.glob("process-*"):
        os.kill(int(file.name.split("-")[1]), signal.SIGKILL)
    running.communicate()
