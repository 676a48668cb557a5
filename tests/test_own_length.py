"""Clips of different lengths that are decoded together: each has the scores that it has alone."""

import pytest
import torch

from asr.model import whisper
from asr.model.own_length import can_mix, encode, together
from tests.recipes import REPOSITORY

PROMPT = [258, 259, 260, 261]  # any ids do


@pytest.mark.parametrize("beams", [1, 2])
def test_a_clip_is_not_heard_with_the_padding_of_a_longer_one(beams):
    model = whisper.load_model(REPOSITORY / "sample/base").eval()
    draw = torch.Generator().manual_seed(1)
    long, short = (torch.randn(2, 80, frames, generator=draw) for frames in (250, 100))

    def scores(*features, masked=True):
        with torch.inference_mode(), together(model, encode(model, list(features))) as encoded:
            hidden = encoded.last_hidden_state.repeat_interleave(beams, dim=0)
            ids = torch.tensor([PROMPT] * len(hidden))
            if masked:
                return model(encoder_outputs=(hidden,), decoder_input_ids=ids).logits
        with torch.inference_mode():  # the hooks are gone
            return model(encoder_outputs=(hidden,), decoder_input_ids=ids).logits

    alone = torch.cat([scores(long), scores(short)])
    torch.testing.assert_close(scores(long, short), alone, rtol=1e-4, atol=1e-4)
    off = (scores(long, short, masked=False) - alone).abs().amax(dim=(1, 2))
    assert off[: 2 * beams].max() < 1e-4 and off[2 * beams :].min() > 1e-2
    assert can_mix(model)
    model.set_attn_implementation("eager")
    assert not can_mix(model)
