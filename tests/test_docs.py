"""The figures that a page in docs/ states are those that the code gives."""

import json
import re

import evaluate
import pytest

from asr.scoring import hf_metric
from benchmarks import scale, table
from tests.mutations import MUTATIONS
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
    metric = evaluate.load(hf_metric.__file__, keep_in_memory=True)
    found = metric.compute(predictions=[hypothesis], references=[REFERENCE])
    stated = {"wer": wer, "cer": cer, "wer_ortho": ortho, "wer_whisper_basic": basic}
    assert {name: f"{found[name]:.1f}" for name in stated} == stated


def test_the_benchmarks_page_has_the_results_that_are_stored():
    results, scaled = (
        json.loads((REPOSITORY / f"benchmarks/{name}.json").read_text()) for name in ("results", "scale")
    )
    tables = {"scale": scale.table(scaled), **{name: table.table(of_it) for name, of_it in results.items()}}
    page = (REPOSITORY / "docs/benchmarks.md").read_text()
    for name, text in tables.items():
        assert f"<!-- {name} -->\n{text}\n<!-- /{name} -->" in page


def test_results_replace_those_that_stood_on_the_page(tmp_path):
    page = tmp_path / "page.md"
    around = "a\n<!-- scale -->\n{}<!-- /scale -->\nb\n<!-- results -->\n<!-- /results -->\n"
    page.write_text(around.format("old\n"))
    for text in ("first", "| second |\n| \\1 |"):
        table.put_into_page("scale", text, page)
    assert page.read_text() == around.format("| second |\n| \\1 |\n")


def test_the_faults_that_tests_have_to_see_are_all_on_their_page_and_in_the_code():
    page = (REPOSITORY / "docs/mutations.md").read_text()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")][1:]
    assert {fault for fault, *_ in MUTATIONS} == {fault.removeprefix("| ") for fault, *_ in rows}
    assert f"{len(MUTATIONS)} faults." in page
    for fault, file, old, *_ in MUTATIONS:
        assert (REPOSITORY / file).read_text().count(old) == 1, fault
    for _, _, _, test in rows:
        for file, name in re.findall(r"`(test_\w+\.py)::(\w+)", test):
            assert f"def {name}(" in (REPOSITORY / "tests" / file).read_text(), name
