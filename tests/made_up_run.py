"""A recipe as a finished run leaves it, without training: the sample's record, its base as the model."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

from tests.recipes import REPOSITORY
from tests.repositories import ENVIRONMENT

SAMPLE = REPOSITORY / "sample"
WEIGHTS = ("config.json", "generation_config.json", "model.safetensors", "processor_config.json")
MODEL = (*WEIGHTS, "tokenizer.json", "tokenizer_config.json")


def git(folder: Path, *command: str) -> str:
    done = subprocess.run(["git", *command], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def folder_md5(folder: Path) -> str:
    """Compute what DVC records of a folder of files: the MD5 of a list of their MD5s."""
    files = [
        {"md5": hashlib.md5(path.read_bytes()).hexdigest(), "relpath": path.name}
        for path in sorted(folder.iterdir())
    ]
    return hashlib.md5(json.dumps(files, sort_keys=True).encode()).hexdigest() + ".dir"


def make(root: Path) -> Path:
    """Make a repository with a recipe in `sample/`, all of it committed; returns the recipe's folder."""
    recipe = root / "sample"
    shutil.copytree(SAMPLE / "metrics", recipe / "metrics")
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(SAMPLE / name, recipe)
    shutil.copytree(SAMPLE / ".dvc", recipe / ".dvc", ignore=shutil.ignore_patterns("tmp"))
    for code in ("asr", "stages"):  # dvc.yaml names them
        shutil.copytree(REPOSITORY / code, root / code, ignore=shutil.ignore_patterns("__pycache__"))
    (root / ".dvc").mkdir()
    for name in (".gitignore", ".dvc/config", ".dvc/.gitignore"):
        shutil.copy(REPOSITORY / name, root / name)
    model = recipe / "data/model"
    model.mkdir(parents=True)
    for name in MODEL:
        shutil.copy(SAMPLE / "base" / name, model)
    lock = (SAMPLE / "dvc.lock").read_text()
    trained = re.search(r"- path: data/model\n +hash: md5\n +md5: (\S+)", lock)[1]
    (recipe / "dvc.lock").write_text(lock.replace(trained, folder_md5(model)))
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=root, env=ENVIRONMENT, check=True)
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "a run")
    return recipe
