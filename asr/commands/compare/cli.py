"""Say whether the fine-tuned model of one revision is better than that of another.

    asr compare main                the working tree against main
    asr compare v1 v2 --md          two revisions, as Markdown for a pull request
    asr compare main faster-rate    an experiment, by the name that `dvc exp show` has for it
    asr compare main --recipe sample

Reads metrics/utterances.csv of both, which is committed, so it needs neither data nor models. No stage
of the pipeline: dvc.yaml does not name it.
"""

import argparse
import html
import subprocess
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from asr.commands.compare.comparison import Change, compare, most_changed, require_same_test_set
from asr.evaluation.utterance_table import from_csv
from asr.params import load_params

TABLE = "metrics/utterances.csv"
WORKING_TREE = "working tree"
SHOWN = 5  # utterances of each kind


def read_table(recipe: Path, revision: str) -> pd.DataFrame:
    """Read a recipe's table of utterances from a git revision, an experiment, or the working tree.

    Raises
    ------
    FileNotFoundError: the working tree has no table.
    ValueError: git knows no such revision and DVC no such experiment, or there is no table in it.
    """
    if revision == WORKING_TREE:
        path = recipe / TABLE
        if not path.exists():
            raise FileNotFoundError(f"no {path}: run `dvc repro`, or name the recipe's folder with --recipe")
        return from_csv(path.read_text(encoding="utf-8"), str(path))
    shown = _git(recipe, "show", f"{revision}:./{TABLE}")
    if shown.returncode:
        experiments = _git(recipe, "for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{revision}")
        commits = experiments.stdout.decode().split()
        if len(commits) > 1:
            raise ValueError(f"{len(commits)} experiments are called {revision}: name one by its commit")
        if commits:
            return read_table(recipe, commits[0])
        raise ValueError(
            f"{' '.join(shown.args)}: {shown.stderr.decode(errors='replace').strip()}. Expected a revision,"
            f" or an experiment's name, with {TABLE}: see `git log -- {recipe / TABLE}` and `dvc exp list`"
        )
    return from_csv(shown.stdout.decode(), revision)


def _git(recipe: Path, *args: str) -> subprocess.CompletedProcess:
    return subprocess.run(["git", "-C", str(recipe), *args], capture_output=True, check=False)


def changes_table(changes: dict[str, Change], names: tuple[str, str], style: str) -> str:
    """Lay out the rates of both revisions and their differences."""
    rows = [
        (
            rate.upper(),
            f"{change.before:.2f} %",
            f"{change.after:.2f} %",
            f"{change.after - change.before:+.2f} ({change.low:+.2f} to {change.high:+.2f})",
            f"{100 * change.probability_better:.0f} %",
            change.verdict,
        )
        for rate, change in changes.items()
    ]
    headers = ("fine-tuned", *names, "difference (95 %)", "probability of better", "")
    return tabulate(rows, headers, tablefmt=style, colalign=("left", *["right"] * 4, "left"))


def render_text(heading: str, names: tuple[str, str], changes: dict[str, Change], changed: dict) -> str:
    """Write the comparison for a terminal."""
    lines = [heading, "", changes_table(changes, names, "simple")]
    width = max(len(name) for name in ("reference", *names))
    for title, rows in changed.items():
        lines += ["", f"{title}: {len(rows) or 'none'}"]
        for row in rows.itertuples():
            lines.append(f"  {row.id}, wrong words {row.errors_before} → {row.errors_after}")
            texts = (row.reference, row.hypothesis_before, row.hypothesis_after)
            for name, text in zip(("reference", *names), texts, strict=True):
                lines.append(f"    {name:{width}}  {text}")
    return "\n".join(lines)


def render_markdown(heading: str, names: tuple[str, str], changes: dict[str, Change], changed: dict) -> str:
    """Write the comparison for a pull request; texts are escaped, for models write what they like."""
    parts = [f"### {_escape(heading)}", changes_table(changes, tuple(map(_escape, names)), "github")]
    headers = ("clip", "wrong words", "reference", *map(_escape, names))
    for title, rows in changed.items():
        if len(rows):
            cells = [
                (_escape(row.id), f"{row.errors_before} → {row.errors_after}")
                + tuple(map(_escape, (row.reference, row.hypothesis_before, row.hypothesis_after)))
                for row in rows.itertuples()
            ]
            table = tabulate(cells, headers, tablefmt="github", disable_numparse=True)
            parts.append(f"<details><summary>{title}</summary>\n\n{table}\n\n</details>")
    return "\n\n".join(parts)


def _escape(text: str) -> str:
    """Take the meaning from characters that mean something in HTML or in a Markdown table."""
    return "".join(f"&#{ord(c)};" if c in "|*_`[]\\~#@" else c for c in html.escape(text))


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="asr compare", description=__doc__.splitlines()[0])
    parser.add_argument("before", help="a git revision, or an experiment's name")
    parser.add_argument("after", nargs="?", default=WORKING_TREE, help="another; default: the working tree")
    parser.add_argument("--md", action="store_true", help="write Markdown")
    parser.add_argument("--recipe", type=Path, default=Path(), help="the folder of a dvc.yaml; default: this")
    args = parser.parse_args(argv)

    params = load_params(args.recipe / "params.yaml").evaluate
    names = (args.before, args.after)
    before, after = (read_table(args.recipe, name) for name in names)
    require_same_test_set(before, after)
    changes = compare(before, after, params.bootstrap_samples, params.seed)
    changed = dict(zip(("Most improved", "Most worsened"), most_changed(before, after, SHOWN), strict=True))
    speakers = before.speaker[before.speaker != ""].nunique()
    heading = f"{args.before} → {args.after}: {len(before)} utterances, {speakers} speakers"
    if speakers < 2:
        heading += " (so resampled by utterance: the intervals are too narrow)"
    render = render_markdown if args.md else render_text
    print(render(heading, names, changes, changed))
