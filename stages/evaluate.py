"""Score the transcripts of the pretrained and of the fine-tuned model.

Reads   data/transcripts/pretrained.jsonl, data/transcripts/finetuned.jsonl
        data/filtered/, data/features/: the sentences that were trained on, the number of validation rows
        data/raw/: the clips that the report plays; metrics/*_curve.csv, which it draws
Writes  metrics/evaluate.json   error rates of both models, with 95 % intervals
        metrics/utterances.csv  what both made of each clip, for git and for `asr compare`
        metrics/parts/          error rates of parts of the test set, and charts of them and of the training
        report.html             all of it, to look at and to listen to

Apart from transcribing, so that a change to the scoring costs seconds and no GPU.

Run by `dvc repro`, or alone: python -m stages.evaluate (as a plain script it would hide the `evaluate`
package behind itself).
"""

import json
from pathlib import Path

import evaluate
import pandas as pd

from asr.evaluation import charts, report
from asr.evaluation.bootstrap import rate_interval, resample, units
from asr.evaluation.breakdown import runaways, wer_by_parts
from asr.evaluation.error_counts import RATES, rounded
from asr.evaluation.summary import summary
from asr.evaluation.transcripts import MODELS, Transcript, read_transcripts, require_same_test_set
from asr.evaluation.utterance_table import PER_REFERENCE, utterance_table
from asr.params import load_params
from asr.runtime.errors import report_errors
from asr.scoring import hf_metric
from asr.tables.csv_text import to_csv
from asr.tables.shards import read_shards

TRANSCRIPTS = Path("data/transcripts")
FEATURES, FILTERED = Path("data/features"), Path("data/filtered")
RAW = Path("data/raw")
TRAINING_CURVE, VALIDATION_CURVE = Path("metrics/training_curve.csv"), Path("metrics/validation_curve.csv")
METRICS, TABLE = Path("metrics/evaluate.json"), Path("metrics/utterances.csv")
PARTS, REPORT = Path("metrics/parts"), Path("report.html")


def score(transcripts: dict[str, list[Transcript]]) -> dict[str, dict[str, float | int]]:
    """Compute the error rates in percent and the counts of each model."""
    metric = evaluate.load(hf_metric.__file__, keep_in_memory=True)
    return {
        model: metric.compute(
            predictions=[transcript.hypothesis for transcript in transcripts[model]],
            references=[transcript.reference for transcript in transcripts[model]],
        )
        for model in MODELS
    }


def intervals(table: pd.DataFrame, samples: int, seed: int) -> dict[str, dict[str, float]]:
    """Compute the 95 % intervals of each model's `wer` and `cer`, on the same resamples for both."""
    errors = [f"{count}_{model}" for model in MODELS for count, _ in RATES.values()]
    totals = table.groupby(units(table))[[*PER_REFERENCE, *errors]].sum()
    sums = resample(totals, samples, seed)
    found = {model: {} for model in MODELS}
    for model in MODELS:
        for rate, (count, lengths) in RATES.items():
            low, high = rate_interval(totals, sums, f"{count}_{model}", lengths)
            found[model] |= {f"{rate}_ci95_low": low, f"{rate}_ci95_high": high}
    return found


def read_training_sentences() -> list[str]:
    """Read the sentences of the rows that the filter gave to training."""
    rows = pd.read_csv(FILTERED / "train.csv", dtype={"id": str}, keep_default_na=False)["row"]
    return read_shards(FEATURES).select_columns("sentence").select(rows.to_numpy())["sentence"][:]


def read_audio(ids: list[str]) -> dict[str, bytes]:
    """Read the encoded clips with these ids from data/raw/."""
    clips = read_shards(RAW).select_columns(["id", "audio"])
    wanted = set(ids)
    rows = [row for row, id in enumerate(clips["id"]) if id in wanted]
    return {clip["id"]: clip["audio"] for clip in clips.select(rows)}


def main() -> None:
    params = load_params()
    transcripts = {model: read_transcripts(TRANSCRIPTS / f"{model}.jsonl") for model in MODELS}
    require_same_test_set(transcripts["pretrained"], transcripts["finetuned"])
    for path, stage in ((FILTERED, "filter"), (TRAINING_CURVE, "train"), (VALIDATION_CURVE, "train")):
        if not path.exists():
            raise FileNotFoundError(f"no {path}: run `dvc repro {stage}` or `dvc pull`")

    rates = score(transcripts)
    table = utterance_table(transcripts)
    for model in MODELS:
        errors = sum(rates[model][count] for count in ("substitutions", "deletions", "insertions"))
        assert table[f"errors_{model}"].sum() == errors, "the rows add up to the headline"
    sure = intervals(table, params.evaluate.bootstrap_samples, params.evaluate.seed)
    metrics = {model: rounded(rates[model] | sure[model] | runaways(transcripts[model])) for model in MODELS}
    parts = wer_by_parts(table, transcripts["finetuned"], read_training_sentences())

    drawn = charts.draw(parts, pd.read_csv(TRAINING_CURVE), pd.read_csv(VALIDATION_CURVE))
    audio = read_audio([id for ids in report.choose(table).values() for id in ids])
    page = report.render(metrics, table, transcripts, parts["trait"], drawn, audio)

    written = {
        METRICS: json.dumps(metrics, indent=2) + "\n",
        TABLE: to_csv(table),
        REPORT: page,
        **{PARTS / f"{name}.csv": to_csv(rows) for name, rows in parts.items()},
        **{PARTS / f"{name}.svg": svg for name, svg in drawn.items()},
    }
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")

    n_validation = len(pd.read_csv(FILTERED / "validation.csv"))
    print(summary(metrics, table, n_validation, REPORT))


if __name__ == "__main__":
    with report_errors("evaluate"):
        main()
