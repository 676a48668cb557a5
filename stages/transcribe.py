"""Transcribe the test rows with one model: data/{features,filtered}/ and the model to data/transcripts/.

Runs twice, for the pretrained and for the fine-tuned model, each through the window it was built with.
This is the part of evaluation that wants a GPU; scoring is the next stage's, and costs seconds.

Run by `dvc repro`, or alone: python -m stages.transcribe data/model data/transcripts/finetuned.jsonl
"""

import argparse
import json
import logging
from pathlib import Path

import torch
from datasets import Dataset

from asr import whisper
from asr.batches import read_rows
from asr.decoding import Hypothesis, transcribe
from asr.features import log_mel_of
from asr.params import load_params
from asr.stage import report_errors

FEATURES, FILTERED = Path("data/features"), Path("data/filtered")
logger = logging.getLogger("transcribe")


def write_transcripts(path: Path, rows: Dataset, hypotheses: list[Hypothesis]) -> None:
    """Write one JSON line a row: what the corpus says of it, its reference, and what the model heard."""
    known = rows.with_format(None).select_columns(
        ["id", "speaker", "gender", "age", "accent", "duration_s", "sentence"]
    )
    with path.open("w", encoding="utf-8") as file:
        for row, heard in zip(known, hypotheses, strict=True):
            row["duration_s"] = round(row["duration_s"], 3)
            row["reference"] = row.pop("sentence")
            line = {**row, "hypothesis": heard.text, "n_ids": heard.n_ids, "hit_limit": heard.hit_limit}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a checkpoint folder")
    parser.add_argument("out", type=Path, help="the .jsonl file to write")
    args = parser.parse_args()
    params = load_params()

    processor = whisper.load_processor(args.model, params.model.language, params.model.task)
    model = whisper.load_model(args.model).eval()
    if torch.cuda.is_available():
        model = model.to("cuda", torch.float16)
    rows = read_rows(FEATURES, FILTERED / "test.csv")
    clips = [log_mel_of(row, model.config.num_mel_bins) for row in rows]
    hypotheses = transcribe(
        model, processor, clips, params.model.language, params.model.task, **params.transcribe.model_dump()
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_transcripts(args.out, rows, hypotheses)
    logger.info(
        "%s: %d clips, %d ids, %d at the limit",
        args.model, len(rows), sum(h.n_ids for h in hypotheses), sum(h.hit_limit for h in hypotheses),
    )  # fmt: skip


if __name__ == "__main__":
    with report_errors("transcribe"):
        main()
