"""dvc.yaml against the code: DVC follows no import and checks no name, so these tests do."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from asr.params import Download
from tests.recipes import REPOSITORY

STAGES = {
    name: stage.get("do", stage)
    for name, stage in yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"].items()
}


def imported(file: Path) -> set[str]:
    """List the repository's own files that a file imports, directly or through others."""
    found, waiting = set(), [file]
    while waiting:
        for node in ast.walk(ast.parse(waiting.pop().read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                path = REPOSITORY / (name.replace(".", "/") + ".py")
                relative = str(path.relative_to(REPOSITORY))
                if path.exists() and relative not in found:
                    found.add(relative)
                    waiting.append(path)
    return found


def test_the_two_pipelines_agree():
    root = (REPOSITORY / "dvc.yaml").read_text().split("stages:\n", 1)[1]
    sample = (REPOSITORY / "sample/dvc.yaml").read_text().split("stages:\n", 1)[1]
    root = re.sub(r"^( +- )(asr|stages)/", r"\1../\2/", root, flags=re.MULTILINE)
    assert root.replace("PYTHONPATH=. ", "PYTHONPATH=.. ") == sample


def test_there_are_the_seven_stages():
    assert list(STAGES) == "download pretrained featurize filter train transcribe evaluate".split()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_every_module_it_imports(stage):
    script = f"stages/{stage}.py"
    declared = {dep for dep in STAGES[stage]["deps"] if dep.endswith(".py")}
    assert declared == imported(REPOSITORY / script) | {script}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_the_parameters_it_uses(stage):
    used = set()
    for node in ast.walk(ast.parse((REPOSITORY / f"stages/{stage}.py").read_text())):
        if isinstance(node, ast.FunctionDef) and (
            node.name == "main" or "params: Params" in ast.unparse(node.args)
        ):
            used |= set(re.findall(r"\bparams\.(\w+)", ast.unparse(node)))
    assert {name.split(".")[0] for name in STAGES[stage].get("params", [])} == used


def test_download_declares_all_of_its_section_but_what_only_the_filter_reads():
    declared = {name for name in STAGES["download"]["params"] if name.startswith("download.")}
    assert declared == {f"download.{key}" for key in Download.model_fields} - {"download.max_bad_fraction"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_its_own_script(stage):
    assert f"python -m stages.{stage}" in STAGES[stage]["cmd"]


def test_no_module_is_ignored_by_git():
    modules = [str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob("asr/**/*.py")]
    command = ["git", "check-ignore", "--no-index", *modules]
    assert subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True).stdout == ""
