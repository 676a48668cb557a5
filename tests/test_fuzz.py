"""A few hundred of the cases of tests/fuzz.py; all of them: python -m tests.fuzz."""

import pytest

from asr.runtime import workers
from tests import fuzz


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.thorough)])
def test_no_mutated_clip_table_or_archive_is_lost(seed, monkeypatch):
    monkeypatch.setattr(workers, "LIMIT_S", workers.LIMIT_S)
    clips, tables = fuzz.fuzz(300, seed)
    assert clips.total() == tables.total() == 150
    # The damage is such that something is left, and something is not.
    outcomes = {outcome for _, outcome in clips}
    assert {"used", "undecodable", "cut_off"} <= outcomes
    assert {"read", "ValueError"} <= {outcome for _, outcome in tables}
