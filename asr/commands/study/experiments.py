"""The runs of a study: what is planned, what is there, and what is missing."""

import hashlib
import json
import logging
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml.error import YAMLError

from asr.params import CorpusName, read_yaml

RECORDED = ("dvc.lock", "dvc.yaml", "params.yaml", ":/asr", ":/stages")
logger = logging.getLogger("study")


class Study(BaseModel):
    """What a study compares. The first setting is what the others are compared with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: Annotated[list[int], Field(min_length=1)]
    settings: Annotated[dict[CorpusName, dict[str, object]], Field(min_length=1)]  # parameters as for `-S`


@dataclass(frozen=True)
class Run:
    setting: str
    seed: int
    name: str  # of the experiment
    changes: tuple[str, ...]  # as for `-S`


def read(path: Path) -> Study:
    """Read a study.

    Raises
    ------
    FileNotFoundError: no such file.
    ValueError: names what is wrong in it.
    """
    try:
        return Study.model_validate(read_yaml(path.read_text(encoding="utf-8")))
    except YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors()]
        raise ValueError("\n  ".join([f"{path}: `asr study --help` has an example", *wrong])) from None


def planned(recipe: Path, study: Study) -> list[Run]:
    """List the runs of a study, seed by seed, so that all settings have one before any has two.

    Raises
    ------
    ValueError: the recipe or the code has changes that are in no commit.
    """
    if changed := _git(recipe, "status", "--porcelain", "--untracked-files=no", "--", *RECORDED):
        raise ValueError(f"commit first, the runs are of the last commit. Changed are:\n{changed}")
    commit = _git(recipe, "rev-parse", "HEAD")
    runs = []
    for seed in study.seeds:
        for setting, values in study.settings.items():
            changes = tuple(f"{key}={json.dumps(value)}" for key, value in values.items())
            changes += (f"train.seed={seed}",)
            digest = hashlib.sha256("\n".join([commit, *changes]).encode()).hexdigest()
            runs.append(Run(setting, seed, f"{setting}-{seed}-{digest[:8]}", changes))
    return runs


def run_missing(recipe: Path, runs: list[Run]) -> None:
    """Run the experiments that are not there yet, one after another; a failed one does not end the others."""
    there = existing(recipe)
    missing = [run for run in runs if run.name not in there]
    for number, run in enumerate(missing, 1):
        logger.info("run %d of %d: %s (%s)", number, len(missing), run.name, ", ".join(run.changes))
        command = ["dvc", "exp", "run", "--temp", "--allow-missing", "--name", run.name]
        command += [word for change in run.changes for word in ("-S", change)]
        if subprocess.run(command, cwd=recipe, check=False).returncode:
            logger.warning("%s failed: its message is above, the other runs go on", run.name)


def existing(recipe: Path) -> set[str]:
    """Return the names of the repository's experiments."""
    refs = _git(recipe, "for-each-ref", "--format=%(refname)", "refs/exps/*/*/*").splitlines()
    return {ref.rpartition("/")[2] for ref in refs}


def _git(recipe: Path, *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=recipe, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"{recipe.resolve()}: git {args[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()
