"""dvc.yaml against the code: DVC follows no import and checks no name, so these tests do."""

import ast
import re
import subprocess
import sys

import pytest

from asr.params import read_yaml
from tests.recipes import REPOSITORY

STAGES = {
    name: stage.get("do", stage)
    for name, stage in read_yaml((REPOSITORY / "dvc.yaml").read_text())["stages"].items()
}
# What a place in asr/ may import from others there; all may import runtime and params. Nothing goes upwards.
IMPORTS = {
    "runtime": set(),
    "params": set(),
    "provenance": set(),
    "tables": set(),
    "audio": set(),
    "scoring": set(),
    "model": {"audio"},
    "synthesis": set(),
    "sources": {"audio", "tables", "synthesis"},
    "language_model": {"scoring", "sources"},
    "selection": {"tables", "scoring"},
    "decoding": {"audio", "model"},
    "training": {"audio", "decoding", "model", "scoring", "tables"},
    "evaluation": {"audio", "scoring", "tables"},
}
CHECKED = {
    "pretrained": {"model", "corpora", "transcribe"}
}  # parameters that may end a stage, and change nothing that it writes
BOTTOM = {"runtime", "params"}  # can change no output, so no stage depends on it
MODULES = sorted(path.relative_to(REPOSITORY).as_posix() for path in REPOSITORY.glob("asr/**/*.py"))


def imports(file: str) -> set[str]:
    """List the repository's own files that a file imports."""
    found = set()
    for node in ast.walk(ast.parse((REPOSITORY / file).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        paths = [name.replace(".", "/") + ".py" for name in names]
        found |= {path for path in paths if (REPOSITORY / path).exists()}
    return found


def closure(file: str) -> set[str]:
    """List the repository's own files that a file imports, directly or through others."""
    found, waiting = set(), [file]
    while waiting:
        new = imports(waiting.pop()) - found
        found |= new
        waiting += new
    return found


def place(file: str) -> str:
    """Name a module's place in asr/: its package, or itself."""
    return file.removesuffix(".py").split("/")[1]


@pytest.mark.parametrize("file", [file for file in MODULES if place(file) not in ("commands", "__main__")])
def test_imports_go_downwards_only(file):
    if place(file) == "__init__":
        return
    others = {place(path) for path in imports(file) if path.startswith("asr/")} - {place(file)}
    allowed = IMPORTS[place(file)] | (BOTTOM if place(file) not in BOTTOM else set())
    assert others <= allowed
    assert not any(path.startswith("stages/") for path in imports(file))


def test_few_modules_stand_beside_the_packages():
    assert len([file for file in MODULES if file.count("/") == 1]) <= 6


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_code_that_decides_what_it_writes_and_on_no_other(stage):
    script = f"stages/{stage}.py"
    code = {dep.removeprefix("${code}/") for dep in STAGES[stage]["deps"] if dep.startswith("${code}/")}
    deciding = {file for file in closure(script) | {script} if place(file) not in BOTTOM}
    covered = {file: [dep for dep in code if file == dep or file.startswith(f"{dep}/")] for file in deciding}
    assert not [file for file, by in covered.items() if not by]
    assert code == {dep for by in covered.values() for dep in by}


def test_params_refuse_or_convert_and_put_nothing_in_a_value_s_place():
    """A default or a validator that alters would decide an output, and no stage depends on params.py."""
    tree = ast.parse((REPOSITORY / "asr/params.py").read_text())
    for model in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        fields = [node for node in model.body if isinstance(node, ast.AnnAssign)]
        assert not [field.target.id for field in fields if field.value], model.name
    validators = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and (node.name.startswith("_no_") or any("validator" in ast.unparse(d) for d in node.decorator_list))
    ]
    assert len(validators) >= 3
    for validator in validators:
        given = validator.args.args[0].arg
        returned = [ast.unparse(node.value) for node in ast.walk(validator) if isinstance(node, ast.Return)]
        assert returned == [given], validator.name
        assigned = [node for node in ast.walk(validator) if isinstance(node, (ast.Assign, ast.AugAssign))]
        assert not assigned, validator.name


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_the_parameters_it_uses(stage):
    used = set()
    for node in ast.walk(ast.parse((REPOSITORY / f"stages/{stage}.py").read_text())):
        if isinstance(node, ast.FunctionDef) and (
            node.name == "main" or "params: Params" in ast.unparse(node.args)
        ):
            used |= set(re.findall(r"\bparams\.(\w+)", ast.unparse(node)))
    declared = {name.split(".")[0] for name in STAGES[stage].get("params", [])}
    assert declared == used - CHECKED.get(stage, set())


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_its_own_script(stage):
    assert f"PYTHONPATH=${{code}} python -m stages.{stage}" in STAGES[stage]["cmd"]


def test_recipes_share_a_pipeline_but_for_where_the_code_is():
    root, sample = ((REPOSITORY / name).read_text() for name in ("dvc.yaml", "sample/dvc.yaml"))
    assert sample == root.replace("  - code: .\n", "  - code: ..\n", 1) != root
    assert len(root.splitlines()) <= 180


def test_no_module_is_ignored_by_git():
    command = ["git", "check-ignore", "--no-index", *MODULES]
    assert subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True).stdout == ""


def test_an_import_leaves_no_bytecode_in_a_dependency(tmp_path):
    """DVC would count it: it ignores nothing outside of a recipe's folder."""
    subprocess.run(["cp", "-r", REPOSITORY / "asr", tmp_path], check=True)
    command = [sys.executable, "-c", "import asr.params, asr.scoring.text, asr.runtime.locks"]
    subprocess.run(command, cwd=tmp_path, env={"PATH": ""}, check=True)
    assert not list(tmp_path.glob("asr/*/__pycache__"))
