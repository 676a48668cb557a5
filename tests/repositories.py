"""Repositories for tests: git, DVC and a small recipe, as people have them."""

import os
import shutil
import subprocess
from pathlib import Path

import yaml

from tests.recipes import REPOSITORY, Recipe, changed

ENVIRONMENT = {
    **os.environ,
    # Nobody's own settings: hooks, signatures, a language of messages.
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "DVC_NO_ANALYTICS": "1",
    **{
        f"GIT_{role}_{what}": "test@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
}
# For what is left undisturbed: the `python` and `dvc` of pytest's fork server, where there is one.
FORKED = ENVIRONMENT | {"PATH": f"{os.environ.get('FORKS', '/nowhere')}:{ENVIRONMENT['PATH']}"}


def build(root: Path, changes: dict) -> Recipe:
    """Make a git and DVC repository with a small recipe, of which nothing has run."""
    root.mkdir(exist_ok=True)
    recipe = Recipe(root, changes)
    for code in ("asr", "stages"):
        (root / code).unlink()
        shutil.copytree(REPOSITORY / code, root / code, ignore=shutil.ignore_patterns("__pycache__"))
    (recipe.folder / ".dvc/config.local").unlink()
    for name in (".gitignore", ".dvc/config", ".dvc/.gitignore", "corpora/README.md"):
        (root / name).parent.mkdir(exist_ok=True)  # .dvc has the cache of all recipes
        shutil.copy(REPOSITORY / name, root / name)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=root, env=ENVIRONMENT, check=True)
    return recipe


def copy_all(tree: Path) -> None:
    """Copy what git tracks, or would track, as it is in the working tree."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (REPOSITORY / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, tree / name)


class Repository:
    """A git and DVC repository with a small recipe, or a clone of one."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root / "recipe"

    def attempt(self, *command: str) -> subprocess.CompletedProcess:
        """Run a command in the repository's root if it is git, else in the recipe's folder."""
        folder = self.root if command[0] == "git" else self.folder
        return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)

    def run(self, *command: str) -> str:
        """Run a command that has to succeed; returns what it printed."""
        done = self.attempt(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def set(self, changes: dict) -> None:
        """Change parameters, named as for `dvc exp run -S`, in the file as it is."""
        file = self.folder / "params.yaml"
        file.write_text(yaml.safe_dump(changed(yaml.safe_load(file.read_text()), changes)))

    def commit(self) -> None:
        """Commit all that git does not ignore."""
        self.run("git", "add", ".")
        self.run("git", "commit", "-q", "-m", "state", "--allow-empty")

    def repro(self, *options: str) -> list[str]:
        """Run `dvc repro`; returns the stages that it ran."""
        return ran(self.run("dvc", "repro", *options))


def ran(output: str) -> list[str]:
    """List the stages that DVC says it ran."""
    lines = output.splitlines()
    return sorted(line.split("'")[1] for line in lines if line.startswith("Running stage"))
