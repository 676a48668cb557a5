"""The report in headless Chromium, Qt WebEngine's: `make test-browser`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_report import looped, page  # noqa: F401, fixtures

pytestmark = pytest.mark.browser

BROWSER = Path(__file__).parent / "browser.py"
SET_FILTER = """
const filter = document.getElementById("filter"), wrong = document.getElementById("wrong");
const rows = [...document.querySelectorAll("#utterances tbody tr")];
const shown = () => rows.filter((row) => row.checkVisibility()).length;
const search = (text) => { filter.value = text; filter.dispatchEvent(new Event("input")); return shown(); };
"""


@pytest.fixture(scope="module")
def run(page, tmp_path_factory):  # noqa: F811
    """Return a function that runs a script in the report; the script leaves `window.result`."""
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(page, encoding="utf-8")

    def run(script: str, width: int = 1280):
        done = subprocess.run(
            [sys.executable, BROWSER, file, f"(() => {{{script}}})()", str(width)],
            capture_output=True, text=True, timeout=600, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout)
        assert found["console"] == []
        return found["result"]

    return run


def test_every_player_plays(run) -> None:
    played = run("""
        const players = [...document.querySelectorAll("audio")];
        Promise.all(players.map(async (player) => {
          player.muted = true;
          player.preload = "auto";
          if (!(player.duration > 0)) {
            await new Promise((done) => { player.onloadedmetadata = player.onerror = done; });
          }
          return player.error === null && player.duration > 0.05;
        })).then(async (can) => { await players[0].play(); window.result = can; });
    """)
    assert played == [True] * 24


def test_the_filter_filters(run) -> None:
    found = run(
        SET_FILTER
        + """
        const found = [shown(), search("ދިވެހި"), search("DIV"), search("")];
        wrong.click();
        window.result = [...found, shown(), document.getElementById("shown").textContent];
    """
    )
    assert found == [40, 10, 0, 40, 30, "30 of 40 shown"]


def test_tables_sort_numbers_as_numbers(run) -> None:
    found = run("""
        const heading = document.querySelectorAll("#utterances th")[2];
        const rows = () => [...document.querySelectorAll("#utterances tbody tr")];
        const column = () => rows().map((row) => Number(row.cells[2].textContent));
        heading.firstChild.click();
        const down = column();
        heading.firstChild.click();
        window.result = [down, column(), heading.ariaSort];
    """)
    assert found[0] == sorted(found[0], reverse=True) and (found[0][0], found[0][-1]) == (13.5, 1.5)
    assert found[1:] == [sorted(found[0]), "ascending"]


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_sticks_out_of_the_page(run, width: int) -> None:
    inside = run("window.result = document.documentElement.scrollWidth <= window.innerWidth;", width)
    assert inside is True


def test_words_of_right_to_left_text_run_to_the_left(run) -> None:
    places = run("""
        const words = [...document.querySelector('.aligned[dir="rtl"]').children].slice(1, 3);
        window.result = words.map((word) => word.getBoundingClientRect().left);
    """)
    assert places[0] > places[1]


def test_a_looped_word_hides_no_column(looped, tmp_path):  # noqa: F811
    """A word of 1,440 characters breaks into lines."""
    (tmp_path / "looped.html").write_text(looped, encoding="utf-8")
    script = """
        const tables = ["words", "utterances"].map((id) => document.getElementById(id));
        const inside = tables.map((table) => table.scrollWidth <= table.parentElement.clientWidth);
        const width = (table, cell) => table.rows[1].cells[cell].clientWidth;
        window.result = [...inside, width(tables[0], 0) > 100, width(tables[1], 7) > 150];
    """
    done = subprocess.run(
        [sys.executable, BROWSER, tmp_path / "looped.html", f"(() => {{{script}}})()", "1280"],
        capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    assert all(json.loads(done.stdout)["result"]), done.stdout
