"""A recipe's folder: a DVC repository with the root's dvc.yaml and params.yaml, the latter changed."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from ruamel.yaml.error import YAMLError

from asr.params import load_params, read_yaml

# A recipe is a DVC repository of its own, so that `dvc status` or `dvc pull` there know of no other recipe.
CONFIG = """\
[core]
    analytics = false
    check_update = false
[cache]
    dir = {cache}  # one for all recipes: what one has brought or computed, another need not
    type = "reflink,hardlink,copy"
"""
KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z_]\w*):(?P<value>(?: (?! *#).*?)?)(?P<comment> +#.*)?$")


Block = dict[str, tuple[object, str | None]]  # keys, each with its value and a comment


def write(root: Path, folder: Path, changes: Block, corpora: dict[str, Block], head: str) -> None:
    """Write a recipe; nothing is left of one that is not valid.

    Parameters
    ----------
    root: the repository, whose dvc.yaml and params.yaml are the start, without what is not committed
    changes: parameters named as for `dvc exp run -S`, each with a comment, None for the one that is there
    corpora: what stands under `corpora`, in place of the root's
    head: the comment at the top of params.yaml, without #

    Raises
    ------
    FileExistsError: there is such a folder.
    ValueError: the folder is not in the repository, or a parameter is unknown or ill-typed.
    """
    pipeline = located(root, folder)
    params = changed(committed(root, "params.yaml"), changes, corpora, head)
    cache = os.path.relpath(root.resolve() / ".dvc/cache", folder.resolve() / ".dvc")
    files = {
        "dvc.yaml": pipeline,
        "params.yaml": params,
        ".dvcignore": committed(root, ".dvcignore"),
        ".dvc/config": CONFIG.format(cache=cache),
        ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    }
    folder.mkdir(parents=True)
    try:
        (folder / ".dvc").mkdir()
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        load_params(folder / "params.yaml")
    except BaseException:
        shutil.rmtree(folder)
        raise


def committed(root: Path, name: str) -> str:
    """Return a file of the repository's root as git's HEAD has it; where that has none, as it lies there."""
    shown = subprocess.run(
        ["git", "-C", str(root), "show", f"HEAD:./{name}"], capture_output=True, check=False
    )
    return shown.stdout.decode() if shown.returncode == 0 else (root / name).read_text(encoding="utf-8")


def located(root: Path, folder: Path) -> str:
    """Return the root's dvc.yaml as it is in a folder below: one line says where the code is.

    Raises
    ------
    ValueError: the folder is not below the root.
    """
    if root.resolve() not in folder.resolve().parents:
        raise ValueError(f"{folder} is not inside {root}: a recipe runs the code there. Give another --out")
    up = os.path.relpath(root.resolve(), folder.resolve())
    return committed(root, "dvc.yaml").replace("  - code: .\n", f"  - code: {up}\n", 1)


def changed(text: str, changes: Block, corpora: dict[str, Block], head: str) -> str:
    """Change values of a params.yaml in its text, so that its comments stay, and replace its corpora.

    Raises
    ------
    KeyError: a parameter that stands on no line of its own.
    """
    body = text.split("\n\n", 1)[1]
    old = re.match(r"corpora:.*\n(?: .*\n|\n)*", body)[0]
    new = ["corpora:  # docs/corpora.md has the keys of all sources"]
    for name, block in corpora.items():
        new += [f"  {name}:", *(_line("    ", key, *value) for key, value in block.items())]
    body = body.replace(old, "\n".join([*new, "", ""]))
    lines, sections, left = [], [], dict(changes)
    for line in body.splitlines():
        found = KEY.match(line)
        if found:
            depth = len(found["indent"]) // 2
            sections = [*sections[:depth], found["key"]]
            if ".".join(sections) in left:
                value, comment = left.pop(".".join(sections))
                kept = (found["comment"] or "").removeprefix("  # ")
                line = _line(found["indent"], found["key"], value, comment or kept)
        lines.append(line)
    if left:
        raise KeyError(f"params.yaml has no line for {', '.join(left)}")
    return "".join(f"# {line}\n" for line in head.splitlines()) + "\n" + "\n".join(lines) + "\n"


def _line(indent: str, key: str, value: object, comment: str | None) -> str:
    return f"{indent}{key}: {as_yaml(value)}" + (f"  # {comment}" if comment else "")


def as_yaml(value: str | int | float | bool | dict | None) -> str:
    """Write a value so that YAML reads the same."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {as_yaml(of_it)}" for key, of_it in value.items()) + "}"
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        plain = read_yaml(f"key: {value}") == {"key": value}
    except YAMLError:
        plain = False
    return value if plain else json.dumps(value, ensure_ascii=False)
