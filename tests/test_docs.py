"""The figures that a page in docs/ states are those that the code gives."""

import evaluate
import pytest

from asr import error_rates
from tests.recipes import REPOSITORY

PAGE = (REPOSITORY / "docs/metrics.md").read_text().splitlines()
REFERENCE = next(line for line in PAGE if line.startswith("> ")).removeprefix("> ")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE if line.count("|") == 7][2:]


def test_the_page_has_its_five_hypotheses():
    assert len(ROWS) == 5


@pytest.mark.parametrize(
    ("what", "hypothesis", "wer", "cer", "ortho", "basic"), ROWS, ids=lambda cell: cell[:12]
)
def test_the_figures_on_the_metrics_page(what, hypothesis, wer, cer, ortho, basic):
    metric = evaluate.load(error_rates.__file__, keep_in_memory=True)
    found = metric.compute(predictions=[hypothesis], references=[REFERENCE])
    stated = {"wer": wer, "cer": cer, "wer_ortho": ortho, "wer_whisper_basic": basic}
    assert {name: f"{found[name]:.1f}" for name in stated} == stated
