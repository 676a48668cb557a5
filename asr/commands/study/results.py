"""The table of a study: error rates over the seeds, and differences with their intervals."""

from pathlib import Path
from statistics import mean, stdev

import pandas as pd
from tabulate import tabulate

from asr.commands.compare.comparison import compare, require_same_test_set
from asr.commands.compare.revisions import read_table
from asr.commands.study.experiments import Run, Study, existing
from asr.params import load_params

COUNTS = ["reference_words", "reference_chars", "errors_finetuned", "char_errors_finetuned"]
HEADERS = ("setting", "seeds", "WER by seed", "WER", "difference (95 %)", "CER", "")


def table(recipe: Path, study: Study, runs: list[Run], style: str) -> str:
    """Lay out what the runs found. A difference is one of the seeds that both settings have run with.

    Raises
    ------
    FileNotFoundError: no run is there.
    """
    there = existing(recipe)
    found: dict[str, dict[int, pd.DataFrame]] = {setting: {} for setting in study.settings}
    for run in runs:
        if run.name in there:
            found[run.setting][run.seed] = read_table(recipe, run.name)
    if not any(found.values()):
        raise FileNotFoundError(f"none of the study's {len(runs)} runs is there: run it without --table")
    params = load_params(recipe / "params.yaml").evaluate
    baseline, rows = next(iter(found.values())), []
    for setting, tables in found.items():
        wers = [_rate(one, "errors", "reference_words") for one in tables.values()]
        shared = sorted(set(baseline) & set(tables)) if tables is not baseline else []
        difference = verdict = ""
        if shared:
            before, after = (pooled([of[seed] for seed in shared]) for of in (baseline, tables))
            require_same_test_set(before, after)
            change = compare(before, after, params.bootstrap_samples, params.seed)["wer"]
            difference = f"{change.after - change.before:+.2f} ({change.low:+.2f} to {change.high:+.2f})"
            verdict = change.verdict
        cers = [_rate(one, "char_errors", "reference_chars") for one in tables.values()]
        rows.append((
            setting, len(tables), " ".join(f"{wer:.1f}" for wer in wers), _spread(wers), difference,
            _spread(cers), verdict,
        ))  # fmt: skip
    alignment = ("left", "right", "left", "left", "left", "left", "left")
    return tabulate(rows, HEADERS, tablefmt=style, colalign=alignment, disable_numparse=True)


def pooled(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Add up the counts of one setting's seeds, clip by clip: a clip is one unit, however many heard it."""
    whole = tables[0].copy()
    for other in tables[1:]:
        require_same_test_set(tables[0], other)
        whole[COUNTS] += other.set_index("id").loc[whole.id, COUNTS].to_numpy()
    return whole


def _rate(utterances: pd.DataFrame, errors: str, lengths: str) -> float:
    return 100 * utterances[f"{errors}_finetuned"].sum() / utterances[lengths].sum()


def _spread(rates: list[float]) -> str:
    if not rates:
        return ""
    return f"{mean(rates):.2f} %" + (f" ± {stdev(rates):.2f}" if len(rates) > 1 else "")
