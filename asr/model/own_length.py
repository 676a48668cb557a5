"""Decode clips together that were encoded at lengths of their own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.whisper.modeling_whisper import WhisperAttention


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
    """Let the text of each clip attend to the states of that clip alone, while the context lasts.

    On a processor a step of the decoder takes little longer for more clips, so clips of all lengths share it.
    A clip's ids are those that it has alone, but for rounding.

    Parameters
    ----------
    heard: as `encode` returns them; clips of equal length should follow one another, for they share a call

    Yields
    ------
    what `generate` takes as `encoder_outputs`: a position of each clip, so that `generate` sees short clips
    """
    groups = [torch.stack(list(alike)) for _, alike in groupby(heard, key=len)]
    replaced = [layer.encoder_attn for layer in model.get_decoder().layers]
    try:
        for attention in replaced:
            attention.forward = _to_own_states(attention, groups)
        yield BaseModelOutput(torch.stack([states[:1] for states in heard]))
    finally:
        for attention in replaced:
            attention.__dict__.pop("forward", None)


def _to_own_states(attention: WhisperAttention, groups: list[torch.Tensor]) -> Callable:
    """Make a `forward` for a layer's attention to the encoder, which pads nothing.

    The beams of a clip share its keys and values.

    Parameters
    ----------
    groups: states of clips, each of shape = (n_clips, positions, width)
    """
    keys_and_values = []

    def by_head(states: torch.Tensor) -> torch.Tensor:
        return states.unflatten(-1, (attention.num_heads, attention.head_dim)).transpose(1, 2)

    def forward(hidden: torch.Tensor, **_: object) -> tuple[torch.Tensor, None]:
        if not keys_and_values:  # not before, so that autocast holds for them as for what follows
            for states in groups:
                projected = by_head(attention.k_proj(states)), by_head(attention.v_proj(states))
                keys_and_values.append([part.contiguous() for part in projected])
        beams = len(hidden) // sum(map(len, groups))  # rows of a clip stand together
        queries = (attention.q_proj(hidden) * attention.scaling).split([beams * len(s) for s in groups])
        attended = []
        for of_group, (keys, values) in zip(queries, keys_and_values, strict=True):
            of_clips = by_head(of_group.reshape(len(keys), -1, of_group.shape[-1]))
            found = scaled_dot_product_attention(of_clips, keys, values, scale=1.0)
            attended.append(found.transpose(1, 2).reshape(of_group.shape))
        return attention.out_proj(torch.cat(attended)), None

    return forward
