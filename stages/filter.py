"""Decide which rows are train, validation and test, and how their sentences are spelt in tokens.

Reads data/features/ and data/pretrained/. Writes row numbers and ids, never a second copy of the features:
data/filtered/{train,validation,test}.csv, and dropped.csv with a reason for every other row. The processor
to train with goes to data/tokenizer/: the pretrained one, or with model.extend_tokenizer one that has
learned tokens from the training sentences. Counts and hours go to metrics/filter.json.

Run by `dvc repro`, or alone: python -m stages.filter
"""

import json
import logging
from pathlib import Path

import pandas as pd
from transformers import GenerationConfig, WhisperConfig, WhisperProcessor, WhisperTokenizer

from asr import vocabulary
from asr.features import METADATA
from asr.params import load_params
from asr.selection import REASONS, ROLES, drop_long_labels, knows_speakers, select_rows
from asr.shards import read_shards
from asr.stage import report_errors
from asr.whisper import load_processor

FEATURES, PRETRAINED = Path("data/features"), Path("data/pretrained")
OUT, TOKENIZER, METRICS = Path("data/filtered"), Path("data/tokenizer"), Path("metrics/filter.json")
logger = logging.getLogger("filter")


def count_labels(sentences: pd.Series, tokenizer: WhisperTokenizer) -> list[int]:
    """Count the label ids of each sentence, as it is trained on: all but the start token."""
    return [len(ids) - 1 for ids in tokenizer(sentences.to_list(), verbose=False).input_ids]


def summarize(rows: pd.DataFrame) -> dict:
    """Count clips and hours of each role, of each reason, and of validated rows; no key ever lacks."""
    by_reason = {reason: rows[rows.reason == reason] for reason in REASONS}
    validated = rows[rows.split == "validated"]
    return {
        **{role: _size(rows[rows.role == role]) for role in ROLES},
        "dropped": {reason: len(dropped) for reason, dropped in by_reason.items()},
        "dropped_hours": {reason: _hours(dropped) for reason, dropped in by_reason.items()},
        "validated": {
            "added": _size(validated[validated.role != ""]),
            "refused": {
                reason: {"clips": len(refused), "hours": _hours(refused)}
                for reason in REASONS
                for refused in [validated[validated.reason == reason]]
            },
        },
    }


def _size(rows: pd.DataFrame) -> dict:
    return {"clips": len(rows), "hours": _hours(rows), "speakers": int(rows.speaker.nunique())}


def _hours(rows: pd.DataFrame) -> float:
    return round(float(rows.duration_s.sum()) / 3600, 4)


def check_validated(rows: pd.DataFrame, add_validated: bool) -> None:
    """Refuse features that were made under another filter.add_validated."""
    found = int((rows.split == "validated").sum())
    if bool(found) != add_validated:
        raise ValueError(
            f"filter.add_validated is {add_validated}, but {FEATURES} has {found} validated rows:"
            " `dvc repro filter` brings the corpus in again"
        )


def write(rows: pd.DataFrame, processor: WhisperProcessor, new_tokens: list[vocabulary.NewToken]) -> None:
    """Write the tables of each role and of dropped rows, and the processor."""
    for folder in (OUT, TOKENIZER):
        folder.mkdir(parents=True, exist_ok=True)
    for role in ROLES:
        rows[rows.role == role].to_csv(OUT / f"{role}.csv", columns=["id"], index_label="row")
    rows[rows.role == ""].to_csv(OUT / "dropped.csv", columns=["id", "split", "reason"], index_label="row")
    processor.save_pretrained(TOKENIZER)
    vocabulary.save(new_tokens, TOKENIZER)


def report(summary: dict) -> None:
    """Log what metrics/filter.json holds, without what is zero."""
    for role in ROLES:
        logger.info("%s: %s", role, summary[role])
    logger.info("dropped: %s", {reason: n for reason, n in summary["dropped"].items() if n})
    refused = {reason: size["clips"] for reason, size in summary["validated"]["refused"].items()}
    refused = {reason: n for reason, n in refused.items() if n}
    if refused or summary["validated"]["added"]["clips"]:
        logger.info("validated: added %s, refused %s", summary["validated"]["added"], refused)
    logger.info("%s ids a word, pretrained %s", summary["ids_per_word"], summary["ids_per_word_pretrained"])


def main() -> None:
    params = load_params()
    rows = read_shards(FEATURES).select_columns(METADATA).to_pandas()
    check_validated(rows, params.filter.add_validated)
    pretrained, processor = (
        load_processor(PRETRAINED, params.model.language, params.model.task) for _ in range(2)
    )
    settings = GenerationConfig.from_pretrained(PRETRAINED)

    rows = select_rows(
        rows,
        max_duration_s=params.filter.max_duration_s,
        window_s=params.model.audio_window_s,
        validation_fraction=params.filter.validation_fraction,
        seed=params.filter.seed,
    )
    # Tokens are learned from the rows of train only, and labels counted in them, so this comes after.
    sentences = rows.sentence[rows.role == "train"]
    new_tokens = vocabulary.extend(
        processor,
        sentences,
        params.model.extend_tokenizer,
        reserved={*(settings.suppress_tokens or []), *(settings.begin_suppress_tokens or [])},
    )
    rows["n_labels"] = count_labels(rows.sentence, processor.tokenizer)
    rows = drop_long_labels(rows, WhisperConfig.from_pretrained(PRETRAINED).max_target_positions)
    assert ((rows.role == "") == (rows.reason != "")).all(), "a row is either used or dropped"
    write(rows, processor, new_tokens)

    summary = summarize(rows) | {
        "ids_per_word": round(vocabulary.ids_per_word(processor.tokenizer, sentences), 3),
        "ids_per_word_pretrained": round(vocabulary.ids_per_word(pretrained.tokenizer, sentences), 3),
    }
    METRICS.parent.mkdir(parents=True, exist_ok=True)
    METRICS.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    if not knows_speakers(rows):
        logger.warning("the corpus names fewer than two speakers: validation rows are held out by sentence")
    report(summary)


if __name__ == "__main__":
    with report_errors("filter"):
        main()
