"""A few of the faults that tests/faults.py provokes: those that need no file system of their own."""

import subprocess
import sys

import pytest

from tests.recipes import REPOSITORY

FAULTS = ["worker killed", "cache damaged"]


@pytest.mark.slow
def test_the_next_repro_mends_it():
    command = [sys.executable, "-m", "tests.faults", "--stages", "featurize", "--only", *FAULTS]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| ran featurize |") == len(FAULTS), done.stdout
    assert "2 cases, 0 of them wrong" in done.stdout
