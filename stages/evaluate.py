"""Score the transcripts of the pretrained and of the fine-tuned model.

Reads   data/transcripts/pretrained.jsonl, data/transcripts/finetuned.jsonl
        data/filtered/, data/features/: the sentences that were trained on; metrics/filter.json: its warnings
        data/raw/: the clips that the report plays; metrics/*_curve.csv, which it draws
Writes  metrics/evaluate.json   error rates of both models, with 95 % intervals
        metrics/utterances.csv  what both made of each clip, for git and for `asr compare`
        metrics/parts/          error rates of parts of the test set, and charts of them and of the training
        report.html             all of it, to look at and to listen to

Apart from transcribing, so that a change to the scoring costs seconds and no GPU.

Run by `dvc repro`, or alone: python -m stages.evaluate
"""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from asr import provenance
from asr.evaluation import charts, report
from asr.evaluation.bootstrap import rate_interval, resample, units
from asr.evaluation.breakdown import runaways, wer_by_parts
from asr.evaluation.error_counts import RATES, rounded
from asr.evaluation.summary import summary, warnings
from asr.evaluation.transcripts import MODELS, Transcript, read_transcripts, require_same_test_set
from asr.evaluation.utterance_table import PER_REFERENCE, utterance_table
from asr.params import Params, load_params
from asr.runtime.errors import report_errors
from asr.scoring.rates import error_rates
from asr.tables.corpus import corpus_of
from asr.tables.csv_text import to_csv
from asr.tables.shards import read_columns

TRANSCRIPTS = Path("data/transcripts")
FEATURES, FILTERED, SELECTION = Path("data/features"), Path("data/filtered"), Path("metrics/filter.json")
RAW = Path("data/raw")
TRAINING_CURVE, VALIDATION_CURVE = Path("metrics/training_curve.csv"), Path("metrics/validation_curve.csv")
METRICS, TABLE = Path("metrics/evaluate.json"), Path("metrics/utterances.csv")
PARTS, REPORT = Path("metrics/parts"), Path("report.html")


def score(transcripts: dict[str, list[Transcript]]) -> dict[str, dict[str, float | int]]:
    """Compute the error rates in percent and the counts of each model."""
    # Not by way of `evaluate.load(hf_metric)`, as in training: that imports torch, and takes seconds.
    return {
        model: error_rates(
            [transcript.reference for transcript in transcripts[model]],
            [transcript.hypothesis for transcript in transcripts[model]],
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


def by_corpus(table: pd.DataFrame, samples: int, seed: int) -> dict[str, dict[str, dict[str, float | int]]]:
    """Compute `wer` and `cer` of each model on each corpus' test set, with their intervals."""
    found = {model: {} for model in MODELS}
    for name, rows in table.groupby(table.id.map(corpus_of)):
        if not rows.reference_words.any():
            continue
        sure = intervals(rows, samples, seed)
        for model in MODELS:
            rates = {
                rate: float(100 * rows[f"{count}_{model}"].sum() / rows[lengths].sum())
                for rate, (count, lengths) in RATES.items()
            }
            found[model][name] = {"utterances": len(rows)} | rounded(rates | sure[model])
    return found


def read_training_sentences() -> list[str]:
    """Read the sentences of the rows that the filter gave to training."""
    rows = pd.read_csv(FILTERED / "train.csv", dtype={"id": str}, keep_default_na=False)["row"]
    return read_columns(FEATURES, ["sentence"]).column("sentence").take(rows.to_numpy()).to_pylist()


def read_audio(ids: list[str]) -> dict[str, bytes]:
    """Read the encoded clips with these ids from data/raw/."""
    clips = read_columns(RAW, ["id", "audio"])
    wanted = clips.filter(pc.is_in(clips["id"], pa.array(ids, pa.string())))
    return dict(zip(wanted["id"].to_pylist(), wanted["audio"].to_pylist(), strict=True))


def about(params: Params) -> dict[str, str]:
    """Name the run for the report: language, base model and corpora.

    Not its date and its commit, or the same run would not give the same page; the commit comes after it.
    """
    token = params.model.language
    language = provenance.name_of_language(params.corpora) or "not recorded"
    if language.lower() != token.lower():
        language += f", under Whisper's token for {token}"
    base = provenance.base_of(params.pretrained, Path())
    described = {name: provenance.describe(corpus) for name, corpus in params.corpora.items()}
    return {
        "language": language,
        "base model": f"{base.name}, revision {base.revision}" if base.revision else base.name,
        **{f"corpus {name}": f"{corpus.name}: {corpus.detail}" for name, corpus in described.items()},
    }


def main() -> None:
    params = load_params()
    transcripts = {model: read_transcripts(TRANSCRIPTS / f"{model}.jsonl") for model in MODELS}
    require_same_test_set(transcripts["pretrained"], transcripts["finetuned"])
    for path in (FILTERED, SELECTION, TRAINING_CURVE, VALIDATION_CURVE):
        if not path.exists():
            stage = "filter" if path in (FILTERED, SELECTION) else "train"
            raise FileNotFoundError(f"no {path}: run `dvc repro {stage}` or `dvc pull`")

    rates = score(transcripts)
    table = utterance_table(transcripts)
    for model in MODELS:
        errors = sum(rates[model][count] for count in ("substitutions", "deletions", "insertions"))
        assert table[f"errors_{model}"].sum() == errors, "the rows add up to the headline"
    sure = intervals(table, params.evaluate.bootstrap_samples, params.evaluate.seed)
    metrics = {
        model: rounded(rates[model] | sure[model] | runaways(table, transcripts[model], model))
        for model in MODELS
    }
    doubts = [*json.loads(SELECTION.read_text(encoding="utf-8"))["warnings"], *warnings(metrics, table)]
    if table.id.map(corpus_of).nunique() > 1:
        each = by_corpus(table, params.evaluate.bootstrap_samples, params.evaluate.seed)
        metrics = {model: metrics[model] | {"corpora": each[model]} for model in MODELS}
    parts = wer_by_parts(table, transcripts["finetuned"], read_training_sentences())

    drawn = charts.draw(parts, pd.read_csv(TRAINING_CURVE), pd.read_csv(VALIDATION_CURVE))
    audio = read_audio([id for ids in report.choose(table).values() for id in ids])
    page = report.render(metrics, table, transcripts, parts["trait"], drawn, audio, about(params), doubts)

    written = {
        METRICS: json.dumps(metrics, indent=2, allow_nan=False) + "\n",
        TABLE: to_csv(table),
        REPORT: page,
        **{PARTS / f"{name}.csv": to_csv(rows) for name, rows in parts.items()},
        **{PARTS / f"{name}.svg": svg for name, svg in drawn.items()},
    }
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")

    print(summary(metrics, table, doubts, REPORT))


if __name__ == "__main__":
    with report_errors("evaluate"):
        main()
