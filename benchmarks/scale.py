"""Time, memory and disk of every stage against the size of the corpus.

    python -m benchmarks.scale --recipe sample --copies 1 4 16

A release is made of so many copies of a recipe's corpus, each with speakers and sentences of its own, and
goes through the stages as `dvc repro` runs them. Training takes one step, so that its figures are those of
what is done once. DVC's share is what it takes to commit what `download` and `featurize` wrote, and to check
it out again. Prints a table; writes the same as JSON.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from asr.tables.shards import read_shards
from benchmarks.machine import machine
from benchmarks.memory import watch
from benchmarks.recipes import REPOSITORY, arguments, bring_in, make_recipe
from benchmarks.table import put_into_page

RESULTS = REPOSITORY / "benchmarks/scale.json"  # and the table in docs/benchmarks.md
LOCALE = "xx"  # and the corpus' name
CORPUS = """{{source: archive, path: {}, use: both, locale: xx, sha256: null, test_fraction: 0.1,
add_validated: false}}"""
COLUMNS = ("client_id", "path", "sentence")
TABLES = {"train": "train", "validation": "dev", "test": "test"}
STAGES = (
    ["download", LOCALE], ["pretrained"], ["featurize", LOCALE], ["filter"], ["train"],
    ["transcribe", "data/trained", "data/transcripts/finetuned.jsonl"],
)  # fmt: skip
ENVIRONMENT = os.environ | {"PYTHONPATH": ".", "GIT_CONFIG_GLOBAL": os.devnull}


def make_release(raw: Path, copies: int, path: Path) -> None:
    """Write a Common Voice release of so many copies of the clips in data/raw/."""
    clips = read_shards(raw)
    known = clips.remove_columns("audio").to_pandas()

    def members() -> Iterator[tuple[str, bytes]]:
        for split, table in TABLES.items():
            rows = ["\t".join(COLUMNS)] + [
                f"{row.speaker}-{copy}\t{copy}-{Path(row.id).name}\t{row.sentence} {copy}"
                for copy in range(copies)
                for row in known[known.split == split].itertuples()
            ]
            yield f"{table}.tsv", "\n".join(rows).encode()
        for copy in range(copies):
            for clip in clips:
                yield f"clips/{copy}-{Path(clip['id']).name}", clip["audio"]

    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, data in members():
            member = tarfile.TarInfo(f"cv-corpus-copies/{LOCALE}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def make_repository(folder: Path) -> None:
    """Make a git and DVC repository of the code, beside the parameters that are there."""
    for code in ("asr", "stages"):
        shutil.copytree(REPOSITORY / code, folder / code, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(REPOSITORY / name, folder / name)
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True)
    shutil.copy(REPOSITORY / ".dvc/config", folder / ".dvc/config")


def measured(command: list[str], folder: Path) -> dict:
    """Run a command; returns its seconds and its peak memory."""
    begun = time.perf_counter()
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=log, stderr=log)
        peak = watch(process)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{(folder / 'log').read_text()[-3000:]}")
    return {"seconds": time.perf_counter() - begun, "own_bytes": peak.own}


def measure(recipe: Path, changes: list[str], raw: Path, copies: int) -> dict:
    """Take a corpus of so many copies through the stages."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        release = folder / "release.tar.gz"
        make_release(raw, copies, release)
        as_archive = [
            f"corpora={{{LOCALE}: {CORPUS.format(release)}}}", "train.max_steps=1", "train.warmup_steps=0",
        ]  # fmt: skip
        make_recipe(recipe, [*changes, *as_archive], folder)
        make_repository(folder)
        figures = {
            stage: measured([sys.executable, "-m", f"stages.{stage}", *args], folder)
            for stage, *args in STAGES
        }
        outputs = {name: folder / "data" / name for name in ("raw", "features")}
        figures["bytes"] = {
            name: sum(file.stat().st_size for file in path.rglob("*.arrow")) for name, path in outputs.items()
        }
        prepared = [f"download@{LOCALE}", f"featurize@{LOCALE}"]
        figures["dvc commit"] = measured(["dvc", "commit", "--quiet", "--force", *prepared], folder)
        for path in outputs.values():
            shutil.rmtree(path)
        figures["dvc checkout"] = measured(["dvc", "checkout", "--quiet", *prepared], folder)
        figures["clips"] = len(read_shards(outputs["features"]))
        figures["hours"] = sum(read_shards(outputs["features"])["duration_s"][:]) / 3600
        return figures


def table(results: dict) -> str:
    """Lay results out in Markdown: a row a stage, a column a size."""
    runs = list(results["runs"].values())
    lines = [
        "| s (peak memory in GB) | "
        + " | ".join(f"{run['clips']} clips, {run['hours']:.2f} h" for run in runs)
        + " |",
        "|---|" + "---:|" * len(runs),
    ]
    for name in [*(stage for stage, *_ in STAGES), "dvc commit", "dvc checkout"]:
        cells = (f"{run[name]['seconds']:.1f} ({run[name]['own_bytes'] / 1e9:.2f})" for run in runs)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for name in ("raw", "features"):
        cells = (f"{run['bytes'][name] / 1e6:.1f}" for run in runs)
        lines.append(f"| data/{name}, MB | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--json", type=Path, default=RESULTS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_recipe(args.recipe, args.changes, folder)
        bring_in(folder, float("inf"))
        raw = folder / "data/raw"
        runs = {copies: measure(args.recipe, args.changes, raw, copies) for copies in args.copies}
    results = {"runs": runs, "machine": machine()}
    args.json.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if args.json == RESULTS:
        put_into_page("scale", table(results))
    print(table(results))


if __name__ == "__main__":
    main()
