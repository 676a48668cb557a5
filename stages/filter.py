"""Decide which rows are train, validation and test, and how their sentences are spelt in tokens.

Reads data/features/ and data/pretrained/. Writes row numbers and ids, never a second copy of the features:
data/filtered/{train,validation,test}.csv, and dropped.csv with a reason for every other row. The processor
to train with goes to data/tokenizer/: the pretrained one, or with model.extend_tokenizer one that has
learned tokens from the training sentences. Counts and hours go to metrics/filter.json; every clip that is
dropped for its own faults goes to metrics/dropped.csv. Too many that cannot be used at all end the run,
here and not in featurize: so the features are kept, and it takes seconds to go on.

Run by `dvc repro`, or alone: python -m stages.filter
"""

import csv
import json
import logging
import math
import shutil
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from transformers import GenerationConfig, WhisperTokenizer

from asr.model import vocabulary
from asr.params import load_params
from asr.runtime.errors import report_errors
from asr.scoring.text import has_controls, without_tags
from asr.selection import LEAKS, REASONS, ROLES, drop_long_labels, held_out_by, select_rows, warnings
from asr.tables.corpus import ADDED, corpus_of
from asr.tables.csv_text import to_csv
from asr.tables.features import METADATA, PROBLEMS
from asr.tables.shards import read_columns

FEATURES, PRETRAINED = Path("data/features"), Path("data/pretrained")
OUT, TOKENIZER = Path("data/filtered"), Path("data/tokenizer")
METRICS, DROPPED = Path("metrics/filter.json"), Path("metrics/dropped.csv")
# All texts: pandas itself would leave an id with a carriage return in two lines.
QUOTED = {"index_label": "row", "quoting": csv.QUOTE_NONNUMERIC}
FIRST_IDS = 3  # of each reason, in a message
logger = logging.getLogger("filter")


def summarize(rows: pd.DataFrame) -> dict:
    """Count clips and hours of each role and reason for dropping, and of each corpus if there are several."""
    corpora = rows.id.map(corpus_of)
    added = {split: rows[rows.split == split] for split in ADDED}
    dropped = _by_reason(rows)
    by_corpus = {
        name: {role: _size(of[of.role == role]) for role in ROLES if (of.role == role).any()}
        for name, of in rows.groupby(corpora)
    }
    return {
        **{role: _size(rows[rows.role == role]) for role in ROLES},
        "dropped": {reason: size["clips"] for reason, size in dropped.items()},
        "dropped_hours": {reason: size["hours"] for reason, size in dropped.items() if size["hours"]},
        **{
            split: {"added": _size(of[of.role != ""]), "refused": _by_reason(of)}
            for split, of in added.items()
            if len(of)
        },
        **({"corpora": by_corpus} if len(by_corpus) > 1 else {}),
    }


def _by_reason(rows: pd.DataFrame) -> dict[str, dict]:
    """Count what was dropped; what never happened has no key, or `dvc exp show` would show a column of it."""
    dropped = {reason: rows[rows.reason == reason] for reason in REASONS}
    return {
        reason: {"clips": len(rows), "hours": _hours(rows)} for reason, rows in dropped.items() if len(rows)
    }


def _size(rows: pd.DataFrame) -> dict:
    return {"clips": len(rows), "hours": _hours(rows), "speakers": int(rows.speaker.nunique())}


def _hours(rows: pd.DataFrame) -> float:
    return round(float(rows.duration_s.sum()) / 3600, 4)


def check_corpora(wanted: Iterable[str]) -> None:
    """Refuse features of other corpora than params.yaml has: all that is in data/features/ is read."""
    found = {path.name for path in FEATURES.iterdir()} if FEATURES.exists() else set()
    if missing := sorted(set(wanted) - found):
        raise FileNotFoundError(f"no {FEATURES / missing[0]}: run `dvc repro featurize@{missing[0]}`")
    if left := sorted(found - set(wanted)):
        folders = " ".join(f"data/{kind}/{name}" for name in left for kind in ("raw", "features"))
        raise ValueError(
            f"{FEATURES} has {', '.join(left)}, which corpora in params.yaml no longer has: `rm -r {folders}`"
            " (DVC's cache keeps them), or name them again"
        )


def check_bad(rows: pd.DataFrame, most: float) -> None:
    """Refuse a corpus of which more than a fraction cannot be used; metrics/dropped.csv has those clips."""
    bad = rows[rows.problem != ""]
    if len(bad) <= most * len(rows):
        return
    write_dropped(bad.assign(reason=bad.problem))
    by_problem = {problem: list(bad.id[bad.problem == problem]) for problem in PROBLEMS}
    lines = [f"{problem}: {len(ids)} ({_some(ids)})" for problem, ids in by_problem.items() if ids]
    raise ValueError(
        "\n  ".join([f"{len(bad)} of {len(rows)} clips cannot be used, and that is too many:", *lines])
        + f"\n  {DROPPED} has them all. Mend the corpus, or set filter.max_bad_fraction, which is {most},"
        f" to {math.ceil(1000 * len(bad) / len(rows)) / 1000} or more: what is done so far is kept."
    )


def _some(ids: Iterable[str]) -> str:
    ids = [repr(id)[1:-1] for id in ids]  # no control character reaches the terminal
    return ", ".join(ids[:FIRST_IDS] + ["…"] * (len(ids) > FIRST_IDS))


def write_dropped(rows: pd.DataFrame) -> None:
    """Write the table of dropped rows, less those that would leak: nothing is wrong with the clips."""
    dropped = rows[(rows.reason != "") & ~rows.reason.isin(LEAKS)]
    again = rows[rows.sound.isin(dropped.sound[dropped.reason == "other_text"])]
    same = again.groupby("sound").id.agg(list).to_dict()
    details = [_detail(row, same) for row in dropped.itertuples()]
    table = dropped[["id", "split", "reason"]].assign(detail=details)
    DROPPED.parent.mkdir(parents=True, exist_ok=True)
    DROPPED.write_text(to_csv(table), encoding="utf-8", newline="\n")


def _detail(row: tuple, same: dict[str, list[str]]) -> str:
    """Say what was found; `same` has the ids of clips of one sound."""
    if row.reason in ("too_long", "over_window"):
        return f"{row.duration_s:.2f} s"
    if row.reason == "other_text":
        return f"the sound of {next(id for id in same[row.sound] if id != row.id)}"
    if row.reason == "too_fast":
        return f"{row.characters_per_s:.1f} characters a second"
    return f"{row.n_labels} ids" if row.reason == "too_many_labels" else row.detail


def write(rows: pd.DataFrame, tokenizer: WhisperTokenizer, new_tokens: list[vocabulary.NewToken]) -> None:
    """Write the tables of each role and of dropped rows, and the processor."""
    for folder in (OUT, TOKENIZER):
        folder.mkdir(parents=True, exist_ok=True)
    for role in ROLES:
        rows[rows.role == role].to_csv(OUT / f"{role}.csv", columns=["id"], **QUOTED)
    rows[rows.role == ""].to_csv(OUT / "dropped.csv", columns=["id", "split", "reason"], **QUOTED)
    tokenizer.save_pretrained(TOKENIZER)
    shutil.copy(PRETRAINED / "processor_config.json", TOKENIZER)
    vocabulary.save(new_tokens, TOKENIZER)


def report(summary: dict) -> None:
    """Log what metrics/filter.json holds."""
    for role in ROLES:
        logger.info("%s: %s", role, summary[role])
    for name, sizes in summary.get("corpora", {}).items():
        logger.info("%s: %s", name, sizes)
    logger.info("dropped: %s", summary["dropped"])
    for split in summary.keys() & ADDED:
        refused = {reason: size["clips"] for reason, size in summary[split]["refused"].items()}
        logger.info("%s: added %s, refused %s", split, summary[split]["added"], refused)
    logger.info("%s ids a word, pretrained %s", summary["ids_per_word"], summary["ids_per_word_pretrained"])
    for warning in summary["warnings"]:
        logger.warning(warning)


def main() -> None:
    params = load_params()
    check_corpora(params.corpora)
    rows = read_columns(FEATURES, METADATA).to_pandas()
    check_bad(rows, params.filter.max_bad_fraction)
    settings = GenerationConfig.from_pretrained(PRETRAINED)
    pretrained, tokenizer = (
        vocabulary.load_tokenizer(PRETRAINED, params.model.language, params.model.task) for _ in range(2)
    )

    rows = select_rows(
        rows,
        window_s=params.model.audio_window_s,
        **params.filter.model_dump(exclude={"max_bad_fraction"}),
    )
    # Tokens are learned from the rows of train only, and labels counted in them, so this comes after.
    words = rows.sentence.map(without_tags)
    labels = rows.sentence if params.model.keep_tags else words
    is_train = rows.role == "train"
    new_tokens = vocabulary.extend(
        tokenizer,
        labels[is_train],
        params.model.extend_tokenizer,
        reserved={*(settings.suppress_tokens or []), *(settings.begin_suppress_tokens or [])},
    )
    ids = vocabulary.count_ids(tokenizer, labels, special=True)
    rows["n_labels"] = pd.Series(ids, rows.index) - 1  # as trained on: without the start token
    config = json.loads((PRETRAINED / "config.json").read_text(encoding="utf-8"))
    rows = drop_long_labels(rows, config["max_target_positions"])
    assert ((rows.role == "") == (rows.reason != "")).all(), "a row is either used or dropped"
    write(rows, tokenizer, new_tokens)
    write_dropped(rows)

    odd = rows[(rows.role != "") & rows.sentence.map(has_controls)]
    if len(odd):
        logger.warning("%d sentences have control characters, which are kept: %s", len(odd), _some(odd.id))
    summary = summarize(rows) | {
        "validation_held_out_by": held_out_by(rows),
        "with_control_characters": len(odd),
        "ids_per_word": round(vocabulary.ids_per_word(tokenizer, words[is_train]), 3),
        "ids_per_word_pretrained": round(vocabulary.ids_per_word(pretrained, words[is_train]), 3),
        "warnings": warnings(rows),
    }
    METRICS.parent.mkdir(parents=True, exist_ok=True)
    METRICS.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    report(summary)


if __name__ == "__main__":
    with report_errors("filter"):
        main()
