"""The benchmark: fair turns, figures that follow from them, and the table. Never how fast anything is."""

import itertools
import json
import re
import subprocess
import sys
from statistics import median

import pytest

from benchmarks.recipes import make_recipe
from benchmarks.sides import alternate
from tests.recipes import REPOSITORY

SIDE = """
import sys, time
from benchmarks import turns

def prepare(params, number):
    time.sleep(3)  # loading, which is no part of a turn
    loaded = time.monotonic()
    for _ in range(number):
        with turns.turn(7):
            begun = time.monotonic()
            time.sleep(0.2)
            with open("log", "a") as log:
                print("NAME", begun, time.monotonic(), file=log)
        with open("NAME.since", "a") as since:
            print(time.monotonic() - loaded, file=since)
    print("a library says something")
    return {"name": "NAME"}

def train(params, number):
    raise KeyError("no such thing")

turns.serve([prepare, train])
"""
pytestmark = pytest.mark.thorough


@pytest.fixture
def folder(tmp_path):
    """A recipe's folder with two small sides of different length beside it."""
    make_recipe(REPOSITORY / "sample", [], tmp_path)
    for name in ("first", "second"):
        (tmp_path / f"{name}.py").write_text(SIDE.replace("NAME", name))
    return tmp_path


def test_the_sides_take_turns_and_never_work_together(folder):
    sides = alternate("prepare", 3, folder, {"first": "first", "second": "second"})
    worked = [line.split() for line in (folder / "log").read_text().splitlines()]
    assert [name for name, *_ in worked] == ["first", "second"] * 3
    for (_, _, ended), (_, begun, _) in itertools.pairwise(worked):
        assert float(ended) <= float(begun)
    for name, side in sides.items():
        assert side.result == {"name": name} and side.rss_bytes > 10_000_000
        assert [turn["n_clips"] for turn in side.taken] == [7, 7, 7]
        since_loading = map(float, (folder / f"{name}.since").read_text().split())
        for turn, most in zip(side.taken, since_loading, strict=True):
            assert 0.2 <= turn["seconds"] <= most


def test_a_side_that_fails_says_why(folder):
    with pytest.raises(RuntimeError, match="(?s)first train 1 failed.*no such thing"):
        alternate("train", 1, folder, {"first": "first", "second": "second"})


def test_a_parameter_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(KeyError, match="no train.max_stepz"):
        make_recipe(REPOSITORY / "sample", ["train.max_stepz=3"], tmp_path)


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """The whole benchmark on a few clips: its results and what it printed."""
    path = tmp_path_factory.mktemp("benchmark") / "results.json"
    changes = {
        "train.max_steps": 4,
        "train.learning_rate": 1.0e-4,  # so that the model stays sure of what it writes
        "train.generation_max_length": 24,
        "transcribe.max_new_tokens": 20,
        "transcribe.batch_size": 4,
        "corpora.sample.train_clips": 40,
        "corpora.sample.test_clips": 12,
    }
    settings = [word for name, value in changes.items() for word in ("-S", f"{name}={value}")]
    command = [sys.executable, "-m", "benchmarks.run", *settings, "--rounds", "2", "--steps-per-turn", "2"]
    done = subprocess.run(
        [*command, "--json", str(path)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return json.loads(path.read_text())["defaults"], done.stdout


def test_both_sides_do_the_same_work_and_ours_transcribes_as_one_clip_at_a_time_does(benchmark):
    results, _ = benchmark
    corpus = results["corpus"]
    assert results["same_as_plain"] == {"clips": 12, "same_as_plain": 12}
    for phase, clips in (("train", 2 * 16), ("evaluate", corpus["test"])):
        for side in ("notebook", "ours"):
            assert [turn["n_clips"] for turn in results["turns"][phase][side]] == [clips] * 2
    notebook, ours = ([t["n_clips"] for t in turns] for turns in results["turns"]["prepare"].values())
    assert notebook == ours and ours[0] >= corpus["train"] + corpus["test"]


def test_ratios_say_how_many_times_better_ours_is(benchmark):
    results, _ = benchmark
    for name in ("prepare", "store", "train", "evaluate"):
        row = results[name]
        better, worse = (row["ours"], row["notebook"]) if name == "train" else (row["notebook"], row["ours"])
        assert row["ratio"] == pytest.approx(better / worse)
    turns = results["turns"]["train"]["ours"]
    seconds, clips = (sum(turn[name] for turn in turns) for name in ("seconds", "n_clips"))
    assert results["train"]["ours"] == pytest.approx(clips / seconds)
    per_clip = [turn["seconds"] / turn["n_clips"] for turn in results["turns"]["evaluate"]["ours"]]
    assert results["evaluate"]["ours"] == pytest.approx(median(per_clip))


def test_the_table_shows_what_was_measured(benchmark):
    results, printed = benchmark
    number = r" ([\d.,]+) \|"
    rows = re.findall(rf"\| (preparation|stored|training|evaluation)[^|]*\|{number}{number}", printed)
    scales = {"prepare": 1e3, "store": 1e-6, "train": 1, "evaluate": 1}
    for (name, scale), (_, notebook, ours) in zip(scales.items(), rows, strict=True):
        for side, shown in (("notebook", notebook), ("ours", ours)):
            assert float(shown.replace(",", "")) == pytest.approx(results[name][side] * scale, rel=0.01)
    assert f"{results['error_rates']['wer']['after']:.1f}" in printed
