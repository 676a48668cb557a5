import subprocess
import sys

import pytest

from tests.kills import WAYS
from tests.recipes import REPOSITORY


@pytest.mark.slow
def test_nothing_is_lost_whichever_way_it_is_killed():
    command = [sys.executable, "-m", "tests.kills", "--kills", str(len(WAYS)), "--seed", "2"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(way in done.stdout for way in WAYS)
    assert "resumed from step" in done.stdout
    assert " 0 of them wrong" in done.stdout
