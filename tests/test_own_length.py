"""Clips of different lengths that are decoded together: each has the scores that it has alone."""

import pytest
import torch

from asr.model import whisper
from asr.model.own_length import encode, together
from tests.recipes import REPOSITORY

PROMPT = [258, 259, 260, 261]  # any ids do


@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_clip_has_the_scores_that_it_has_alone(beams, attention):
    model = whisper.load_model(REPOSITORY / "sample/base").eval()
    model.set_attn_implementation(attention)
    draw = torch.Generator().manual_seed(1)
    long, short = (torch.randn(2, 80, frames, generator=draw) for frames in (250, 100))
    ids = torch.tensor([PROMPT] * 4 * beams) + torch.arange(4 * beams)[:, None]

    def scores(hidden, ids):
        # Two calls, as of steps: the second has the keys and values of the first.
        first = model(encoder_outputs=(hidden,), decoder_input_ids=ids[:, :3], use_cache=True)
        second = model(
            encoder_outputs=(hidden,), decoder_input_ids=ids[:, 3:], past_key_values=first.past_key_values
        )
        return torch.cat([first.logits, second.logits], dim=1)

    with torch.inference_mode():
        states = encode(model, [long, short])
        alone = [scores(s.repeat(beams, 1, 1), ids[n * beams :][:beams]) for n, s in enumerate(states)]
        for order in ([0, 1, 2, 3], [0, 2, 1]):  # also where those of a length do not follow one another
            with together(model, [states[clip] for clip in order]) as encoded:
                rows = [clip * beams + beam for clip in order for beam in range(beams)]
                found = scores(encoded.last_hidden_state.repeat_interleave(beams, dim=0), ids[rows])
            expected = torch.cat([alone[clip] for clip in order])
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        after = scores(states[0].repeat(beams, 1, 1), ids[:beams])
    assert after.equal(alone[0])
