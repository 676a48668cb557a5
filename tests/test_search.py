"""The search for texts, and when it ends one; also through `decoding.transcribe`, which hears loops again."""

import dataclasses

import numpy as np
import pytest
import torch

from asr.decoding import transcribe
from asr.model.loops import EndLoops
from asr.model.own_length import encode
from asr.model.search import DecodingOptions, search
from asr.model.whisper import load_model, load_processor, most_ids
from tests.recipes import REPOSITORY

BASE = REPOSITORY / "sample/base"
OPTIONS = DecodingOptions("sinhalese", "transcribe", batch_size=4, max_new_tokens=30, num_beams=1)
LONG = dataclasses.replace(OPTIONS, max_new_tokens=200)


@pytest.fixture(scope="module", params=["longest", "max_length"])
def loaded(request):
    model = load_model(BASE).eval()
    model.config.padding = request.param
    return model, load_processor(BASE, "sinhalese", "transcribe")


class Scripted(torch.nn.Module):
    """Stands in for a model's last layer: writes given ids, whatever it hears."""

    def __init__(self, vocabulary, end, *turns):
        super().__init__()
        self.vocabulary, self.end, self.turns, self.steps = vocabulary, end, turns, []

    def forward(self, hidden):
        n_clips, n_ids, _ = hidden.shape
        if n_ids > 1:  # the prompt
            self.steps.append(0)
        texts, at = self.turns[len(self.steps) - 1], self.steps[-1]
        self.steps[-1] += 1
        logits = torch.zeros(n_clips, n_ids, self.vocabulary)
        for clip, text in enumerate(texts):
            logits[clip, -1, text[at] if at < len(text) else self.end] = 1
        return logits


def noise(n_frames):
    return np.random.default_rng(0).standard_normal((80, n_frames)).astype(np.float16)


def test_a_loop_is_ended_early_and_others_in_its_batch_are_not():
    model, processor = load_model(BASE).eval(), load_processor(BASE, "sinhalese", "transcribe")
    model.config.padding = "longest"
    line = list(range(100, 121))  # 21 ids are the longest that can be in the span thrice
    first = [[9] * 200, [7, 7, 8, *line * 9], line * 2 + [99], list(range(30, 129))]
    left, again = [first[3][68:]], [[9], [9] * 200]
    model.proj_out = Scripted(model.config.vocab_size, model.config.eos_token_id, first, left, again)
    found = transcribe(model, processor, [90] * 4, lambda number: noise(90), LONG)
    assert [(text.n_ids, text.hit_limit) for text in found] == [
        (1, False),
        (28, True),
        (43, False),
        (99, False),
    ]
    # Once the loops were seen, the last text went on alone. The first two were heard again, in the window.
    assert model.proj_out.steps == [68, 32, 28]


@pytest.mark.parametrize(
    ("text", "looped"),
    [
        ([5, *[1, 2, 3] * 8], True),
        ([*range(5, 9), *[1, 2, 3] * 7], False),
        ([5, *[1] * 24], True),
        ([5, 5, *[1] * 23], False),
        ([5, *range(6, 14), *range(6, 14), *range(100, 148)], False),
        ([5, *[*range(100, 108)] * 8], True),
        ([5, 6, *[*range(100, 108)] * 8][:65], False),  # the span has one id that does not belong to the loop
        ([5, *[*range(100, 121)] * 4][:85], True),
        ([5, *[*range(100, 122)] * 4], False),  # a longer line may be said three times
        ([5, *[288] * 64], False),  # the padding of a text that has ended
    ],
)
def test_what_a_loop_is(text, looped):
    loops = EndLoops(torch.tensor([448, 448]), 288)
    prompt = [*range(300, 308)][: -len(text) % 8]  # it looks at every eighth id
    ids = torch.tensor([prompt + text, [*range(400, 400 + len(prompt + text))]])
    assert loops(ids, None).tolist() == [looped, False]


def test_a_text_with_more_ids_than_can_be_spoken_is_ended():
    model, processor = load_model(BASE).eval(), load_processor(BASE, "sinhalese", "transcribe")
    model.config.padding, model.config.max_ids_per_s = "longest", 10
    endless = list(range(30, 250))
    first, again = [endless, endless, [9] * 3, [8]], [endless, endless]  # the longest clip first
    model.proj_out = Scripted(
        model.config.vocab_size, model.config.eos_token_id, first, [endless[15:]], again
    )
    clips = [noise(90), noise(90), noise(140), noise(90)]
    found = transcribe(model, processor, [90, 90, 140, 90], clips.__getitem__, LONG)
    # Of 0.9 s 19 ids, with four of the prompt; of 1.4 s 24.
    assert [(text.n_ids, text.hit_limit) for text in found] == [
        (15, True),
        (3, False),
        (20, True),
        (1, False),
    ]
    del model.config.max_ids_per_s
    assert most_ids(model, 90) == 448


def test_a_text_that_goes_on_alone_hears_its_own_clip(loaded, monkeypatch):
    """Three of four texts end after two ids, whatever they hear; the last text is the one it has alone."""
    model, processor = loaded
    clips = [
        torch.randn(1, 80, frames, generator=torch.Generator().manual_seed(frames))
        for frames in (250, 200, 120, 90)
    ]
    states = (
        encode(model, clips)
        if model.config.padding == "longest"
        else encode(model, [torch.randn(4, 80, 300)])
    )
    alone = search(model, processor, states[3:], [90], OPTIONS)[0][0]
    write, steps = model.proj_out.forward, []

    def end_three(hidden):
        logits = write(hidden)
        steps.append(len(hidden))
        if len(hidden) == 4 and len(steps) > 2:
            logits[:3, -1, 288] = 1e9
        return logits

    monkeypatch.setattr(model.proj_out, "forward", end_three)
    found = search(model, processor, states, [90] * 4, OPTIONS)
    assert [len([id for id in ids.tolist() if id != 288]) for ids, _ in found[:3]] == [2, 2, 2]
    assert found[3][0].tolist() == alone.tolist() and len(alone) == 30
    assert steps == [4] * 3 + [1] * 27


def test_rounds_end_at_the_limit(loaded, monkeypatch):
    model, processor = loaded
    texts = [[8], [8], [8], list(range(1, 60))]
    script = Scripted(model.config.vocab_size, 288, texts, [texts[3][2:]])
    monkeypatch.setattr(model.proj_out, "forward", script.forward)
    silence = encode(model, [torch.zeros(4, 80, 300)])
    found = search(model, processor, silence, [300] * 4, OPTIONS)
    assert found[3][0].tolist() == texts[3][:30] and script.steps == [2, 28]


def test_the_first_id_alone_is_barred_from_what_no_text_begins_with(loaded, monkeypatch):
    """Also where a text goes on by itself: there it may end at once."""
    model, processor = loaded
    monkeypatch.setattr(model.generation_config, "begin_suppress_tokens", [7, 288])
    texts = [[7, 9], [8, 9], [8, 9], [8, 9, 8]]
    script = Scripted(model.config.vocab_size, 288, texts, [[]])
    monkeypatch.setattr(model.proj_out, "forward", script.forward)
    silence = encode(model, [torch.zeros(4, 80, 300)])
    found = search(model, processor, silence, [300] * 4, OPTIONS)
    assert [[id for id in ids.tolist() if id != 288] for ids, _ in found] == [[0, 9], *texts[1:]]
    assert script.steps == [3, 1]
