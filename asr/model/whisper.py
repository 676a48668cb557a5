"""Whisper checkpoints: load, set the language, seed new tokens, shorten the audio window, save."""

import copy
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.mkldnn import to_mkldnn
from transformers import (
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)

from asr.audio.log_mel import FRAMES_PER_SECOND, POSITIONS_PER_SECOND, SAMPLE_RATE, own_frames
from asr.model.vocabulary import NewToken, load_tokenizer


def load_processor(folder: str | Path, language: str, task: str) -> WhisperProcessor:
    """Load feature extractor and tokenizer, the tokenizer set to write `language` and `task` labels.

    Raises
    ------
    ValueError: the tokenizer does not know the language.
    """
    return WhisperProcessor(read_extractor(folder), load_tokenizer(folder, language, task))


def read_extractor(folder: str | Path) -> WhisperFeatureExtractor:
    """Load a feature extractor; code that its folder brings along is not run."""
    return WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def load_model(
    folder: str | Path, dtype: torch.dtype | str = torch.float32, **settings
) -> WhisperForConditionalGeneration:
    """Load a checkpoint in float32, whatever it was stored in; pickled weights are refused.

    `settings` replace values of its `WhisperConfig`. A folder that is not the pipeline's own is loaded by
    asr/model/base_model.py, which checks it first.
    """
    model = WhisperForConditionalGeneration.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, local_files_only=True, trust_remote_code=False, **settings
    )
    # The output layer is the embeddings once more and is not saved; Trainer warns of it as missing otherwise.
    model._keys_to_ignore_on_save = list(model._tied_weights_keys)
    # Or transformers comments, batch by batch, on how Whisper's own generate() calls it, on a mask that the
    # encoder has no use for, and on max_new_tokens beside the published max_length.
    logging.getLogger("transformers.generation.utils").setLevel(logging.ERROR)
    # Whisper's encoder positions are fixed sinusoids; transformers 5.23 forgets that while loading.
    model.model.encoder.embed_positions.requires_grad_(False)
    _take_any_length(model)
    return model


def _take_any_length(model: WhisperForConditionalGeneration) -> None:
    """Let the encoder take features of any length up to its window, with the first of its positions.

    transformers refuses all lengths but the window. The weights and the model's own configuration, which are
    saved, stay as they are.
    """
    encoder = model.get_encoder()
    encoder.config = copy.copy(encoder.config)
    encoder.register_forward_pre_hook(_set_length, with_kwargs=True)


def _set_length(encoder: torch.nn.Module, args: tuple, kwargs: dict) -> None:
    features = args[0] if args else kwargs["input_features"]
    positions = features.shape[-1] * POSITIONS_PER_SECOND // FRAMES_PER_SECOND
    encoder.config.max_source_positions = encoder.embed_positions.num_embeddings = positions


def load_for_transcription(folder: str | Path) -> WhisperForConditionalGeneration:
    """Load the pipeline's own checkpoint to transcribe with."""
    return to_transcribe(load_model(folder))


def to_transcribe(model: WhisperForConditionalGeneration) -> WhisperForConditionalGeneration:
    """Put a model in float32 where it transcribes: on a GPU, if there is one, in half precision.

    On a processor the output layer, half of a step's time, is packed for oneDNN: 1.4 times the ids a second.
    """
    model = model.eval()
    if torch.cuda.is_available():
        return model.to("cuda", torch.float16)
    if torch.backends.mkldnn.is_available():
        model.proj_out = to_mkldnn(model.proj_out)
    return model


def window_s(model: WhisperForConditionalGeneration) -> int:
    """Return the seconds of audio that a model takes in at once: 30 as published."""
    return model.config.max_source_positions // POSITIONS_PER_SECOND


def window_frames(model: WhisperForConditionalGeneration) -> int:
    """Return the feature frames that a model's encoder expects, no more and no less."""
    return window_s(model) * FRAMES_PER_SECOND


def require_window(model: WhisperForConditionalGeneration, seconds: int) -> None:
    """Refuse a window that is longer than the model's own."""
    if seconds > window_s(model):
        raise ValueError(
            f"model.audio_window_s is {seconds}, but the pretrained model was built for {window_s(model)} s:"
            f" set model.audio_window_s to {window_s(model)} or less"
        )


def padded_frames(model: WhisperForConditionalGeneration, n_frames: int) -> int:
    """Return the frames to which a clip of `n_frames` is padded for a model.

    That is the window, unless the model's configuration says `padding: longest`: then it is the clip's own
    length and a margin.
    """
    window = window_frames(model)
    return own_frames(n_frames, window) if getattr(model.config, "padding", "") == "longest" else window


def most_ids(model: WhisperForConditionalGeneration, n_frames: int) -> int:
    """Return how many ids the text of a clip can have, with those of the prompt.

    That is `max_ids_per_s` of the model's configuration, for a second more than the clip has. A published
    model has no such entry, and no limit but its decoder's positions.
    """
    rate = getattr(model.config, "max_ids_per_s", math.inf)
    return int(min(rate * (n_frames / FRAMES_PER_SECOND + 1), model.config.max_target_positions))


def hears_several(model: WhisperForConditionalGeneration) -> bool:
    """Tell whether a model hears long recordings in windows of several utterances, as a published one does.

    Not if its configuration says `pieces: utterances`, or `full_window_fraction: 0`: such a model was trained
    on single utterances only.
    """
    trained = getattr(model.config, "full_window_fraction", 1.0) > 0
    return trained and getattr(model.config, "pieces", "windows") == "windows"


def shorten_window(model: WhisperForConditionalGeneration, processor: WhisperProcessor, seconds: int) -> None:
    """Cut a model's window to its first `seconds`, in place: positions, configuration and extractor.

    A published model has to be fine-tuned to a shorter window before it is of use with it.

    Raises
    ------
    ValueError: the model's own window is shorter than that.
    """
    require_window(model, seconds)
    positions = model.model.encoder.embed_positions
    positions.weight = torch.nn.Parameter(
        positions.weight[: seconds * POSITIONS_PER_SECOND].clone(), positions.weight.requires_grad
    )
    positions.num_embeddings = seconds * POSITIONS_PER_SECOND
    model.config.max_source_positions = seconds * POSITIONS_PER_SECOND
    model.model.encoder.max_source_positions = seconds * POSITIONS_PER_SECOND
    extractor = processor.feature_extractor
    extractor.chunk_length = seconds
    extractor.n_samples = seconds * SAMPLE_RATE
    extractor.nb_max_frames = seconds * FRAMES_PER_SECOND


def set_language(model: WhisperForConditionalGeneration, language: str, task: str) -> None:
    """Write language and task into the generation settings, which are saved with the model."""
    settings = model.generation_config
    settings.language, settings.task = language, task
    settings.forced_decoder_ids = None  # of older checkpoints; would override the language


def allow(model: WhisperForConditionalGeneration, tokenizer: WhisperTokenizer, texts: Sequence[str]) -> None:
    """Let a model write texts whose ids it suppresses as published, such as an opening bracket."""
    settings = model.generation_config
    spelled = tokenizer([*texts, *(f" {text}" for text in texts)], add_special_tokens=False).input_ids
    written = {id for ids in spelled for id in ids}
    settings.suppress_tokens = [id for id in settings.suppress_tokens or [] if id not in written]


def seed_embeddings(model: WhisperForConditionalGeneration, new_tokens: list[NewToken]) -> None:
    """Set each new token's embedding to the mean of its pieces', in place.

    The output layer has the same weights.
    """
    weight = model.get_input_embeddings().weight
    with torch.no_grad():
        # All means before the first row is written: a piece may be a token whose id is given away.
        rows = [weight[token.pieces].mean(dim=0) for token in new_tokens]
        for token, row in zip(new_tokens, rows, strict=True):
            weight[token.id] = row


def save(model: WhisperForConditionalGeneration, processor: WhisperProcessor, folder: Path) -> None:
    """Save model and processor so that `transformers.pipeline` can load the folder."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
