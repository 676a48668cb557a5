import subprocess
import sys

import pytest

from tests.kills import WAYS
from tests.recipes import REPOSITORY


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, pytest.param(len(WAYS), marks=pytest.mark.thorough)])
def test_nothing_is_lost_whichever_way_it_is_killed(kills):
    command = [sys.executable, "-m", "tests.kills", "--kills", str(kills), "--seed", "2"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(way in done.stdout for way in WAYS[:kills])
    assert "resumed from step" in done.stdout
    assert " 0 of them wrong" in done.stdout
