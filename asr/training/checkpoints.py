"""Checkpoints of a training, kept where a killed run finds them again.

DVC deletes a stage's outputs before it runs, so checkpoints lie outside of them, in a folder named
after everything that decides how training goes: what dvc.yaml declares for it, and the software. Any
change gives another name, so a stale checkpoint is never resumed.

Where a training runs in several processes they all call these functions; the first one acts.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo
from transformers import TrainerCallback

from asr.runtime import locks, manifest, processes

STATE, OPTIMIZER, SCHEDULER = "trainer_state.json", "optimizer.pt", "scheduler.pt"
FINISHED = "finished"  # the file that marks the folder of a training whose outputs were written
logger = logging.getLogger(__name__)


def checkpoint_folder(stage: str, also: dict) -> Path:
    """Name the folder of a stage's checkpoints after its dependencies and parameters, and `also`.

    DVC resolves them, from dvc.yaml and params.yaml in the current folder, and computes their checksums. The
    folder is in the root of the DVC repository, so that an experiment of the same content finds it too.

    Raises
    ------
    FileNotFoundError: a dependency that dvc.yaml declares does not exist.
    ValueError: DVC cannot read dvc.yaml, or there is no DVC repository here.
    """
    digest = hashlib.sha256(repr(sorted(also.items())).encode())
    try:
        with Repo() as repo:
            for dependency in repo.stage.load_one(name=stage).deps:
                digest.update(repr((dependency.def_path, dependency.get_hash().value)).encode())
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}: dvc.yaml says that {stage} depends on it") from error
    except DvcException as error:
        raise ValueError(f"checkpoints of {stage}: {error}") from error
    root = Path(os.environ.get("DVC_ROOT", "."))
    return root / "checkpoints" / digest.hexdigest()[:16]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a checkpoint folder; wait while another process trains in it, in this recipe's folder or another.

    Raises
    ------
    ProcessLookupError: the `dvc` that started this process has ended while it waited.
    """
    if processes.is_first():
        folder.mkdir(parents=True, exist_ok=True)
        with locks.held(_lock(folder), f"the training in {folder}"):
            processes.together()
            yield
    else:
        processes.together()
        yield


def _lock(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def newest_whole(folder: Path) -> Path | None:
    """Return the last checkpoint from which training can go on, or None.

    It is whole, and so is the one that was the best until then, which is loaded in the end. Others after
    it are removed, with a warning unless they were just being written when the training was killed.
    """
    return processes.gather([_newest_whole(folder) if processes.is_first() else None])[0]


def _newest_whole(folder: Path) -> Path | None:
    for checkpoint in saved_in(folder):
        if not (checkpoint / manifest.NAME).exists():
            shutil.rmtree(checkpoint)
    for checkpoint in reversed(whole_in(folder)):
        problem = _problem(checkpoint)
        if problem is None:
            return checkpoint
        logger.warning("%s is damaged: %s; it is removed, the one before it is used", checkpoint, problem)
        _remove(checkpoint)
    (folder / FINISHED).unlink(missing_ok=True)
    return None


def _problem(checkpoint: Path) -> str | None:
    """Find what keeps a training from going on from a checkpoint."""
    damage = manifest.damage(checkpoint)
    if damage:
        return damage
    best = best_of(checkpoint)
    damage = manifest.damage(best) if best and best != checkpoint else None
    if damage:
        return f"of {best.name}, the best until then, {damage}"
    if not (checkpoint / OPTIMIZER).exists() and not has_ended(checkpoint):
        return f"{OPTIMIZER} is missing"
    return None


def saved_in(folder: Path) -> list[Path]:
    """List a folder's checkpoints, oldest first."""
    return sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))


def whole_in(folder: Path) -> list[Path]:
    """List a folder's checkpoints that are marked whole, oldest first."""
    return [checkpoint for checkpoint in saved_in(folder) if (checkpoint / manifest.NAME).exists()]


def _state(checkpoint: Path) -> dict:
    return json.loads((checkpoint / STATE).read_text(encoding="utf-8"))


def best_of(checkpoint: Path) -> Path | None:
    """Return the best checkpoint at the time when one was saved: beside it, wherever it was saved."""
    step = _state(checkpoint)["best_global_step"]
    return checkpoint.with_name(f"checkpoint-{step}") if step else None


def _remove(checkpoint: Path) -> None:
    """Remove a checkpoint so that, killed in between, what is left does not pass for a damaged one."""
    (checkpoint / manifest.NAME).unlink(missing_ok=True)
    shutil.rmtree(checkpoint)


def has_ended(checkpoint: Path) -> bool:
    """Tell whether the training had come to its end, at its last step or stopped early, when it was saved."""
    return _state(checkpoint)["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"]


def finish(folder: Path) -> None:
    """Mark a training whose outputs are written; keep what they can be written from again.

    DVC may be killed before it has recorded them, and runs the stage again. That takes the last checkpoint
    and the best, without the optimizer.
    """
    if processes.is_first():
        last = saved_in(folder)[-1]
        (folder / FINISHED).touch()
        for checkpoint in saved_in(folder):
            if checkpoint in (last, best_of(last)):
                manifest.drop(checkpoint, [OPTIMIZER, SCHEDULER])
            else:
                _remove(checkpoint)


def remove_finished_others(folder: Path) -> None:
    """Remove the checkpoints of finished trainings beside this one, but for those that a process holds."""
    if processes.is_first():
        for other in sorted(mark.parent for mark in folder.parent.glob(f"*/{FINISHED}")):
            if other == folder:
                continue
            with locks.held_if_free(_lock(other)) as free:
                if free:
                    for checkpoint in saved_in(other):
                        _remove(checkpoint)
                    shutil.rmtree(other)


class MarkWhole(TrainerCallback):
    """Mark each checkpoint once all of its files are written, and remove older ones only then.

    The trainer removes them before, so that a kill in between leaves a checkpoint without its best.
    """

    def on_init_end(self, args, state, control, **kwargs):
        self.limit, args.save_total_limit = args.save_total_limit, None

    def on_train_begin(self, args, state, control, **kwargs):
        if state.best_global_step:  # the saved state has the path where it was; the folder may have moved
            state.best_model_checkpoint = str(Path(args.output_dir) / f"checkpoint-{state.best_global_step}")

    def on_save(self, args, state, control, **kwargs):
        processes.together()  # each has files of its own in a checkpoint
        if state.is_world_process_zero:
            manifest.write(Path(args.output_dir) / f"checkpoint-{state.global_step}")
            if self.limit:
                remove_old(Path(args.output_dir), self.limit)
        processes.together()


def remove_old(folder: Path, limit: int) -> None:
    """Keep the last checkpoint and the best, and of the others as many as fit, newest first.

    One is kept only with the one that was the best until then, so that training can go on from each.
    """
    keep = set()
    for checkpoint in reversed(whole_in(folder)):
        wanted = keep | {checkpoint, best_of(checkpoint) or checkpoint}
        if not keep or len(wanted) <= limit:
            keep = wanted
    for checkpoint in whole_in(folder):
        if checkpoint not in keep:
            _remove(checkpoint)
