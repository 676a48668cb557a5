"""Decide which rows are train, validation and test: data/features/ to data/filtered/.

Writes row numbers and ids, never a second copy of the features: data/filtered/{train,validation,test}.csv,
and dropped.csv with a reason for every other row. Counts and hours go to metrics/filter.json.

Run by `dvc repro`, or alone: python -m stages.filter
"""

import json
import logging
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
from transformers import WhisperConfig

from asr.features import METADATA
from asr.params import load_params
from asr.selection import REASONS, knows_speakers, select_rows
from asr.shards import read_shards
from asr.stage import report_errors

FEATURES, PRETRAINED = Path("data/features"), Path("data/pretrained")
OUT, METRICS = Path("data/filtered"), Path("metrics/filter.json")
ROLES = ("train", "validation", "test")
logger = logging.getLogger("filter")


def summarize(rows: pd.DataFrame) -> dict:
    """Count clips, hours and speakers of each role, and dropped clips by reason; no key ever lacks."""
    used = {
        role: {
            "clips": int((rows.role == role).sum()),
            "hours": round(float(rows.duration_s[rows.role == role].sum()) / 3600, 4),
            "speakers": int(rows.speaker[rows.role == role].nunique()),
        }
        for role in ROLES
    }
    dropped = {reason: int((rows.reason == reason).sum()) for reason in REASONS}
    return {**used, "dropped": dropped}


def main() -> None:
    params = load_params()
    dataset = read_shards(FEATURES)
    rows = dataset.select_columns(METADATA).to_pandas()
    rows["n_labels"] = pc.list_value_length(dataset.data.column("labels")).to_numpy()
    rows = select_rows(
        rows,
        max_duration_s=params.filter.max_duration_s,
        window_s=params.model.audio_window_s,
        max_labels=WhisperConfig.from_pretrained(PRETRAINED).max_target_positions,
        validation_fraction=params.filter.validation_fraction,
        seed=params.filter.seed,
    )
    assert ((rows.role == "") == (rows.reason != "")).all(), "a row is either used or dropped"

    OUT.mkdir(parents=True, exist_ok=True)
    METRICS.parent.mkdir(parents=True, exist_ok=True)
    for role in ROLES:
        rows[rows.role == role].to_csv(OUT / f"{role}.csv", columns=["id"], index_label="row")
    rows[rows.role == ""].to_csv(OUT / "dropped.csv", columns=["id", "split", "reason"], index_label="row")
    summary = summarize(rows)
    METRICS.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    if not knows_speakers(rows):
        logger.warning("the corpus names fewer than two speakers: validation rows are held out by sentence")
    for role in ROLES:
        logger.info("%s: %s", role, summary[role])
    logger.info("dropped: %s", {reason: n for reason, n in summary["dropped"].items() if n})


if __name__ == "__main__":
    with report_errors("filter"):
        main()
