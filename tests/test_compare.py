"""Comparing two revisions: the arithmetic, the false alarms, and the script in a git repository."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from asr.commands.compare.comparison import Change, compare, most_changed, require_same_test_set
from asr.commands.compare.hypotheses import read_hypotheses
from asr.evaluation.transcripts import Transcript
from asr.evaluation.utterance_table import utterance_table
from asr.tables.csv_text import to_csv
from tests.recipes import REPOSITORY
from tests.repositories import ENVIRONMENT

REFERENCES = ["މާލެ އަކީ ރަށެއް", "ދިވެހި ބަސް", "ހަތަރު ފަސް ހަ ހަތް"]
BETTER = ["މާލެ އަކީ ރަށެއް", "ދިވެހި ބަސް", "ހަތަރު ފަސް ހަ އަށް"]
WORSE = ["މާލެ އިކީ ރަށެއް", "", "ހަތަރު ފަސް ހަ ހަތް"]


def table(hypotheses: list[str], references: list[str] = REFERENCES, copies: int = 1) -> pd.DataFrame:
    """Build a table of `copies` speakers, each of whom says everything."""
    clips = [
        Transcript(
            id=f"{speaker:03}-{i}", speaker=f"speaker {speaker}", gender="", age="", accent="",
            duration_s=2.0, reference=reference, hypothesis=hypothesis, n_ids=9, hit_limit=False,
        )
        for speaker in range(copies)
        for i, (reference, hypothesis) in enumerate(zip(references, hypotheses, strict=True))
    ]  # fmt: skip
    return utterance_table({"pretrained": clips, "finetuned": clips})


def test_a_clear_improvement() -> None:
    changes = compare(table(WORSE, copies=10), table(BETTER, copies=10), samples=500, seed=1)
    wer = changes["wer"]
    assert (wer.before, wer.after) == pytest.approx((100 * 3 / 9, 100 * 1 / 9))
    assert wer.low == pytest.approx(-100 * 2 / 9) == wer.high  # every speaker improved by the same
    assert (wer.probability_better, wer.verdict) == (1, "better")
    assert changes["cer"].verdict == "better"
    wer = compare(table(BETTER, copies=10), table(WORSE, copies=10), samples=500, seed=1)["wer"]
    assert wer.low == pytest.approx(100 * 2 / 9)
    assert (wer.probability_better, wer.verdict) == (0, "worse")


def test_no_change_and_a_single_clip_show_nothing() -> None:
    wer = compare(table(BETTER, copies=3), table(BETTER, copies=3), samples=500, seed=1)["wer"]
    assert wer == Change(wer.before, wer.before, 0, 0, 0.5)
    assert wer.verdict == "no difference shown"
    one = [table([text], REFERENCES[:1]) for text in ("", REFERENCES[0])]
    assert compare(*one, samples=500, seed=1)["wer"].verdict == "no difference shown"


def seed_only_pair(rng: np.random.Generator, sizes: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate two runs of one recipe on one test set.

    Words fail with a probability that depends on speaker and sentence, alike in both runs, and on how a
    run's seed got on with a speaker, which differs.

    Parameters
    ----------
    sizes: clips of each speaker
    """
    speaker = np.repeat(np.arange(len(sizes)), sizes)
    words = rng.integers(2, 13, size=len(speaker))
    difficulty = -0.4 + rng.normal(0, 0.6, len(sizes))[speaker] + rng.normal(0, 0.8, len(speaker))
    tables = []
    for _ in range(2):
        odds = difficulty + rng.normal(0, 0.3, len(sizes))[speaker]
        errors = rng.binomial(words, 1 / (1 + np.exp(-odds)))
        tables.append(
            pd.DataFrame(
                {
                    "id": [f"{i:05}" for i in range(len(speaker))],
                    "speaker": [f"{s:04}" for s in speaker],
                    "errors_finetuned": errors,
                    "reference_words": words,
                    "char_errors_finetuned": 2 * errors,
                    "reference_chars": 6 * words,
                }
            )
        )
    return tables[0], tables[1]


@pytest.mark.parametrize(
    ("speakers", "mean_clips", "equal"),
    [(3, 40, True), (16, 8, True), (16, 8, False), (60, 10, False)],
)
def test_a_seed_is_no_improvement(speakers: int, mean_clips: int, equal: bool) -> None:
    """Of 200 pairs that differ by nothing but chance, at most 5 % may be called improvements."""
    rng = np.random.default_rng(20040517)
    verdicts = []
    for _ in range(200):
        sizes = np.full(speakers, mean_clips) if equal else rng.geometric(1 / mean_clips, size=speakers)
        verdicts.append(compare(*seed_only_pair(rng, sizes), samples=400, seed=1)["wer"].verdict)
    false_alarms = {verdict: verdicts.count(verdict) / 200 for verdict in ("better", "worse")}
    print(f"{speakers} speakers: {false_alarms}")
    assert false_alarms["better"] <= 0.05, false_alarms
    assert false_alarms["better"] + false_alarms["worse"] <= 0.08, false_alarms
    assert set(verdicts) > {"no difference shown"}, "never to find anything would not be an answer either"


def test_a_real_improvement_is_found() -> None:
    rng = np.random.default_rng(1)
    before, after = seed_only_pair(rng, np.full(16, 8))
    halved = after.assign(errors_finetuned=after.errors_finetuned // 2)
    change = compare(before, halved, samples=2000, seed=1)["wer"]
    assert change.verdict == "better" and change.probability_better > 0.99


def test_most_changed() -> None:
    improved, worsened = most_changed(table(WORSE), table(BETTER), count=5)
    assert list(improved.id) == ["000-1", "000-0"]
    assert list(improved.iloc[0])[1:] == ["ދިވެހި ބަސް", "", "ދިވެހި ބަސް", 2, 0]
    assert list(worsened.id) == ["000-2"]
    improved, worsened = most_changed(table(BETTER), table(WORSE), count=5)
    assert [list(improved.id), list(worsened.id)] == [["000-2"], ["000-1", "000-0"]]
    assert list(most_changed(table(WORSE), table(BETTER), count=1)[0].id) == ["000-1"]
    assert [len(rows) for rows in most_changed(table(WORSE), table(WORSE), count=5)] == [0, 0]


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (table(BETTER[:2], REFERENCES[:2]), "1 clips only before, 0 only after, of 3 and 2"),
        (table(BETTER, ["x", *REFERENCES[1:]]), "1 of 3 clips have another reference, the first '000-0'"),
        (table(BETTER).assign(reference_words=[3, 9, 9]), "2 of 3 clips have another number of words"),
        (table(BETTER).assign(reference_chars=[0, 0, 0]), "3 of 3 clips have another number of characters"),
    ],
)
def test_other_test_sets_are_refused(after: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        require_same_test_set(table(BETTER), after)
    require_same_test_set(table(BETTER), table(WORSE).iloc[::-1])


def git(folder: Path, *args: str) -> None:
    subprocess.run(["git", *args], cwd=folder, env=ENVIRONMENT, check=True, capture_output=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A git repository with the table in two commits of a recipe's folder, and a third outside of git."""
    root = tmp_path_factory.mktemp("repository")
    (root / "sample/metrics").mkdir(parents=True)
    (root / "sample/params.yaml").write_text((REPOSITORY / "sample/params.yaml").read_text())
    git(root, "init", "-b", "main")
    git(root, "commit", "--allow-empty", "-m", "before the first run")
    git(root, "tag", "first")
    for tag, hypotheses in (("v1", WORSE), ("v2", BETTER)):
        path = root / "sample/metrics/utterances.csv"
        path.write_text(to_csv(table(hypotheses, copies=10)), encoding="utf-8")
        git(root, "add", ".")
        git(root, "commit", "-m", tag)
        git(root, "tag", tag)
    hypotheses = ["<b>|މާލެ|</b>", *REFERENCES[1:]]
    path.write_text(to_csv(table(hypotheses, copies=10)), encoding="utf-8")
    return root


def run(folder: Path, *args: str) -> subprocess.CompletedProcess:
    """Run the script by its path, as its first line says."""
    return subprocess.run(
        ["python", "-m", "asr", "compare", *args],
        cwd=folder,
        env={**ENVIRONMENT, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_two_revisions(repository: Path) -> None:
    done = run(repository / "sample", "v1", "v2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "v1 → v2: 30 utterances, 10 speakers"
    wer = next(line for line in lines if line.startswith("WER"))
    assert wer.split() == "WER 33.33 % 11.11 % -22.22 (-22.22 to -22.22) 100 % better".split()
    assert "Most improved: 5" in lines and "Most worsened: 5" in lines
    assert f"    v2         {BETTER[2]}" in lines


def test_an_experiment_has_a_name(repository: Path) -> None:
    for name, commit in (("tepid-rate", "v1"), ("faster-rate", "v2")):  # where DVC keeps them
        git(repository, "update-ref", f"refs/exps/4f/ba7c/{name}", commit)
    done = run(repository / "sample", "tepid-rate", "faster-rate")
    assert done.stdout.startswith("tepid-rate → faster-rate: 30 utterances"), done.stderr
    assert "-22.22 (-22.22 to -22.22)" in done.stdout
    git(repository, "update-ref", "refs/exps/00/99e1/faster-rate", "v1")  # begun at another commit
    done = run(repository / "sample", "faster-rate")
    assert done.returncode == 1 and "2 experiments are called faster-rate: name one" in done.stderr


def test_the_working_tree_as_markdown(repository: Path) -> None:
    done = run(repository, "main", "--md", "--recipe", "sample")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("### main → working tree: 30 utterances, 10 speakers\n")
    row = next(line for line in done.stdout.splitlines() if line.startswith("| WER"))
    assert [cell.strip() for cell in row.split("|")[1:4]] == ["WER", "11.11 %", "33.33 %"]
    assert row.endswith("| worse |")
    assert "<b>" not in done.stdout
    assert f"&lt;b&gt;&#124;{REFERENCES[0].split()[0]}&#124;&lt;/b&gt;" in done.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere"], "nowhere is no revision and no experiment of"),
        (["first"], "first has no metrics/utterances.csv: no run was committed there. Commit this one"),
        (["v1", "--recipe", "../elsewhere"], "params.yaml"),
    ],
)
def test_what_is_not_there(repository: Path, args: list[str], message: str) -> None:
    done = run(repository / "sample", *args)
    assert done.returncode == 1
    assert done.stderr.startswith("compare: ") and message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mms.csv", "path,text\nclips/000-0.mp3,މާލެ\nclips/000-1.mp3,ދިވެހި ބަސް\nclips/000-2.mp3,NA\nx.mp3,y\n"),
        ("mms.tsv", "\ufeffID\tHypothesis\n000-0\tމާލެ\n000-1\tދިވެހި ބަސް\n000-2\tNA\n"),
        ("mms.jsonl", "".join(
            json.dumps({"audio_filepath": f"/data/000-{n}.wav", "pred_text": text}) + "\n"
            for n, text in enumerate(["މާލެ", "ދިވެހި ބަސް", "NA"])
        )),
    ],
)  # fmt: skip
def test_another_systems_transcripts_are_scored_by_the_same_rules(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    ours = table(REFERENCES)
    theirs = read_hypotheses(tmp_path / name, ours)
    same = table(["މާލެ", "ދިވެހި ބަސް", "NA"])
    columns = [
        "id",
        "hypothesis_finetuned",
        "errors_finetuned",
        "substitutions_finetuned",
        "char_errors_finetuned",
    ]
    pd.testing.assert_frame_equal(theirs[columns], same[columns], check_dtype=False)
    assert compare(theirs, ours, 200, 1)["wer"].before == pytest.approx(100 * 6 / 9)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("clip,said\n000-0,x\n", "its columns are clip, said, and should have one of id, .* hypothesis"),
        ("id,text\n000-0,x\n", "2 of 3 test clips have no transcript: 000-1, 000-2"),
        ("id,text\n" + "".join(f"000-{n},x\n000-{n}.wav,y\n" for n in range(3)), "3 of 3 .*several .*differ"),
        ("", "is no table in UTF-8"),
    ],
)
def test_transcripts_that_do_not_fit_are_refused(tmp_path, text, says):
    (tmp_path / "mms.csv").write_text(text)
    with pytest.raises(ValueError, match=says):
        read_hypotheses(tmp_path / "mms.csv", table(REFERENCES))
