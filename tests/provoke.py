"""The faults that tests/faults.py provokes: each a context manager around one `dvc repro` of a stage."""

import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import yaml

from tests.kills import Run, last_step
from tests.repositories import FORKED

PAGE = 4096
YEAR_S = 365 * 86400
AS_A_USER = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]  # root heeds no mode bits else
# Imported by every process of a stage before anything else: it lies in the first folder of their path.
OUT_OF_MEMORY = """
import os, resource, threading, time
from pathlib import Path

def at_work():
    return any(lock.read_text().startswith(f"{{os.getpid()}} ") for lock in Path("data").glob(".lock-*"))

def limit():
    while not at_work():
        time.sleep(0.005)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + {headroom}, resource.RLIM_INFINITY))

threading.Thread(target=limit, daemon=True).start()
"""
CLOCK_RUNS_BACK = """
import time
real, began = time.time, time.time()
time.time = lambda: began - 365 * 86400 - 60 * (real() - began)
time.time_ns = lambda: int(time.time() * 1e9)
"""


def run(folder: Path, *command: str, environment: dict = FORKED) -> tuple[int, str]:
    """Run a command in a folder; returns its exit code and what it printed."""
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(command, cwd=folder, env=environment, **both)
    return done.returncode, done.stdout


class Case:
    """A copy of a repository in which a stage is to run, or has run."""

    def __init__(self, start: Path, root: Path, stage: str, whole: Path) -> None:
        """Copy `start` to `root`; `whole` is the same repository when nothing has disturbed the stage."""
        subprocess.run(["cp", "-a", start, root], check=True)
        self.root, self.folder, self.stage = root, root / "recipe", stage
        self.script = stage.split("@")[0]
        outs = yaml.safe_load((whole / "recipe/dvc.lock").read_text())["stages"][stage]["outs"]
        found = [file for out in outs for file in files(whole / "recipe" / out["path"])]
        self.sizes = {root / file.relative_to(whole): file.stat().st_size for file in found}
        self.outputs = list(self.sizes)
        self.cached = [file for file in self.outputs if "metrics" not in file.parts]
        self.undo = ExitStack()  # when all is over
        self.prefix: list[str] = []
        self.said = ""  # beside what the run itself says

    def repro(self, environment: dict) -> tuple[int, str]:
        """Run `dvc repro` up to the stage; returns its exit code and what was said."""
        return run(self.folder, *self.prefix, "dvc", "repro", self.stage, environment=environment)

    def mount(self, place: Path, n_bytes: int) -> None:
        """Put a file system in memory of `n_bytes` over a folder, with what lies in it."""
        place.mkdir(parents=True, exist_ok=True)
        aside = self.root.with_suffix(".aside")
        subprocess.run(["cp", "-a", place, aside], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1G", "tmpfs", place], check=True)
        self.undo.callback(subprocess.run, ["umount", "--lazy", place], check=True)
        subprocess.run(["cp", "-a", f"{aside}/.", place], check=True)
        subprocess.run(["rm", "-rf", aside], check=True)
        self.resize(place, used(place) + n_bytes)

    def resize(self, place: Path, n_bytes: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={n_bytes}", place], check=True)

    def inject(self, code: str) -> None:
        """Have every process of a stage run some code first, until the file is removed."""
        (self.root / "sitecustomize.py").write_text(code)


def files(path: Path) -> list[Path]:
    """List a file, or the files in a folder."""
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def used(place: Path) -> int:
    found = os.statvfs(place)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


@contextmanager
def full(case: Case, place: str, n_bytes: int) -> Iterator[None]:
    """Leave `n_bytes` free in a folder of the repository; there is room afterwards."""
    case.mount(case.root / place, n_bytes)
    yield
    case.resize(case.root / place, 10**9)


def full_for_outputs(case: Case) -> AbstractContextManager:
    """Leave room for the stage's lock and half of what it writes."""
    place = "recipe/metrics" if case.stage == "evaluate" else "recipe/data"
    found = [file for file in case.outputs if file.is_relative_to(case.root / place)]
    pages = sum(-(-case.sizes[file] // PAGE) for file in found)
    return full(case, place, PAGE * (1 + pages // 2))


@contextmanager
def not_writable(case: Case, place: str) -> Iterator[None]:
    """Take the right to write in a folder of the repository away."""
    (case.root / place).mkdir(parents=True, exist_ok=True)
    (case.root / place).chmod(0o555)
    case.prefix = AS_A_USER if os.geteuid() == 0 else []
    yield
    case.prefix = []
    (case.root / place).chmod(0o755)


@contextmanager
def out_of_memory(case: Case, headroom: int) -> Iterator[None]:
    """Let the stage's processes have `headroom` bytes more than when the stage goes to work."""
    case.inject(OUT_OF_MEMORY.format(headroom=headroom))
    yield
    (case.root / "sitecustomize.py").unlink()


@contextmanager
def clock_set_back(case: Case) -> Iterator[None]:
    """Date the files a year around now, at random, and let the stage's clock run back from a year ago."""
    chance = random.Random(1)
    for path in sorted(case.root.rglob("*")):
        when = time.time() + chance.uniform(-YEAR_S, YEAR_S)
        os.utime(path, (when, when), follow_symlinks=False)
    case.inject(CLOCK_RUNS_BACK)
    yield
    (case.root / "sitecustomize.py").unlink()


@contextmanager
def worker_killed(case: Case, after_step: int) -> Iterator[None]:
    """Kill one of the stage's own processes, as the kernel does when memory runs out."""
    killed = []

    def kill() -> None:
        while not killed:
            with suppress(psutil.NoSuchProcess):
                for process in psutil.Process().children(recursive=True):
                    if f"stages.{case.script}" in process.cmdline() and process.cwd() == str(case.folder):
                        for worker in process.children():
                            if "resource_tracker" in str(worker.cmdline()) or last_step(case) < after_step:
                                continue
                            worker.kill()
                            killed.append(worker.pid)
                            return
            time.sleep(0.005)

    threading.Thread(target=kill, daemon=True).start()
    yield
    assert killed, "no worker was found"


@contextmanager
def two_at_once(case: Case) -> Iterator[None]:
    """Start another `dvc repro` first."""
    log = case.root.with_suffix(".txt")
    other = Run(case, log, case.stage)
    while other.dvc.poll() is None and not other.stage()[1]:
        time.sleep(0.02)
    yield
    other.dvc.wait()
    case.said = f"\n--- the other one, exit code {other.dvc.returncode}:\n{log.read_text()}"


@contextmanager
def cache_damaged(case: Case) -> Iterator[None]:
    """Change a byte in every cached file of the outputs, their dates as they were, and remove the outputs."""
    for output in case.cached:
        output.unlink()
    for command in (("config", "cache.type", "hardlink"), ("checkout", case.stage)):
        code, text = run(case.folder, "dvc", *command)
        assert code == 0, text
    assert all(output.stat().st_nlink > 1 for output in case.cached)  # so the cached files change with them
    for output in {output.stat().st_ino: output for output in case.cached}.values():
        flip(output)
    for output in case.cached:
        output.unlink()
    case.said = run(case.root, "python", "-m", "asr", "verify")[1]
    yield


def flip(path: Path) -> None:
    """Change one byte of a file; its size and its dates stay."""
    dates = path.stat()
    path.chmod(0o644)  # DVC makes it read-only
    with path.open("r+b") as file:
        file.seek(dates.st_size // 2)
        byte = file.read(1)[0]
        file.seek(dates.st_size // 2)
        file.write(bytes([byte ^ 1]))
    path.chmod(dates.st_mode & 0o777)
    os.utime(path, ns=(dates.st_atime_ns, dates.st_mtime_ns))
