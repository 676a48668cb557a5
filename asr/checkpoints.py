"""Checkpoints of an unfinished training, kept where a killed run finds them again.

DVC deletes a stage's outputs before it runs, so checkpoints lie outside of them, in a folder named
after everything that decides how training goes: what `dvc.yaml` declares for it, and the software. Any
change gives another name, so a stale checkpoint is never resumed.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from transformers import TrainerCallback

WHOLE = "whole"  # the file that marks a checkpoint as completely written


def checkpoint_folder(stage: str, also: dict) -> Path:
    """Name the folder of a stage's checkpoints after its declared dependencies, parameters and `also`.

    Reads dvc.yaml and params.yaml in the current folder. Under DVC the folder is in the repository's
    root, so that an experiment of the same content finds it too.
    """
    declared = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    digest = hashlib.sha256()
    digest.update(repr(sorted(also.items())).encode())
    digest.update(repr([(name, params[name]) for name in declared["params"]]).encode())
    for dependency in declared["deps"]:
        for file in _files(Path(dependency)):
            digest.update(file.as_posix().encode())
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
    root = Path(os.environ.get("DVC_ROOT", "."))
    return root / "checkpoints" / digest.hexdigest()[:16]


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a checkpoint folder, so that no second training writes to it; a killed process lets go.

    Raises
    ------
    BlockingIOError: another process holds it, such as one that outlived a killed `dvc repro`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise BlockingIOError(
                f"process {lock.read() or 'unknown'} is training with the same data and parameters,"
                f" in {folder}: wait for it, or end it, and run `dvc repro` again"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def newest_whole(folder: Path) -> Path | None:
    """Return the last checkpoint that was completely written, or None; partial ones are removed."""
    checkpoints = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for checkpoint in checkpoints:
        if not (checkpoint / WHOLE).exists():
            shutil.rmtree(checkpoint)
    whole = [checkpoint for checkpoint in checkpoints if checkpoint.exists()]
    return whole[-1] if whole else None


class MarkWhole(TrainerCallback):
    """Mark each checkpoint once all of its files are written."""

    def on_save(self, args, state, control, **kwargs):
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / WHOLE).touch()
