"""A recipe's last run, from dvc.lock and metrics/, and whether data/model is of that run.

Parameters come from dvc.lock, because params.yaml may have been edited since.
"""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from dvc.dvcfile import load_file
from dvc.exceptions import DvcException
from dvc.repo import Repo
from pydantic import ValidationError
from ruamel.yaml.error import YAMLError

from asr.commands.compare.revisions import TABLE, read_table
from asr.evaluation.utterance_table import has_marks
from asr.params import Params, read_yaml
from asr.tables.corpus import corpus_of

MODEL = "data/model"
METRICS = {name: f"metrics/{name}.json" for name in ("filter", "train", "evaluate")}
CURVE = "metrics/validation_curve.csv"
STAGES = (
    "pretrained",
    "filter",
    "train",
    "package",
    "transcribe@pretrained",
    "transcribe@finetuned",
    "evaluate",
)
STAGES_OF_A_CORPUS = ("download", "featurize")
# Outputs that a card describes, by stage. In the workspace they have to be as dvc.lock records them.
DESCRIBED = {
    "filter": [METRICS["filter"]],
    "train": [METRICS["train"], CURVE],
    "package": [MODEL],
    "evaluate": [METRICS["evaluate"], TABLE],
}
# train reads single files of data/filtered; dvc.lock has their checksums only there.
READ_BY_TRAIN = ("data/filtered/train.csv", "data/filtered/validation.csv")
# What a commit has to have of a run. Paths are relative to the recipe; :/ is the repository's root.
RECORDED = ("dvc.lock", "dvc.yaml", "params.yaml", "metrics", ":/asr", ":/stages")
PUBLIC_ADDRESS = re.compile(r"(?:https://[\w.~-]+(?::\d+)?/|git@[\w.-]+:)[\w./~+-]+")
LOGIN = re.compile(r"(?<=://)[^/@]*@")


@dataclass(frozen=True)
class Record:
    """A recipe's last run."""

    recipe: Path
    params: Params
    filter: dict  # metrics/filter.json
    train: dict
    evaluate: dict
    curve: pd.DataFrame  # step, loss, wer, cer on the validation rows
    test_corpora: list[str]  # names of those with a test set
    has_marks: bool  # the references of the test set are spelled with marks, such as vowel signs
    model_md5: str  # of data/model, as dvc.lock has it
    commit: str | None  # the last one that changed dvc.lock; None: dvc.lock was never committed
    uncommitted: list[str]  # files of RECORDED that differ from the last commit
    origin: str | None  # the address to clone from, without a login
    subfolder: str  # of the recipe in the git repository, such as "sample/"; "" in its root


def read(recipe: Path) -> Record:
    """Read the record of a recipe's last run.

    Raises
    ------
    FileNotFoundError: the recipe has not been run to its end: dvc.lock, a stage or a file is missing.
    ValueError: the run had other parameters than this code, or dvc.lock cannot be read.
    """
    stages = _stages(recipe)
    missing = [name for name in (*METRICS.values(), CURVE, TABLE) if not (recipe / name).exists()]
    if missing:
        raise FileNotFoundError(f"no {missing[0]} in {recipe}: run `dvc repro`, or `git checkout` it")
    figures = {name: json.loads((recipe / path).read_text("utf-8")) for name, path in METRICS.items()}
    utterances = read_table(recipe, None)
    return Record(
        recipe=recipe,
        params=_params(stages),
        curve=pd.read_csv(recipe / CURVE),
        test_corpora=sorted(set(utterances.id.map(corpus_of))),
        has_marks=has_marks(utterances),
        model_md5=_md5s(stages, "package", "outs")[MODEL],
        commit=_git(recipe, "log", "-1", "--format=%H", "--", "dvc.lock") or None,
        uncommitted=_uncommitted(recipe),
        origin=_origin(recipe),
        subfolder=_git(recipe, "rev-parse", "--show-prefix") or "",
        **figures,
    )


def contradictions(recipe: Path) -> list[str]:
    """List the reasons why metrics and model are not of one run; empty if they are.

    Compares dvc.lock's checksums with each other, and with the model and the metrics in the workspace.

    Raises
    ------
    FileNotFoundError: the recipe has not been run to its end: dvc.lock or a stage is missing.
    ValueError: DVC or git cannot read the repository.
    """
    stages, found = _stages(recipe), []
    written = {path: (stage, md5) for stage in stages for path, md5 in _md5s(stages, stage, "outs").items()}
    read: dict[str, tuple[str, str]] = {}  # folders of all corpora, which several stages write
    for reader in stages:
        for path, md5 in _md5s(stages, reader, "deps").items():
            if path in written and md5 != written[path][1]:
                found.append(f"{reader} read another {path} than {written[path][0]} wrote last")
            elif path.startswith("data/") and md5 != read.setdefault(path, (reader, md5))[1]:
                found.append(f"{reader} read another {path} than {read[path][0]}")
    try:
        with Repo(str(recipe)) as repo:
            known = load_file(repo, str(recipe / "dvc.yaml")).stages
            for name, paths in DESCRIBED.items():
                stage = known[name]
                for out in stage.outs:
                    if out.def_path in paths:
                        states = out.workspace_status().values()  # empty, "deleted" or "modified"
                        found += [f"{out.def_path} is {state}, compared with dvc.lock" for state in states]
                for dep in stage.deps if name == "train" else ():
                    if dep.def_path in READ_BY_TRAIN and dep.exists and dep.workspace_status():
                        found.append(f"{dep.def_path} is not what the model was trained on")
    except DvcException as error:
        raise ValueError(f"{recipe}: DVC cannot read the repository: {error}") from error
    return found


def _stages(recipe: Path) -> dict[str, dict]:
    """Read dvc.lock's entry of each stage. All stages have to have run."""
    path = recipe / "dvc.lock"
    if not path.exists():
        raise FileNotFoundError(
            f"no {path}: run `dvc repro` there, or name the recipe's folder with --recipe"
        )
    try:
        stages = read_yaml(path.read_text(encoding="utf-8"))["stages"]
    except (YAMLError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} cannot be read: after a merge conflict, see docs/teams.md ({error})"
        ) from error
    corpora = stages.get("evaluate", {}).get("params", {}).get("params.yaml", {}).get("corpora", {})
    # A corpus that params.yaml no longer has stays in dvc.lock.
    names = [f"{stage}@{corpus}" for corpus in corpora for stage in STAGES_OF_A_CORPUS] + [*STAGES]
    missing = [name for name in names if name not in stages]
    if missing:
        raise FileNotFoundError(f"{path}: {', '.join(missing)} has not run: run `dvc repro`")
    return {name: stages[name] for name in names}


def _md5s(stages: dict[str, dict], stage: str, kind: str) -> dict[str, str]:
    return {entry["path"]: entry.get("md5") for entry in stages[stage].get(kind, [])}


def _params(stages: dict[str, dict]) -> Params:
    """Collect the parameters with which the stages ran."""
    tree: dict = {}
    for stage in stages.values():
        for name, value in stage.get("params", {}).get("params.yaml", {}).items():
            *sections, key = name.split(".")
            place = tree
            for section in sections:
                place = place.setdefault(section, {})
            place[key] = value
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        what = ", ".join(".".join(str(part) for part in mistake["loc"]) for mistake in error.errors())
        raise ValueError(
            f"dvc.lock is of a run with other parameters than this code ({what}): check out the code of that"
            " run, or run `dvc repro`"
        ) from None


def _git(recipe: Path, *command: str) -> str:
    """Run git in the recipe's folder; returns what it prints, "" without a repository."""
    done = subprocess.run(["git", *command], cwd=recipe, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _uncommitted(recipe: Path) -> list[str]:
    """List files of RECORDED that differ from the last commit, or are in none."""
    lines = _git(recipe, "status", "--porcelain", "--untracked-files=all", "--", *RECORDED).splitlines()
    return [line.strip().split(maxsplit=1)[1] for line in lines]


def _origin(recipe: Path) -> str | None:
    """Return the address to clone from, without a login; None if it is not a public kind of address."""
    address = LOGIN.sub("", _git(recipe, "remote", "get-url", "origin"))
    return address if PUBLIC_ADDRESS.fullmatch(address) else None
