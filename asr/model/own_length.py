"""Decode clips together that were encoded at lengths of their own."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.functional import pad
from transformers import WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput


def can_mix(model: WhisperForConditionalGeneration) -> bool:
    """Tell whether `mixed` works for a model: SDPA alone takes the mask that is needed."""
    return model.config._attn_implementation == "sdpa"


@contextmanager
def mixed(model: WhisperForConditionalGeneration, features: list[torch.Tensor]) -> Iterator[BaseModelOutput]:
    """Encode clips, and let the decoder attend to each clip's own positions while the context lasts.

    The encoder has no mask, so clips of another length are another call. The decoder takes most of the time,
    and its steps take little longer for more clips. A clip's ids are those that it has alone, but for
    rounding.

    Parameters
    ----------
    features: of clips of equal length each, shape = (n_clips, n_mels, n_frames)

    Yields
    ------
    what `generate` takes as `encoder_outputs`: shape = (all clips, positions of the longest, width)
    """
    encoded = [model.get_encoder()(of_length).last_hidden_state for of_length in features]
    longest = max(hidden.shape[1] for hidden in encoded)
    together = torch.cat([pad(hidden, (0, 0, 0, longest - hidden.shape[1])) for hidden in encoded])
    if len(encoded) == 1:
        yield BaseModelOutput(together)
        return
    positions = torch.cat([torch.full((len(hidden),), hidden.shape[1]) for hidden in encoded])
    is_own = (torch.arange(longest) < positions[:, None])[:, None, None].to(together.device)

    def mask(_: torch.nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        beams = args[0].shape[0] // len(is_own)  # rows of a clip stand together
        return args, kwargs | {"attention_mask": is_own.repeat_interleave(beams, dim=0)}

    hooks = [
        layer.encoder_attn.register_forward_pre_hook(mask, with_kwargs=True)
        for layer in model.get_decoder().layers
    ]
    try:
        yield BaseModelOutput(together)
    finally:
        for hook in hooks:
            hook.remove()
