"""Set a trainer up as the parameters say: its arguments, precision, scores and callbacks."""

import math
from pathlib import Path

import evaluate
import numpy as np
import torch
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Seq2SeqTrainingArguments,
    TrainerCallback,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
    set_seed,
)

from asr.model import whisper
from asr.params import Train
from asr.scoring import hf_metric
from asr.scoring.rates import standard_error
from asr.training.batches import NO_LOSS, Collator, Examples
from asr.training.checkpoints import MarkWhole
from asr.training.progress_callback import Progress
from asr.training.trainer import TokenLoss, WhisperTrainer

# Parameters that `Seq2SeqTrainingArguments` does not have, or that go elsewhere.
OURS = {
    "precision", "num_processes", "gradient_checkpointing", "attn_implementation", "label_smoothing_factor",
    "dropout", "attention_dropout", "activation_dropout", "freeze_encoder", "speed_perturbation",
    "spec_augment", "lora", "early_stopping_patience", "early_stopping_threshold", "padding",
    "full_window_fraction", "soup",
}  # fmt: skip


def make_trainer(
    model: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    examples: Examples,
    validation: Examples,
    params: Train,
    checkpoints: Path,
) -> WhisperTrainer:
    """Set a trainer up that fine-tunes a model in place and keeps its checkpoints in a folder."""
    callbacks = [SaveWhatIsEvaluated(), RefuseInfiniteLoss()]
    if params.early_stopping_patience:
        patience, threshold = params.early_stopping_patience, params.early_stopping_threshold
        callbacks.append(EarlyStoppingCallback(patience, threshold))
    trainer = WhisperTrainer(
        model=model,
        args=training_arguments(params, checkpoints),
        train_dataset=examples,
        eval_dataset=validation,
        processing_class=processor,
        data_collator=Collator(model.config, processor.tokenizer, whisper.window_frames(model)),
        padding=params.padding,
        full_window_fraction=params.full_window_fraction,
        compute_loss_func=TokenLoss(params.label_smoothing_factor),
        compute_metrics=error_rate_metrics(processor.tokenizer, params.metric_for_best_model),
        callbacks=[*callbacks, Progress(), MarkWhole()],
    )
    trainer.remove_callback(PrinterCallback)
    set_seed(params.seed + trainer.args.process_index)  # or all processes would draw the same dropout
    return trainer


def training_arguments(params: Train, checkpoints: Path) -> Seq2SeqTrainingArguments:
    """Hand the parameters to the trainer under its own names.

    Raises
    ------
    ValueError: the precision is not to be had here, or not with flash attention.
    """
    precision = resolve_precision(params.precision)
    if precision == "fp32" and params.attn_implementation == "flash_attention_2":
        raise ValueError(
            "train.attn_implementation is flash_attention_2, which computes in half precision only:"
            " set train.precision to auto, on a GPU, or train.attn_implementation to sdpa"
        )
    return Seq2SeqTrainingArguments(
        output_dir=str(checkpoints),
        **params.model_dump(exclude=OURS),
        fp16=precision == "fp16",
        bf16=precision == "bf16",
        use_cpu=not torch.cuda.is_available(),  # a Mac's GPU would not repeat itself
        activation_checkpointing=params.gradient_checkpointing,  # the trainer's new name for it
        eval_strategy="steps",
        predict_with_generate=True,
        load_best_model_at_end=True,
        greater_is_better=False,  # error rates and loss
        restore_callback_states_from_checkpoint=True,  # early stopping goes on counting
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
    )


def resolve_precision(precision: str) -> str:
    """Choose for `auto`: bf16 where the device computes it, else fp16 on a GPU and fp32 on a CPU.

    Raises
    ------
    ValueError: a CPU would emulate it, which is slower than fp32.
    """
    if torch.cuda.is_available():
        has_bf16, other = torch.cuda.is_bf16_supported(including_emulation=False), "fp16"
    else:
        cpu = torch.cpu.get_capabilities()
        has_bf16, other = cpu.get("avx512_bf16") or cpu.get("amx_bf16"), "fp32"
        if precision == "fp16" or (precision == "bf16" and not has_bf16):
            raise ValueError(
                f"train.precision is {precision}, which this processor does not have, and there is no GPU:"
                " set it to auto or fp32"
            )
    if precision != "auto":
        return precision
    return "bf16" if has_bf16 else other


def error_rate_metrics(tokenizer: WhisperTokenizer, chosen: str):
    """Make the function that scores a validation pass, by the metric that `evaluate` uses too.

    It adds the `standard_error` of the `chosen` one, unless that is the loss.
    """
    metric = evaluate.load(hf_metric.__file__, keep_in_memory=True)

    def decode(ids: np.ndarray) -> list[str]:
        ids = np.where(ids == NO_LOSS, tokenizer.pad_token_id, ids)
        return tokenizer.batch_decode(ids, skip_special_tokens=True)

    def compute(prediction) -> dict:
        said, heard = decode(prediction.label_ids), decode(prediction.predictions)
        rates = metric.compute(predictions=heard, references=said)
        if chosen in rates:
            rates["standard_error"] = standard_error(chosen, said, heard)
        return rates

    return compute


class SaveWhatIsEvaluated(TrainerCallback):
    """Evaluate after the last step too; save whatever is evaluated, or the best may not be there to keep.

    And log it: a mean loss that spans a checkpoint would be another in a run that is resumed there.
    """

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step >= state.max_steps:
            control.should_evaluate = True
        if control.should_evaluate:
            control.should_log = True

    def on_evaluate(self, args, state, control, **kwargs):
        control.should_save = True


class RefuseInfiniteLoss(TrainerCallback):
    """Stop at the first loss that is no number: of training, or of the validation that precedes each save."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        for name, what in (("loss", "training"), ("eval_loss", "validation")):
            loss = (logs or {}).get(name, 0)
            if not math.isfinite(loss):
                raise ValueError(
                    f"the {what} loss is {loss} at step {state.global_step}: lower train.learning_rate, raise"
                    " train.warmup_steps, or set train.precision to fp32. No model is written; checkpoints of"
                    " earlier steps stay"
                )
