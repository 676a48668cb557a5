"""Provoke faults of the machine in every stage; see what is said, and whether the next `dvc repro` mends it.

    python -m tests.faults                                        # all of them
    python -m tests.faults --only "clock set back" --stages train evaluate

A small recipe runs undisturbed, stage by stage. For each fault and stage a copy from just before (or after)
that stage suffers the fault, then runs `dvc repro` again. That has to succeed, and to end with the same
dvc.lock, data/, metrics/ and report, byte by byte, as the undisturbed one. Exit code 1 if not.

File systems are mounted in a user namespace (`unshare`), which some systems keep for root.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from asr.commands.verify.cli import damaged
from tests import provoke
from tests.kills import events
from tests.provoke import PAGE, Case
from tests.repositories import build

STAGES = [
    "pretrained", "download@sample", "featurize@sample", "filter", "train", "package",
    "transcribe@pretrained", "transcribe@finetuned", "evaluate",
]  # fmt: skip
ENDURING = {"train.max_steps": 8}  # a checkpoint every 2 steps
WORKERS = {"train.dataloader_num_workers": 1}
PROCESSES = {"train.num_processes": 2, "transcribe.num_processes": 2}


@dataclass
class Fault:
    """What is done to which stages, and what the `dvc repro` under it has to say."""

    provoke: Callable[[Case], AbstractContextManager]
    says: str  # a pattern
    fails: bool | None = True  # None: either
    stages: list[str] = field(default_factory=lambda: STAGES)
    after: bool = False  # the stage has run before
    mounts: bool = False
    changes: dict = field(default_factory=dict)


FAULTS = {
    "disk full": Fault(
        provoke.full_for_outputs,
        says=r"no room to write in .*make room and run `dvc repro` again",
        mounts=True,
    ),
    "disk full while DVC commits": Fault(
        lambda case: provoke.full(case, ".dvc/cache", PAGE),
        says="No space left on device",
        fails=None,  # DVC's own choice
        mounts=True,
    ),
    "disk full for checkpoints": Fault(
        lambda case: provoke.full(case, "recipe/checkpoints", 20_000_000),
        says=r"no room to write in .*goes on from checkpoint-\d",
        stages=["train"],
        mounts=True,
    ),
    "data/ not writable": Fault(
        lambda case: provoke.not_writable(case, "recipe/data"),
        says="Permission denied.*let this user read and write there",
    ),
    "checkpoints/ not writable": Fault(
        lambda case: provoke.not_writable(case, "recipe/checkpoints"),
        says="Permission denied.*let this user read and write there",
        stages=["train"],
    ),
    "out of memory": Fault(
        lambda case: provoke.out_of_memory(case, 0),
        # A library may just crash, and so may libc, which says why.
        says=r"out of memory: .*run `dvc repro` again|cannot allocate memory|exited with -\d+",
    ),
    "worker killed": Fault(
        lambda case: provoke.worker_killed(case, 0), says="Running stage", fails=False, stages=["featurize"]
    ),
    "data loader's worker killed": Fault(
        lambda case: provoke.worker_killed(case, 2),
        says="worker process was killed",
        stages=["train"],
        changes=WORKERS,
    ),
    "one of two processes killed": Fault(
        lambda case: provoke.worker_killed(case, 2 if case.stage == "train" else 0),
        says="was ended by SIGKILL: is there enough memory",
        stages=["train", "transcribe@finetuned"],
        changes=PROCESSES,
    ),
    "clock set back": Fault(provoke.clock_set_back, says="Running stage", fails=False),
    "two `dvc repro` at once": Fault(provoke.two_at_once, says="is busy, it is being blocked by"),
    "cache damaged": Fault(
        provoke.cache_damaged, says=r"is damaged \(\d+ bytes\): removed", fails=False, after=True
    ),
}  # fmt: skip


class Undisturbed:
    """The recipe before and after each stage, as nothing has happened to it."""

    def __init__(self, root: Path, changes: dict) -> None:
        root.mkdir()
        self.root = root
        self.folder = build(root / "now", ENDURING | changes).folder
        self.snapshots: list[Path] = []
        self._keep()

    def around(self, stage: str) -> tuple[Path, Path]:
        """Return the repository just before a stage has run, and just after; runs what has not yet."""
        number = STAGES.index(stage)
        while len(self.snapshots) < number + 2:
            code, text = provoke.run(self.folder, "dvc", "repro", STAGES[len(self.snapshots) - 1])
            if code:
                sys.exit(f"the undisturbed run failed:\n{text}")
            self._keep()
        return self.snapshots[number], self.snapshots[number + 1]

    def _keep(self) -> None:
        self.snapshots.append(self.root / str(len(self.snapshots)))
        subprocess.run(["cp", "-a", self.root / "now", self.snapshots[-1]], check=True)


def results(root: Path) -> dict[str, bytes]:
    """Read all that has to be the same."""
    folder = root / "recipe"
    names = ("dvc.lock", "report.html", "metrics", "data")
    found = [file for name in names for file in provoke.files(folder / name)]
    return {str(f.relative_to(folder)): f.read_bytes() for f in found if not f.name.startswith(".lock-")}


def suffer(fault: Fault, case: Case, whole: Path) -> tuple[list[str], list[str]]:
    """Provoke a fault and run again; returns cells of the table, and all that is wrong.

    The cells are: what the fault made the run say, what the run did, what the next one did.
    """
    locked = (case.folder / "dvc.lock").read_bytes() if (case.folder / "dvc.lock").exists() else b""
    wrong = []
    with fault.provoke(case):
        code, text = case.repro()
    text += case.said
    if "Traceback" in text:
        wrong.append("a traceback")
    said = re.search(fault.says, text)
    if not said:
        wrong.append(f"it does not say {fault.says!r}")
    if fault.fails not in (None, bool(code)):
        wrong.append(f"exit code {code}")
    if code and not case.said and (case.folder / "dvc.lock").exists():
        if (case.folder / "dvc.lock").read_bytes() != locked:
            wrong.append("a stage that failed is in dvc.lock")
    code, again = case.repro()
    if code:
        wrong.append(f"the next `dvc repro` failed:\n{again}")
    expected, found = results(whole), results(case.root)
    wrong += [name for name in sorted(expected | found) if expected.get(name) != found.get(name)]
    wrong += [f"damaged in the cache: {path}" for path in damaged(case.root / ".dvc/cache/files/md5")]
    if wrong:
        print(text, again, sep="\n--- the next `dvc repro`:\n", file=sys.stderr)
    did = [", ".join(events(output)) or "had nothing to do" for output in (text, again)]
    return [said[0][:80] if said else "", *did], wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, metavar="STAGE")
    parser.add_argument("--unshared", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if any(FAULTS[name].mounts for name in args.only) and not args.unshared:
        again = [sys.executable, "-m", "tests.faults", "--unshared", *sys.argv[1:]]
        os.execvp("unshare", ["unshare", "--map-root-user", "--mount", *again])
    n_wrong = n_cases = 0
    with tempfile.TemporaryDirectory() as temporary:
        undisturbed: dict[str, Undisturbed] = {}
        print("| fault | stage | said | under it | the next `dvc repro` |\n|---|---|---|---|---|", flush=True)
        for name in args.only:
            fault = FAULTS[name]
            for stage in (stage for stage in fault.stages if stage in args.stages):
                key = str(fault.changes)
                if key not in undisturbed:
                    undisturbed[key] = Undisturbed(Path(temporary, str(len(undisturbed))), fault.changes)
                before, after = undisturbed[key].around(stage)
                start, root = after if fault.after else before, Path(temporary, f"case-{n_cases}")
                case = Case(start, root, stage, after)
                with case.undo:
                    cells, wrong = suffer(fault, case, after)
                n_cases, n_wrong = n_cases + 1, n_wrong + bool(wrong)
                print("|", " | ".join([name, stage, *cells]), "|", *wrong, flush=True)
                shutil.rmtree(case.root)
    print(f"\n{n_cases} cases, {n_wrong} of them wrong")
    sys.exit(bool(n_wrong))


if __name__ == "__main__":
    main()
