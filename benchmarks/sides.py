"""The two sides of the benchmark as processes: one works while the other waits."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.memory import watch
from benchmarks.recipes import REPOSITORY
from benchmarks.turns import MARK

MODULES = {"notebook": "benchmarks.notebook", "ours": "benchmarks.ours"}


class Side:
    """A process that takes turns, `python -m MODULE PHASE NUMBER`, and what it said."""

    def __init__(self, module: str, phase: str, number: int, folder: Path) -> None:
        self.taken: list[dict] = []  # seconds and n_clips of each turn
        self.result: dict | None = None
        self.cuda_bytes: int | None = None
        self.log = folder / f"{module}-{phase}.log"
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, phase, str(number)],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            text=True,
        )
        self.watcher = ThreadPoolExecutor(1).submit(watch, self.process)
        self._listen()

    def take_turn(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self._listen()

    def _listen(self) -> None:
        """Take in what the process says until it is ready for another turn or has ended."""
        for line in self.process.stdout:
            if not line.startswith(MARK):
                continue  # a library's
            message = json.loads(line.removeprefix(MARK))
            if "ready" in message:
                return
            if "seconds" in message:
                self.taken.append(message)
            else:
                self.result, self.cuda_bytes = message["result"], message["cuda_bytes"]
        if self.process.wait() or self.result is None:
            raise RuntimeError(f"{' '.join(self.process.args)} failed:\n{self.log.read_text()[-3000:]}")

    @property
    def rss_bytes(self) -> int:
        """The largest resident memory, once the process has ended."""
        return self.watcher.result().rss


def alternate(phase: str, number: int, folder: Path, modules: dict[str, str] = MODULES) -> dict[str, Side]:
    """Let both sides take turns until both have ended."""
    sides = {name: Side(module, phase, number, folder) for name, module in modules.items()}
    while any(side.result is None for side in sides.values()):
        for side in sides.values():
            if side.result is None:
                side.take_turn()
    return sides
