"""Transcribe the test rows with one model: data/{features,filtered}/ and the model to data/transcripts/.

Runs twice, for the pretrained and for the fine-tuned model, each through the window it was built with,
in `transcribe.num_processes` processes, a GPU each.
This is the part of evaluation that wants a GPU; scoring is the next stage's, and costs seconds.

Run by `dvc repro`, or alone: python -m stages.transcribe data/model data/transcripts/finetuned.jsonl
"""

import argparse
import json
import logging
from pathlib import Path

import torch
import transformers
from datasets import Dataset
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from asr.audio.log_mel import SAMPLE_RATE, n_frames
from asr.decoding import Hypothesis, transcribe
from asr.language_model import fusion
from asr.language_model.fusion import Fusion
from asr.model import whisper
from asr.model.search import DecodingOptions
from asr.params import Params, load_params
from asr.runtime import processes
from asr.runtime.errors import report_errors
from asr.tables.features import log_mel_of, with_arrays
from asr.tables.rows import read_rows

FEATURES, FILTERED = Path("data/features"), Path("data/filtered")
logger = logging.getLogger("transcribe")


def transcribe_rows(
    model: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    rows: Dataset,
    params: Params,
    language_model: Fusion | None,
) -> list[Hypothesis]:
    """Transcribe rows of `FEATURES`, in their order."""
    features, n_mels = with_arrays(rows), model.config.num_mel_bins
    options = DecodingOptions(
        language=params.model.language,
        task=params.model.task,
        **params.transcribe.model_dump(exclude={"num_processes", "language_model"}),
        language_model=language_model,
    )
    lengths = [n_frames(round(duration_s * SAMPLE_RATE)) for duration_s in rows["duration_s"]]
    return transcribe(model, processor, lengths, lambda index: log_mel_of(features[index], n_mels), options)


def write_transcripts(path: Path, rows: Dataset, hypotheses: list[Hypothesis]) -> None:
    """Write one JSON line a row: what the corpus says of it, its reference, and what the model heard."""
    known = rows.select_columns(["id", "speaker", "gender", "age", "accent", "duration_s", "sentence"])
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        for row, heard in zip(known, hypotheses, strict=True):
            row["duration_s"] = round(row["duration_s"], 3)
            row["reference"] = row.pop("sentence")
            line = {**row, "hypothesis": heard.text, "n_ids": heard.n_ids, "hit_limit": heard.hit_limit}
            file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
    part.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a checkpoint folder")
    parser.add_argument("out", type=Path, help="the .jsonl file to write")
    args = parser.parse_args()
    params = load_params()
    processes.start("stages.transcribe", params.transcribe.num_processes)
    transformers.utils.logging.disable_progress_bar()  # of loading weights; ours is enough

    processor = whisper.load_processor(args.model, params.model.language, params.model.task)
    model = whisper.load_for_transcription(args.model)
    rows = read_rows(FEATURES, FILTERED / "test.csv")
    language_model = fusion.load(args.model, processor.tokenizer)
    hypotheses = transcribe_rows(model, processor, rows, params, language_model)
    if processes.is_main():
        write_transcripts(args.out, rows, hypotheses)
    logger.info(
        "%s: %d clips, %d ids, %d texts without an end, %d threads",
        args.model, len(rows), sum(h.n_ids for h in hypotheses), sum(h.hit_limit for h in hypotheses),
        torch.get_num_threads(),
    )  # fmt: skip


if __name__ == "__main__":
    with report_errors("transcribe"):
        main()
