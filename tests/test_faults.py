"""A few of the faults that tests/faults.py provokes: those that need no file systems of their own."""

import os
import subprocess
import sys

import pytest

from tests.recipes import REPOSITORY


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", ["worker killed", pytest.param("cache damaged", marks=pytest.mark.thorough)]
)
def test_the_next_repro_mends_it(fault):
    command = [sys.executable, "-m", "tests.faults", "--stages", "featurize", "--only", fault]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| ran featurize |") == 1, done.stdout
    assert "1 cases, 0 of them wrong" in done.stdout


@pytest.mark.thorough
def test_file_systems_of_its_own_are_asked_for_once(tmp_path, monkeypatch):
    asked = tmp_path / "asked"
    unshare = tmp_path / "unshare"
    unshare.write_text(f"""#!/bin/sh
echo "$1 $2" >> {asked}
test $(wc -l < {asked}) = 1 && shift 2 && exec "$@"
""")
    unshare.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    command = [sys.executable, "-m", "tests.faults", "--stages", "download@sample"]
    command += ["--only", "disk full for checkpoints"]  # which has none, so nothing is mounted
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 cases, 0 of them wrong" in done.stdout
    assert asked.read_text() == "--map-root-user --mount\n"
