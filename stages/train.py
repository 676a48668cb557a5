"""Fine-tune the pretrained model: data/{features,filtered,pretrained}/ to data/model/.

The checkpoint with the best `metric_for_best_model` on the held-out validation rows is kept; the test
rows are not looked at. A killed run is taken up from its last checkpoint by the next `dvc repro`.
Figures go to metrics/train.json, curves to metrics/training_curve.csv and metrics/validation_curve.csv.

Run by `dvc repro`, or alone: python -m stages.train
"""

import json
import logging
import math
import os
import shutil
import sys
from pathlib import Path

import evaluate
import numpy as np
import pandas as pd
import torch
import transformers
from datasets import Dataset
from transformers import (
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    set_seed,
)

from asr import error_rates, whisper
from asr.batches import NO_LOSS, Collator, read_rows
from asr.checkpoints import MarkWhole, checkpoint_folder, locked, newest_whole
from asr.params import Train, load_params
from asr.stage import report_errors

FEATURES, FILTERED, PRETRAINED = Path("data/features"), Path("data/filtered"), Path("data/pretrained")
OUT, METRICS = Path("data/model"), Path("metrics")
logger = logging.getLogger("train")


def train(
    model: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    train_rows: Dataset,
    validation_rows: Dataset,
    params: Train,
    checkpoints: Path,
) -> Seq2SeqTrainer:
    """Fine-tune a model in place, from the last whole checkpoint in a folder if there is one.

    Returns the trainer, whose model is the best one and whose state has the history.
    """
    trainer = Seq2SeqTrainer(
        model=model,
        args=training_arguments(params, checkpoints),
        train_dataset=train_rows,
        eval_dataset=validation_rows,
        data_collator=Collator(model.config.num_mel_bins, whisper.window_frames(model)),
        compute_metrics=error_rate_metrics(processor),
        callbacks=[SaveWhatIsEvaluated(), RefuseInfiniteLoss(), MarkWhole()],
    )
    checkpoint = newest_whole(checkpoints)
    if checkpoint:
        logger.info("resuming from %s", checkpoint)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer


def training_arguments(params: Train, checkpoints: Path) -> Seq2SeqTrainingArguments:
    """Hand the parameters to the trainer under its own names."""
    settings = params.model_dump(exclude={"precision", "gradient_checkpointing"})
    precision = resolve_precision(params.precision)
    return Seq2SeqTrainingArguments(
        output_dir=str(checkpoints),
        **settings,
        fp16=precision == "fp16",
        bf16=precision == "bf16",
        activation_checkpointing=params.gradient_checkpointing,  # the trainer's new name for it
        eval_strategy="steps",
        predict_with_generate=True,
        load_best_model_at_end=True,
        greater_is_better=False,  # error rates and loss
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=not sys.stderr.isatty(),
    )


def resolve_precision(precision: str) -> str:
    """Choose for `auto`: bf16 where the GPU has it, fp16 on an older one, fp32 on a CPU."""
    if not torch.cuda.is_available():
        if precision in ("fp16", "bf16"):
            raise ValueError(f"train.precision is {precision}, which takes a GPU: set it to auto or fp32")
        return "fp32"
    if precision != "auto":
        return precision
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def error_rate_metrics(processor: WhisperProcessor):
    """Make the function that scores a validation pass, by the metric that `evaluate` uses too."""
    metric = evaluate.load(error_rates.__file__, keep_in_memory=True)

    def decode(ids: np.ndarray) -> list[str]:
        ids = np.where(ids == NO_LOSS, processor.tokenizer.pad_token_id, ids)
        return processor.tokenizer.batch_decode(ids, skip_special_tokens=True)

    def compute(prediction) -> dict:
        return metric.compute(
            predictions=decode(prediction.predictions), references=decode(prediction.label_ids)
        )

    return compute


class SaveWhatIsEvaluated(TrainerCallback):
    """Evaluate after the last step too; save whatever is evaluated, or the best may not be there to keep."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step >= state.max_steps:
            control.should_log = control.should_evaluate = True

    def on_evaluate(self, args, state, control, **kwargs):
        control.should_save = True


class RefuseInfiniteLoss(TrainerCallback):
    """Stop at the first loss that is no number: nothing after it is worth computing."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not math.isfinite((logs or {}).get("loss", 0)):
            raise ValueError(
                f"the loss is {logs['loss']} at step {state.global_step}:"
                " lower train.learning_rate, or set train.precision to fp32"
            )


def curves(history: list[dict]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the trainer's history into a training and a validation curve; no times, which never repeat."""
    training = [[h["step"], h["loss"], h["learning_rate"]] for h in history if "loss" in h]
    validation = [
        [h["step"], h["eval_loss"], h["eval_wer"], h["eval_cer"]] for h in history if "eval_wer" in h
    ]
    return (
        pd.DataFrame(training, columns=["step", "loss", "learning_rate"]),
        pd.DataFrame(validation, columns=["step", "loss", "wer", "cer"]).round(4),
    )


def main() -> None:
    params = load_params()
    processor = whisper.load_processor(PRETRAINED, params.model.language, params.model.task)
    model = whisper.load_model(PRETRAINED)
    whisper.shorten_window(model, processor, params.model.audio_window_s)
    whisper.set_language(model, params.model.language, params.model.task)
    train_rows = read_rows(FEATURES, FILTERED / "train.csv")
    validation_rows = read_rows(FEATURES, FILTERED / "validation.csv")
    precision = resolve_precision(params.train.precision)
    logger.info(
        "%d rows, %d validation rows, %s, %d GPUs",
        len(train_rows), len(validation_rows), precision, torch.cuda.device_count(),
    )  # fmt: skip

    set_seed(params.train.seed)
    # Without this, gradients on a CPU differ in their last bits from run to run.
    torch.use_deterministic_algorithms(not torch.cuda.is_available())
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "precision": precision}
    checkpoints = checkpoint_folder("train", versions)
    os.environ.setdefault("TENSORBOARD_LOGGING_DIR", f"runs/{checkpoints.name}")
    with locked(checkpoints):
        trainer = train(model, processor, train_rows, validation_rows, params.train, checkpoints)
        model.config.use_cache = True
        whisper.save(model, processor, OUT)
        METRICS.mkdir(parents=True, exist_ok=True)
        training_curve, validation_curve = curves(trainer.state.log_history)
        training_curve.to_csv(METRICS / "training_curve.csv", index=False)
        validation_curve.to_csv(METRICS / "validation_curve.csv", index=False)
        best = validation_curve.set_index("step").loc[trainer.state.best_global_step]
        summary = {
            "steps": trainer.state.global_step,
            "epochs": round(trainer.state.epoch, 2),
            "loss": round(float(training_curve.loss.iloc[-1]), 4),
            "best_step": trainer.state.best_global_step,
            "validation": {name: round(float(value), 2) for name, value in best.items()},
        }
        (METRICS / "train.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(checkpoints)
    logger.info("%s", summary)


if __name__ == "__main__":
    with report_errors("train"):
        main()
