"""Kill `dvc repro` again and again, at random moments of all stages; see whether anything is lost.

    python -m tests.kills --kills 20 --seed 1

A small recipe runs once undisturbed; another, up to the first stage that is killed. From there it is killed,
and run again, and killed. In the end both have to have the same metrics and model, byte for byte, and the
same stages in dvc.lock. Exit code 1 if not.
"""

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import psutil
import yaml

from tests.recipes import Recipe
from tests.repositories import ENVIRONMENT, FORKED, build

# A stage in proportion to what there is to lose.
STAGES = [
    "train", "featurize sample", "train", "evaluate", "download sample", "train", "filter",
    "transcribe data/model", "pretrained", "transcribe data/pretrained",
]  # fmt: skip
LASTS_S = 5  # a stage of this recipe
LEAVES_IT_BEHIND = "SIGKILL, dvc alone"
WAYS = [
    "SIGKILL, dvc and its stage",  # as when the machine goes down
    LEAVES_IT_BEHIND,
    "SIGTERM, dvc and its stage",  # as when the machine is shut down
    "SIGKILL, the stage alone",  # as when memory runs out
]
# What a line of a run's output tells.
EVENTS = [
    (r"Running stage '(.+)'", r"ran \1"),
    (r"is still at work on (\S+) .*waiting", r"waited for the \1 left behind"),
    (r"resuming from .*checkpoint-(\d+)", r"resumed from step \1"),
    (r"has ended, its best model is taken", r"took the ended training's model"),
    (r"Stage '(.+)' is cached", r"took \1 from the cache"),
]


class Run:
    """A `dvc repro`."""

    def __init__(self, recipe: Recipe, log: Path, *stages: str, environment: dict = ENVIRONMENT) -> None:
        self.log = log
        self.dvc = psutil.Popen(
            ["dvc", "repro", *stages],
            cwd=recipe.folder,
            env=environment,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def stage(self) -> tuple[psutil.Process | None, str]:
        """Return the process of the stage that is running now, and its name with the model it uses."""
        try:
            for process in self.dvc.children(recursive=True):
                words = process.cmdline()
                if "-m" in words and words[words.index("-m") + 1].startswith("stages."):
                    at = words.index("-m") + 1
                    return process, " ".join([words[at].removeprefix("stages."), *words[at + 1 : at + 2]])
        except psutil.NoSuchProcess:
            pass
        return None, ""

    def kill(self, way: str) -> str:
        """Kill in one of `WAYS`; returns the name of the stage that was running."""
        process, name = self.stage()
        number = signal.Signals[way.split(",")[0]]
        try:
            if way.endswith("dvc and its stage"):
                os.killpg(self.dvc.pid, number)
            elif process and way.endswith("the stage alone"):
                process.send_signal(number)
            else:
                self.dvc.send_signal(number)
        except (ProcessLookupError, psutil.NoSuchProcess):
            pass  # it ended by itself
        self.dvc.wait()
        return name or "between stages"


def events(output: str) -> list[str]:
    """List what a run did, in order, from what it printed."""
    tried = ((re.search(pattern, line), tells) for line in output.splitlines() for pattern, tells in EVENTS)
    return [match.expand(tells) for match, tells in tried if match]


def undisturbed(recipe: Recipe, log: Path, *stages: str) -> dict[str, str]:
    """Run a recipe, or some stages; returns their names, in their order: `Run.stage`'s and DVC's of each."""
    if Run(recipe, log, *stages, environment=FORKED).dvc.wait():
        sys.exit(f"an undisturbed run failed:\n{log.read_text()}")
    ran = re.findall(r"^Running stage '(.+)':\n> .* -m stages\.(\S+(?: \S+)?)", log.read_text(), re.MULTILINE)
    return {ours: theirs for theirs, ours in ran}


def disturbed(recipe: Recipe, names: dict[str, str], kills: int, seed: int, logs: Path) -> list[list]:
    """Run a recipe and kill it `kills` times, then to its end; returns a row of the table for each kill."""
    chance = random.Random(seed)
    ways = list(islice(cycle(WAYS), kills))
    chance.shuffle(ways)
    # A training that is left behind comes to its end, so that comes last: nothing would be left to resume.
    order = list(names)
    plan = sorted(
        zip(islice(cycle(STAGES), kills), ways, strict=False),
        key=lambda kill: (order.index(kill[0]), kill == ("train", LEAVES_IT_BEHIND)),
    )
    if before := list(names.values())[: order.index(plan[0][0])]:
        undisturbed(recipe, logs / "before.txt", *before)
    rows = []
    for number, (stage, way) in enumerate(plan, 1):
        run = Run(recipe, logs / f"{number}.txt")
        while run.dvc.poll() is None and run.stage()[1] != stage:
            time.sleep(0.1)
        if run.dvc.poll() is not None:
            sys.exit(f"`dvc repro` after kill {number - 1} did not come to {stage}:\n{run.log.read_text()}")
        began = time.monotonic()
        if stage == "train":
            step = last_step(recipe) + chance.choice([2, 4, 6])
            while run.stage()[1] == "train" and last_step(recipe) < step:
                time.sleep(0.1)
            time.sleep(chance.uniform(0, 1))
        else:
            time.sleep(chance.uniform(0, LASTS_S))
        took, step = time.monotonic() - began, last_step(recipe)
        hit = run.kill(way)
        if rows:
            rows[-1].append(events(run.log.read_text(errors="replace")))
        rows.append([number, f"{hit}, step {step} saved" if hit == "train" else hit, f"{took:.1f}", way])
        print(*rows[-1], file=sys.stderr, flush=True)
    undisturbed(recipe, last := logs / "last.txt")
    rows[-1].append(events(last.read_text()))
    return rows


def last_step(recipe: Recipe) -> int:
    """Return the step of the last checkpoint that is marked whole; 0 if there is none."""
    marks = recipe.folder.glob("checkpoints/*/checkpoint-*/whole")
    return max((int(mark.parent.name.split("-")[1]) for mark in marks), default=0)


def results(recipe: Recipe) -> dict[str, object]:
    """Read all that has to be the same."""
    folder = recipe.folder
    files = [*folder.glob("metrics/**/*"), *folder.glob("data/model/*")]
    found = {str(file.relative_to(folder)): file.read_bytes() for file in files if file.is_file()}
    # Not its bytes: stages that do not need each other run in an order that changes from one dvc to the next.
    return found | {"dvc.lock": yaml.safe_load((folder / "dvc.lock").read_text())}


def left_over(recipe: Recipe) -> list[str]:
    """List what a killed run has left half written."""
    return [str(file) for name in ("data", "checkpoints") for file in (recipe.folder / name).rglob("*.part")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        # A checkpoint every 2 steps; a kill comes a few steps after the last one.
        enduring = {"train.max_steps": 40 if args.kills > 1 else 8, "train.warmup_steps": 2}
        whole, killed = (build(root / name, enduring) for name in ("undisturbed", "killed"))
        names = undisturbed(whole, root / "undisturbed.txt")
        rows = disturbed(killed, names, args.kills, args.seed, root)
        expected, found = results(whole), results(killed)
        wrong = sorted(name for name in expected | found if expected.get(name) != found.get(name))
        wrong += left_over(killed)
        print("| kill | stage | after s | how | the next `dvc repro` |\n|---:|---|---:|---|---|")
        for *row, events in rows:
            print("|", " | ".join(map(str, row)), "|", ", ".join(events) or "was killed at once", "|")
        print(f"\n{args.kills} kills; {len(expected)} files compared, {len(wrong)} of them wrong", *wrong)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
