"""The notebook's way and ours, side by side: make benchmark, or

    python -m benchmarks.run --recipe sample -S train.max_steps=40 --as window

Takes a recipe's corpus and checkpoint, leaves out what one of the two cannot read or what does not fit the
window of ours, and lets both prepare, train and evaluate in turns. Prints a table; writes results as JSON.
docs/benchmarks.md says what each figure means.
"""

import json
import tempfile
from pathlib import Path
from statistics import median

import pandas as pd

from asr.commands.compare.comparison import Change, compare
from asr.evaluation.error_counts import score_utterances
from asr.params import load_params
from asr.tables.shards import read_shards
from benchmarks.machine import machine
from benchmarks.recipes import REPOSITORY, arguments, bring_in, make_recipe, run_stage
from benchmarks.sides import Side, alternate
from benchmarks.table import put_into_page, table

RESULTS = REPOSITORY / "benchmarks/results.json"  # and the tables in docs/benchmarks.md
# Of measurements: the root's own settings on three corpora, and a window set for the corpus.
NAMES = ("defaults", "belarusian", "catalan", "window")


def error_rates(folder: Path, ours: str) -> dict[str, Change]:
    """Compare what both heard on the same clips: the notebook's error rates before, ours after."""
    clips = read_shards(folder / "data/raw").remove_columns("audio").to_pandas()
    clips = clips[clips.split == "test"].reset_index(drop=True)
    assert list(pd.read_csv(folder / "data/filtered/test.csv", dtype={"id": str}).id) == list(clips.id)

    def scored(heard: str) -> pd.DataFrame:
        errors = score_utterances(clips.sentence, json.loads((folder / heard).read_text()))
        errors = errors.rename(columns={name: f"{name}_finetuned" for name in ("errors", "char_errors")})
        return pd.concat([clips[["id", "speaker"]], errors], axis=1)

    return compare(scored("notebook/heard.json"), scored(ours), samples=10_000, seed=13)


def benchmark(recipe: Path, changes: list[str], rounds: int, steps_per_turn: int) -> dict:
    """Measure everything; returns what results.json holds."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_recipe(recipe, changes, folder)
        params = load_params(folder / "params.yaml")
        hours = bring_in(folder, params.model.audio_window_s)
        run_stage("pretrained", folder)
        prepared = alternate("prepare", rounds, folder)
        run_stage("filter", folder)
        trained = alternate("train", steps_per_turn, folder)
        evaluated = alternate("evaluate", rounds, folder)
        rates, plain = error_rates(folder, "ours.json"), error_rates(folder, "plain.json")
        roles = {role: len(pd.read_csv(folder / f"data/filtered/{role}.csv")) for role in ("train", "test")}

    def side_by_side(sides: dict[str, Side], figure, unit: str, more_is_better: bool = False) -> dict:
        notebook, ours = figure(sides["notebook"]), figure(sides["ours"])
        ratio = ours / notebook if more_is_better else notebook / ours
        return {"notebook": notebook, "ours": ours, "ratio": ratio, "unit": unit}

    def per_clip(side: Side) -> float:
        return median(turn["seconds"] / turn["n_clips"] for turn in side.taken)

    def overall(side: Side) -> float:  # no median, because some steps have clips joined to whole windows
        return sum(turn["n_clips"] for turn in side.taken) / sum(turn["seconds"] for turn in side.taken)

    phases = {"prepare": prepared, "train": trained, "evaluate": evaluated}
    results = {
        "prepare": side_by_side(prepared, per_clip, "s a clip"),
        "store": side_by_side(prepared, lambda side: side.result["bytes"] / hours, "bytes an hour"),
        "train": side_by_side(trained, overall, "samples/s", more_is_better=True),
        "evaluate": side_by_side(evaluated, per_clip, "s a clip"),
        "rss": {
            name: side_by_side(sides, lambda side: side.rss_bytes, "bytes") for name, sides in phases.items()
        },
        "cuda": {
            name: side_by_side(sides, lambda side: side.cuda_bytes, "bytes")
            for name, sides in phases.items()
            if all(side.cuda_bytes for side in sides.values())
        },
        "error_rates": {name: vars(change) for name, change in rates.items()},
        "error_rates_padded": {name: vars(change) for name, change in plain.items()},
        "decoding_alone": prepared["ours"].result["decoding_alone"],
        "same_as_plain": evaluated["ours"].result,
        "turns": {name: {side: sides[side].taken for side in sides} for name, sides in phases.items()},
        "corpus": {"hours": hours, **roles},
        "settings": {
            "changes": [_without_folders(change) for change in changes],
            "steps": params.train.max_steps,
            "batch_size": params.train.per_device_train_batch_size,
            "window_s": params.model.audio_window_s,
        },
        "machine": machine(),
    }
    return results


def _without_folders(change: str) -> str:
    """Shorten a path, as in "corpora.cv.path=/where/it/is.tar.gz", to its name."""
    name, _, value = change.partition("=")
    return f"{name}={Path(value).name}" if Path(value).is_absolute() else change


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="of preparation and of evaluation")
    parser.add_argument("--steps-per-turn", type=int, default=5)
    parser.add_argument("--as", dest="name", choices=NAMES, default=NAMES[0], help="default: %(default)s")
    parser.add_argument("--json", type=Path, default=RESULTS)
    args = parser.parse_args()
    results = benchmark(args.recipe, args.changes, args.rounds, args.steps_per_turn)
    known = json.loads(args.json.read_text(encoding="utf-8")) if args.json.exists() else {}
    known[args.name] = results
    args.json.write_text(json.dumps(known, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if args.json == RESULTS:
        put_into_page(args.name, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
