"""Decode clips together that were encoded at lengths of their own."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput


def can_mix(model: WhisperForConditionalGeneration) -> bool:
    """Tell whether `together` works for a model: SDPA alone takes the mask that is needed."""
    return model.config._attn_implementation == "sdpa"


def encode(model: WhisperForConditionalGeneration, features: list[torch.Tensor]) -> list[torch.Tensor]:
    """Encode clips; the encoder has no mask, so clips of another length are another call.

    Parameters
    ----------
    features: of clips of equal length each, shape = (n_clips, n_mels, n_frames)

    Returns
    -------
    the states of each clip, shape = (positions, width)
    """
    return [states for of_length in features for states in model.get_encoder()(of_length).last_hidden_state]


@contextmanager
def together(model: WhisperForConditionalGeneration, heard: list[torch.Tensor]) -> Iterator[BaseModelOutput]:
    """Let the decoder attend to each clip's own positions only, while the context lasts.

    The decoder takes most of the time, and its steps take little longer for more clips. A clip's ids are
    those that it has alone, but for rounding.

    Parameters
    ----------
    heard: as `encode` returns them

    Yields
    ------
    what `generate` takes as `encoder_outputs`: shape = (all clips, positions of the longest, width)
    """
    positions = torch.tensor([len(states) for states in heard])
    padded = BaseModelOutput(pad_sequence(heard, batch_first=True))
    if positions.min() == positions.max():
        yield padded
        return
    is_own = torch.arange(positions.max()) < positions[:, None]
    is_own = is_own[:, None, None].to(model.device)

    def mask(_: torch.nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        beams = args[0].shape[0] // len(is_own)  # rows of a clip stand together
        return args, kwargs | {"attention_mask": is_own.repeat_interleave(beams, dim=0)}

    hooks = [
        layer.encoder_attn.register_forward_pre_hook(mask, with_kwargs=True)
        for layer in model.get_decoder().layers
    ]
    try:
        yield padded
    finally:
        for hook in hooks:
            hook.remove()
