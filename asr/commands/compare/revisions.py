"""The table of utterances of a git revision, an experiment or the working tree."""

import subprocess
from pathlib import Path

import pandas as pd

from asr.evaluation.utterance_table import from_csv

TABLE = "metrics/utterances.csv"


def read_table(recipe: Path, revision: str | None) -> pd.DataFrame:
    """Read a recipe's table of utterances from a git revision, an experiment, or None: the working tree.

    Raises
    ------
    FileNotFoundError: the working tree has no table.
    ValueError: neither a revision nor an experiment has that name, or it has no table.
    """
    if revision is None:
        path = recipe / TABLE
        if not path.exists():
            raise FileNotFoundError(f"no {path}: run `dvc repro`, or name the recipe's folder with --recipe")
        return from_csv(path.read_text(encoding="utf-8"), str(path))
    shown = _git(recipe, "show", f"{revision}:./{TABLE}")
    if shown.returncode == 0:
        return from_csv(shown.stdout.decode(), revision)
    experiments = _git(recipe, "for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{revision}")
    commits = experiments.stdout.decode().split()
    if len(commits) > 1:
        raise ValueError(f"{len(commits)} experiments are called {revision}: name one by its commit")
    if commits:
        return read_table(recipe, commits[0])
    if _git(recipe, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").returncode == 0:
        raise ValueError(
            f"{revision} has no {recipe / TABLE}: no run was committed there. Commit this one (`git add . &&"
            " git commit`); after the next run, `asr compare HEAD` tells whether that is better"
        )
    raise ValueError(
        f"{revision} is no revision and no experiment of the git repository of {recipe.resolve()}: see"
        " `git log`, `git branch --all` and `dvc exp list`"
    )


def _git(recipe: Path, *args: str) -> subprocess.CompletedProcess:
    return subprocess.run(["git", "-C", str(recipe), *args], capture_output=True, check=False)
