"""Fine-tune the pretrained model: data/{raw,features,filtered,pretrained,tokenizer}/ to data/trained/.

Of the checkpoints whose `metric_for_best_model` on the held-out validation rows is within a standard error of
the best, the latest is kept; the test rows are not looked at. In the end asr/training/hearing.py chooses on
the validation rows how the model hears. With `label_smoothing_factor: auto`, what the pretrained model hears
in some of them says whether to smooth.
A killed run is taken up from its last checkpoint by the next `dvc repro`.
Figures go to metrics/train.json, curves to metrics/training_curve.csv and metrics/validation_curve.csv.

Run by `dvc repro`, or alone: python -m stages.train
"""

import gc
import json
import logging
import os
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
import transformers
from transformers import TrainerState, WhisperForConditionalGeneration, WhisperProcessor, set_seed

from asr.model import vocabulary, whisper
from asr.params import Params, load_params
from asr.runtime import processes
from asr.runtime.errors import report_errors
from asr.scoring.text import TAGS
from asr.tables.rows import read_rows
from asr.training import adaptation, checkpoints, hearing, resuming, smoothing
from asr.training.arguments import make_trainer, resolve_precision
from asr.training.batches import Examples
from asr.training.soup import Soup
from asr.training.trainer import WhisperTrainer

RAW, FEATURES, FILTERED = Path("data/raw"), Path("data/features"), Path("data/filtered")
PRETRAINED, TOKENIZER = Path("data/pretrained"), Path("data/tokenizer")
OUT, METRICS = Path("data/trained"), Path("metrics")
SOFTWARE = ("torch", "transformers", "accelerate", "peft", "numpy", "soxr")  # what steps depend on
logger = logging.getLogger("train")


def examples(params: Params, processor: WhisperProcessor, role: str, speeds: list[float]) -> Examples:
    """Return the rows of a role as examples, each once at every speed."""
    table = FILTERED / f"{role}.csv"
    rows, raw = read_rows(FEATURES, table), read_rows(RAW, table)
    mel_filters = processor.feature_extractor.mel_filters
    return Examples(rows, raw, mel_filters, params.model.audio_window_s, speeds, params.model.keep_tags)


def smooth(params: Params) -> tuple[Params, dict[str, dict]]:
    """Replace `label_smoothing_factor: auto`; returns the parameters, and figures of what was found."""
    if params.train.label_smoothing_factor != "auto":
        return params, {}
    language, task = params.model.language, params.model.task
    processor = whisper.load_processor(PRETRAINED, language, task)
    pretrained = whisper.load_for_transcription(PRETRAINED)
    whisper.set_language(pretrained, language, task)
    validation = examples(params, processor, "validation", [1.0])
    found = smoothing.choose(pretrained, processor, validation, params.train)
    if processes.is_main():
        logger.info("the pretrained model on validation clips: %s", found)
    return with_train(params, label_smoothing_factor=found["label_smoothing_factor"]), {"pretrained": found}


def with_train(recipe: Params, **changes: object) -> Params:
    """Return a recipe's parameters with other settings of `train`."""
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=changes)})


def prepare(params: Params, folder: Path) -> WhisperTrainer:
    """Load data and model as the parameters want them; a trainer that keeps its checkpoints in `folder`.

    `label_smoothing_factor` is a number here: `smooth` replaces `auto`.
    """
    processor = whisper.load_processor(TOKENIZER, params.model.language, params.model.task)
    model = adaptation.load_for_training(PRETRAINED, params.train)
    whisper.shorten_window(model, processor, params.model.audio_window_s)
    model.config.padding = params.train.padding  # both say how `transcribe` and `asr transcribe` pad and cut
    model.config.full_window_fraction = params.train.full_window_fraction
    whisper.set_language(model, params.model.language, params.model.task)
    if params.model.keep_tags:
        whisper.allow(model, processor.tokenizer, TAGS)
    new_tokens = vocabulary.load(TOKENIZER)
    whisper.seed_embeddings(model, new_tokens)
    set_seed(params.train.seed)  # adapters begin with random weights
    model = adaptation.adapt(model, params.train, [token.id for token in new_tokens])

    training = examples(params, processor, "train", params.train.speed_perturbation)
    validation = examples(params, processor, "validation", [1.0])
    model.config.max_ids_per_s = hearing.max_ids_per_s(training, processor.tokenizer)
    if processes.is_main():
        logger.info(
            "%d examples of %d rows, %d to validate, %.1f of %.1f M parameters, %s, %d processes"
            " of %d threads, %d GPUs",
            len(training), len(training.rows), len(validation),
            model.num_parameters(only_trainable=True) / 1e6, model.num_parameters() / 1e6,
            resolve_precision(params.train.precision), processes.world_size(),
            torch.get_num_threads(), torch.cuda.device_count(),
        )  # fmt: skip
    return make_trainer(model, processor, training, validation, params.train, folder)


def train(params: Params, folder: Path) -> tuple[WhisperTrainer, TrainerState, dict[str, dict]]:
    """Train, `train.soup` times with the seeds from `train.seed` on, or go on with what is in `folder`.

    Returns
    -------
    A trainer with the model, the history of the training that was best, and figures of what was chosen.
    """
    params, chosen = smooth(params)
    soup, trainer = Soup(), None
    for number in range(params.train.soup):
        del trainer  # or its optimizer would stay in memory beside the next one's
        gc.collect()
        seed = params.train.seed + number
        own = folder / f"seed-{seed}" if number else folder
        trainer = prepare(with_train(params, seed=seed), own)
        checkpoint = checkpoints.newest_whole(own)
        if processes.is_main():
            if params.train.soup > 1:
                logger.info("training %d of %d, with seed %d", number + 1, params.train.soup, seed)
            if checkpoint:
                logger.info("resuming from %s", checkpoint)
        resuming.train_from(trainer, checkpoint)
        if params.train.soup > 1:
            soup.add(trainer)
    if params.train.soup == 1:
        return trainer, trainer.state, chosen
    with trainer.accelerator.autocast():
        return trainer, soup.state, chosen | {"soup": soup.serve(trainer, params.train)}


def finished_model(
    trainer: WhisperTrainer, params: Params
) -> tuple[WhisperForConditionalGeneration, dict[str, dict]]:
    """Return a trained model, its adapters merged, that says how it hears best; and how that was found."""
    model = adaptation.merged(trainer.model)
    model.config.use_cache = True  # which gradient checkpointing has switched off
    processor, validation, collator = trainer.processing_class, trainer.eval_dataset, trainer.data_collator
    with trainer.accelerator.autocast():
        return model, hearing.choose(model, processor, validation, collator, params.train)


def curves(history: list[dict]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the trainer's history into a training and a validation curve; no times, which never repeat."""
    training = [[h["step"], h["loss"], h["learning_rate"]] for h in history if "loss" in h]
    names = ["step", *(f"eval_{name}" for name in ("loss", "wer", "cer", "standard_error"))]
    validation = [
        {name.removeprefix("eval_"): h[name] for name in names if name in h}
        for h in history
        if "eval_wer" in h
    ]
    return (
        pd.DataFrame(training, columns=["step", "loss", "learning_rate"]),
        pd.DataFrame(validation).round(4),
    )


def write_figures(state: TrainerState, chosen: dict[str, dict], folder: Path) -> dict:
    """Write a finished training's curves and its figures; returns the figures."""
    training_curve, validation_curve = curves(state.log_history)
    best = validation_curve.set_index("step").loc[state.best_global_step]
    figures = {
        "steps": state.global_step,
        "epochs": round(state.epoch, 2),
        "loss": round(float(training_curve.loss.iloc[-1]), 4),
        "best_step": state.best_global_step,
        "validation": {name: round(float(value), 2) for name, value in best.items()},
        **chosen,
    }
    text = json.dumps(figures, indent=2, allow_nan=False) + "\n"  # before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.json").write_text(text, encoding="utf-8")
    training_curve.to_csv(folder / "training_curve.csv", index=False)
    validation_curve.to_csv(folder / "validation_curve.csv", index=False)
    return figures


def main() -> None:
    params = load_params()
    processes.start("stages.train", params.train.num_processes)
    transformers.utils.logging.disable_progress_bar()  # of loading and saving weights; ours is enough
    # Without this, gradients on a CPU differ in their last bits from run to run.
    torch.use_deterministic_algorithms(not torch.cuda.is_available())
    versions = {
        **{package: version(package) for package in SOFTWARE},
        "precision": resolve_precision(params.train.precision),
        "processes": processes.world_size(),
    }
    folder = checkpoints.checkpoint_folder("train", versions)
    os.environ.setdefault("TENSORBOARD_LOGGING_DIR", f"runs/{folder.name}")
    with checkpoints.locked(folder):
        checkpoints.remove_finished_others(folder)
        trainer, state, chosen = train(params, folder)
        model, ways = finished_model(trainer, params)
        if processes.is_main():
            whisper.save(model, trainer.processing_class, OUT)
            figures = write_figures(state, chosen | ways, METRICS)
            for own in (folder, *folder.glob("seed-*")):
                checkpoints.finish(own)
            logger.info("%s", figures)
        processes.barrier()


if __name__ == "__main__":
    with report_errors("train"):
        main()
