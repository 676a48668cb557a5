"""What a stage loads before it begins: packages that it uses, and OpenMP told not to spin for long."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from tests.corpora import tone, unpack
from tests.recipes import REPOSITORY, Recipe

# What one source needs and the others do not.
OF_ONE_SOURCE = ("datacollective", "dv_normalize", "espeakng_loader")
SPINNING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def start(*args: str, **environment: str) -> subprocess.Popen:
    """Start Python in the repository, where nobody has said how OpenMP's threads are to wait."""
    kept = {name: value for name, value in os.environ.items() if name not in SPINNING}
    return subprocess.Popen(
        [sys.executable, *args],
        cwd=REPOSITORY,
        env=kept | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts what it puts into the background deaf to Ctrl+C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def test_a_source_needs_no_package_of_another():
    """Without those packages each comes as far as to miss its corpus, or a key."""
    code = f"""
import sys
sys.modules.update(dict.fromkeys({OF_ONE_SOURCE}))  # as if they were not installed
from stages.download import clips_of
from tests.recipes import CORPORA, checked_corpus
for source in sorted(CORPORA):
    try:
        list(clips_of(checked_corpus(source)))
    except Exception as error:
        print(source, type(error).__name__)
"""
    output, errors = start("-c", code, HF_HUB_OFFLINE="1", MDC_API_KEY="").communicate()
    assert output.splitlines() == [
        "archive FileNotFoundError",
        "folder FileNotFoundError",
        "hub ConnectionError",
        "mdc PermissionError",
        "sample ModuleNotFoundError",
    ], errors


@pytest.mark.parametrize("stage", ["download sample", "filter", "package", "evaluate"])
def test_a_stage_that_computes_no_tensor_loads_no_torch(finished, tmp_path, stage):
    recipe = Recipe(tmp_path, {})
    shutil.copytree(finished.folder, recipe.folder, dirs_exist_ok=True)
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", *f"stages.{stage}".split()],
        cwd=recipe.folder,
        env={**os.environ, "PYTHONPATH": ".."},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    loaded = {line.rsplit("|", 1)[1].strip() for line in run.stderr.splitlines() if "|" in line}
    assert "asr.params" in loaded and "torch" not in loaded


def test_a_corpus_is_checked_without_torch(tmp_path):
    unpack(tmp_path, [("t.csv", b"file,text\na.wav,x\nb.wav,y\n"), ("a.wav", tone(format="WAV"))])
    process = start("-X", "importtime", "-m", "asr", "check", str(tmp_path))
    output, errors = process.communicate()
    assert process.returncode == 0 and "b.wav" in output, errors
    loaded = {line.rsplit("|", 1)[1].strip() for line in errors.splitlines() if "|" in line}
    assert "asr.selection" in loaded and not {"torch", "datasets"} & loaded


def test_a_stage_has_torch_loaded_with_threads_that_spin_briefly():
    """libgomp itself says what it goes by, once it is loaded."""
    with start("-m", "stages.transcribe", "--help", OMP_DISPLAY_ENV="verbose") as process:
        said = next(line for line in process.stderr if "GOMP_SPINCOUNT" in line)
        process.kill()  # without the imports that follow torch's
    assert "GOMP_SPINCOUNT = '1000'" in said


@pytest.mark.parametrize(("module", "imported"), [("stages.train", "torch"), ("asr", "asr")])
def test_ctrl_c_during_the_imports_ends_with_one_line(module, imported):
    process = start("-X", "importtime", "-m", module)
    next(line for line in process.stderr if f" {imported}" in line)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    said = [line for line in errors.splitlines() if not line.startswith("import time:")]
    assert (process.returncode, said) == (130, ["interrupted"])


@pytest.mark.parametrize(
    "set_by_user, spincount",
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")],
)
@pytest.mark.parametrize("package", ["asr", "stages"])
def test_a_users_own_setting_stays(package, set_by_user, spincount):
    code = f"import {package}, os; print(os.environ.get('GOMP_SPINCOUNT'))"
    assert start("-c", code, **set_by_user).communicate()[0].strip() == spincount
