"""What of a model is trained, and how it is kept from learning its corpus by heart."""

from pathlib import Path

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import WhisperForConditionalGeneration

from asr.model import whisper
from asr.params import SpecAugment, Train


def load_for_training(folder: Path, params: Train) -> WhisperForConditionalGeneration:
    """Load a checkpoint with the dropout, SpecAugment and attention that training wants.

    They go into the model's configuration, under its own names, and have no effect once it is in
    evaluation mode.

    Raises
    ------
    ValueError: flash attention is asked for and cannot be had.
    """
    masks = params.spec_augment.model_dump()
    try:
        return whisper.load_model(
            folder,
            attn_implementation=params.attn_implementation,
            dropout=params.dropout,
            attention_dropout=params.attention_dropout,
            activation_dropout=params.activation_dropout,
            apply_spec_augment=masks["mask_time_prob"] > 0 or masks["mask_feature_prob"] > 0,
            **masks,
        )
    except ImportError as error:
        raise ValueError(
            f"train.attn_implementation is {params.attn_implementation}, which cannot be had here: {error};"
            " set it to sdpa"
        ) from error


def adapt(
    model: WhisperForConditionalGeneration, params: Train, new_ids: list[int]
) -> WhisperForConditionalGeneration | PeftModel:
    """Freeze what is not to be trained, and add low-rank adapters if `params.lora` has a rank.

    Parameters
    ----------
    new_ids: tokens that the pretrained model has not seen; their embeddings are trained beside adapters

    Raises
    ------
    ValueError: what SpecAugment is to mask is longer than the model's window or has more channels.
    """
    _require_masks_that_fit(params.spec_augment, whisper.window_frames(model), model.config.num_mel_bins)
    if params.freeze_encoder:
        model.model.freeze_encoder()
    if not params.lora.r:
        return model
    return get_peft_model(
        model,
        LoraConfig(
            **params.lora.model_dump(),
            exclude_modules=r".*\.encoder\..*" if params.freeze_encoder else None,
            trainable_token_indices={"embed_tokens": new_ids} if new_ids else None,
        ),
    )


def _require_masks_that_fit(masks: SpecAugment, n_frames: int, n_mels: int) -> None:
    for name, probability, length, limit in (
        ("mask_time_length", masks.mask_time_prob, masks.mask_time_length, n_frames),
        ("mask_feature_length", masks.mask_feature_prob, masks.mask_feature_length, n_mels),
    ):
        if probability and length > limit:
            raise ValueError(f"train.spec_augment.{name} is {length}, of {limit}: set it lower")


def merged(model: WhisperForConditionalGeneration | PeftModel) -> WhisperForConditionalGeneration:
    """Return a model without adapters: what they learned is added to the weights."""
    return model.merge_and_unload() if isinstance(model, PeftModel) else model
