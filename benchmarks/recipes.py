"""A recipe for a benchmark: somebody's parameters and corpus, in a folder of its own."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from asr.audio.decode import decode
from asr.params import read_yaml
from asr.tables.corpus import RAW_FEATURES
from asr.tables.shards import read_shards, write_shards

REPOSITORY = Path(__file__).parent.parent


def arguments(description: str) -> argparse.ArgumentParser:
    """Make a parser that takes a recipe's folder and changes of its parameters."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--recipe", type=Path, default=REPOSITORY / "sample", help="folder of a params.yaml")
    parser.add_argument(
        "-S", dest="changes", action="append", default=[], metavar="KEY=VALUE", help="change a parameter"
    )
    return parser


def make_recipe(recipe: Path, changes: list[str], folder: Path) -> None:
    """Copy a recipe's parameters to a folder, with changes such as "train.max_steps=40"."""
    params = read_yaml((recipe / "params.yaml").read_text(encoding="utf-8"))
    for change in changes:
        name, _, value = change.partition("=")
        section, key = _find(params, name)
        section[key] = read_yaml(value)
    params["train"]["eval_steps"] = params["train"]["save_steps"] = params["train"]["max_steps"]
    places = [(corpus, "path") for corpus in params["corpora"].values()]
    places += [(params["pretrained"], "name"), (params["transcribe"]["language_model"], "path")]
    for section, key in places:  # relative to the recipe's folder
        if (recipe / section[key]).exists():
            section[key] = str((recipe / section[key]).resolve())
    YAML(typ="safe").dump(params, folder / "params.yaml")


def _find(params: dict, name: str) -> tuple[dict, str]:
    *sections, key = name.split(".")
    for section in sections:
        params = params[section]
    if key not in params:
        raise KeyError(f"params.yaml has no {name}")
    return params, key


def run_stage(stage: str, folder: Path, *args: str) -> None:
    """Run a stage as dvc.yaml does."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", f"stages.{stage}", *args]
    subprocess.run(command, cwd=folder, env=environment, check=True)


def bring_in(folder: Path, window_s: float) -> float:
    """Bring in all corpora, less their clips that do not decode, have no sentence or exceed the window.

    Returns
    -------
    The hours that remain
    """
    names = read_yaml((folder / "params.yaml").read_text(encoding="utf-8"))["corpora"]
    for name in names:
        run_stage("download", folder, name)
    return sum(keep_readable(folder / "data/raw" / name, window_s) for name in names)


def keep_readable(raw: Path, window_s: float) -> float:
    """Drop clips that do not decode, have no sentence or exceed the window; returns the hours that remain."""
    clips, hours = [], 0.0
    for clip in read_shards(raw):
        try:
            samples, rate = decode(clip["audio"])
        except (ValueError, OverflowError, EOFError):
            continue
        if clip["sentence"].strip() and len(samples) / rate <= window_s:
            clips.append(clip)
            hours += len(samples) / rate / 3600
    write_shards(raw, clips, RAW_FEATURES)
    return hours
