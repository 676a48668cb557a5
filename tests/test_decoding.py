import copy
import dataclasses
import weakref
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

from asr import decoding
from asr.audio.log_mel import own_frames
from asr.decoding import DecodingOptions, Piece, n_pieces, plan, split_at_pauses, transcribe
from asr.model.loops import EndLoops
from asr.model.whisper import load_model, load_processor, most_ids
from asr.runtime import processes
from tests.recipes import REPOSITORY

BASE = REPOSITORY / "sample/base"


@pytest.fixture(scope="module", params=["longest", "max_length"])
def loaded(request):
    model = load_model(BASE).eval()
    model.config.padding = request.param
    return model, load_processor(BASE, "sinhalese", "transcribe")


def clip(n_frames, seed=0):
    return np.random.default_rng(seed).standard_normal((80, n_frames)).astype(np.float16)


def split(clip, frames):
    return split_at_pauses(clip, n_pieces(clip.shape[1], frames), frames)


def options(batch_size, beams=1):
    return DecodingOptions("sinhalese", "transcribe", batch_size, max_new_tokens=30, num_beams=beams)


def heard(loaded, clips, batch_size, beams=1):
    lengths = [clip.shape[1] for clip in clips]
    return transcribe(*loaded, lengths, clips.__getitem__, options(batch_size, beams))


def test_a_clip_within_the_window_is_one_piece():
    for n_frames in (1, 299, 300, 302):
        assert [piece.shape[1] for piece in split(clip(n_frames), 300)] == [n_frames]


def test_a_long_clip_is_cut_at_its_pauses_and_loses_nothing():
    long = clip(800)
    long[:, 180:200] = long[:, 410:430] = long[:, 590:610] = -5  # quiet, near the quarters
    pieces = split(long, 300)
    assert [piece.shape[1] for piece in pieces] == pytest.approx([190, 230, 180, 200], abs=2)
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), long)


@pytest.mark.parametrize("n_frames", [303, 310, 599, 601, 1000, 12_345])
def test_pieces_fit_the_window_and_none_is_a_crumb(n_frames):
    lengths = [piece.shape[1] for piece in split(clip(n_frames), 300)]
    assert sum(lengths) == n_frames
    assert max(lengths) <= 300 and min(lengths) >= 90


def test_batches_are_of_pieces_longest_first():
    assert plan([100, 500, 300, 290], 300, 2, lambda length: 300, 4) == [
        [Piece(2, 0, 1, 300), Piece(3, 0, 1, 300)],
        [Piece(1, 0, 3, 300), Piece(1, 1, 3, 300)],
        [Piece(1, 2, 3, 300), Piece(0, 0, 1, 300)],
    ]


def test_a_batch_has_as_many_pieces_as_its_longest_fits_into_whole_windows_but_four_times_at_most():
    batches = plan([990] * 3 + [440] * 5 + [90] * 20, 1000, 2, partial(own_frames, window=1000), 4)
    frames = [[piece.frames for piece in batch] for batch in batches]
    assert frames == [[1000] * 2, [1000, 500], [500] * 4, [150] * 8, [150] * 8, [150] * 4]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("beams", [1, 2])
def test_results_come_in_order_and_do_not_depend_on_the_batch(loaded, beams, attention, monkeypatch):
    model, processor = loaded
    monkeypatch.setattr(model.config, "_attn_implementation", attention)
    clips = [clip(n, n) for n in (200, 40, 800, 120, 300)]
    together = heard(loaded, clips, 4, beams)
    alone = [heard(loaded, [one], 1, beams)[0] for one in clips]
    assert together == alone
    # Padded as a clip's pieces.
    pieces = heard((windows(model), processor), split(clips[2], 300), 1, beams)
    assert together[2].text == " ".join(piece.text for piece in pieces if piece.text)
    assert together[2].n_ids == sum(piece.n_ids for piece in pieces)


def test_pieces_of_a_clip_that_other_processes_heard_are_put_in_order(loaded, monkeypatch):
    clips = [clip(1200, 3), clip(100, 4)]
    expected = heard(loaded, clips, batch_size=2)
    monkeypatch.setattr(processes, "gather", lambda found: found[::-1])
    assert heard(loaded, clips, batch_size=2) == expected


def test_a_process_reads_the_clips_of_its_own_batches_and_one_batch_at_a_time(loaded, monkeypatch):
    monkeypatch.setattr(processes, "rank", lambda: 1)
    monkeypatch.setattr(processes, "world_size", lambda: 2)
    asked, references, in_memory = [], [], []

    class Features(np.ndarray):  # there are no weak references to a plain array
        pass

    def read(index):
        features = clip(lengths[index]).view(Features)
        asked.append(index)
        references.append(weakref.ref(features))
        in_memory.append(sum(reference() is not None for reference in references))
        return features

    lengths = [10, 17, 12, 15, 14, 13, 16, 11]  # which are all padded alike
    results = transcribe(*loaded, lengths, read, options(batch_size=2, beams=2))  # so no more of short ones
    assert asked == [3, 4, 7, 0]  # longest first: 1 6 | 3 4 | 5 2 | 7 0
    assert max(in_memory) == 2
    assert len(results) == 8


def test_what_does_not_end_at_its_own_length_is_heard_again_in_the_window(monkeypatch):
    model, processor = load_model(BASE).eval(), load_processor(BASE, "sinhalese", "transcribe")
    model.config.padding, asked, endless = "longest", [], {150}

    def together(model, states):
        asked.append([2 * len(of_clip) for of_clip in states])
        return nullcontext()

    def generate(self, encoder_outputs, **settings):
        texts = [[154] * 30 if frames in endless else [235] * (frames // 50) for frames in asked[-1]]
        return torch.tensor([text + [288] * (30 - len(text)) for text in texts])

    monkeypatch.setattr(decoding, "together", together)
    monkeypatch.setattr(WhisperForConditionalGeneration, "generate", generate)
    clips = [clip(180), clip(90), clip(299), clip(80)]
    found = heard((model, processor), clips, batch_size=4)
    assert asked == [[300, 250, 150, 150], [300, 300]]
    assert [(part.n_ids, part.hit_limit) for part in found] == [
        (5, False),
        (6, False),
        (6, False),
        (6, False),
    ]
    endless.add(300)
    again = heard((model, processor), clips, batch_size=4)
    assert [part.hit_limit for part in again] == [False, True, True, True]
    assert asked[2:] == asked[:2]  # and no third time


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


def test_a_loop_is_ended_early_and_others_in_its_batch_are_not():
    model, processor = load_model(BASE).eval(), load_processor(BASE, "sinhalese", "transcribe")
    model.config.padding = "longest"
    line = list(range(100, 121))  # 21 ids are the longest that can be in the span thrice
    first = [[9] * 200, [7, 7, 8, *line * 9], line * 2 + [99], list(range(30, 129))]
    left, again = [first[3][68:]], [[9], [9] * 200]
    model.proj_out = Scripted(model.config.vocab_size, model.config.eos_token_id, first, left, again)
    long = dataclasses.replace(options(4), max_new_tokens=200)
    found = transcribe(model, processor, [90] * 4, lambda number: clip(90), long)
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
    clips = [clip(90), clip(90), clip(140), clip(90)]
    long = dataclasses.replace(options(4), max_new_tokens=200)
    found = transcribe(model, processor, [90, 90, 140, 90], clips.__getitem__, long)
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
        decoding.encode(model, clips)
        if model.config.padding == "longest"
        else decoding.encode(model, [torch.randn(4, 80, 300)])
    )
    alone = decoding.search(model, processor, states[3:], [90], options(1))[0][0]
    write, steps = model.proj_out.forward, []

    def end_three(hidden):
        logits = write(hidden)
        steps.append(len(hidden))
        if len(hidden) == 4 and len(steps) > 2:
            logits[:3, -1, 288] = 1e9
        return logits

    monkeypatch.setattr(model.proj_out, "forward", end_three)
    found = decoding.search(model, processor, states, [90] * 4, options(4))
    assert [len([id for id in ids.tolist() if id != 288]) for ids, _ in found[:3]] == [2, 2, 2]
    assert found[3][0].tolist() == alone.tolist() and len(alone) == 30
    assert steps == [4] * 3 + [1] * 27


def test_rounds_end_at_the_limit(loaded, monkeypatch):
    model, processor = loaded
    texts = [[8], [8], [8], list(range(1, 60))]
    script = Scripted(model.config.vocab_size, 288, texts, [texts[3][2:]])
    monkeypatch.setattr(model.proj_out, "forward", script.forward)
    silence = decoding.encode(model, [torch.zeros(4, 80, 300)])
    found = decoding.search(model, processor, silence, [300] * 4, options(4))
    assert found[3][0].tolist() == texts[3][:30] and script.steps == [2, 28]


def test_the_first_id_alone_is_barred_from_what_no_text_begins_with(loaded, monkeypatch):
    """Also where a text goes on by itself: there it may end at once."""
    model, processor = loaded
    monkeypatch.setattr(model.generation_config, "begin_suppress_tokens", [7, 288])
    texts = [[7, 9], [8, 9], [8, 9], [8, 9, 8]]
    script = Scripted(model.config.vocab_size, 288, texts, [[]])
    monkeypatch.setattr(model.proj_out, "forward", script.forward)
    silence = decoding.encode(model, [torch.zeros(4, 80, 300)])
    found = decoding.search(model, processor, silence, [300] * 4, options(4))
    assert [[id for id in ids.tolist() if id != 288] for ids, _ in found] == [[0, 9], *texts[1:]]
    assert script.steps == [3, 1]


def windows(model):
    """Return the model as one that hears clips as it hears the pieces of a long one, padded to the window."""
    model = copy.copy(model)
    model.config = copy.copy(model.config)
    model.config.padding = "max_length"
    return model


@pytest.mark.parametrize(
    ("ids", "text", "n_ids", "hit_limit"),
    [
        ([154, 235, 288], "ލ", 2, False),
        ([154, 235, 288, 288, 288], "ލ", 2, False),
        ([154, 235] * 15, "ލ" * 15, 30, True),
        ([288], "", 0, False),
    ],
)
def test_ids_are_counted_and_a_missing_end_is_seen(loaded, monkeypatch, ids, text, n_ids, hit_limit):
    monkeypatch.setattr(decoding, "search", lambda *given: [(torch.tensor(ids), False)])
    found = heard(loaded, [clip(50)], batch_size=1)[0]
    assert (found.text, found.n_ids, found.hit_limit) == (text, n_ids, hit_limit)
