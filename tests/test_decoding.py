import copy
import weakref
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

from asr import decoding
from asr.audio.log_mel import own_frames
from asr.decoding import Piece, n_pieces, plan, split_at_pauses, transcribe
from asr.model.search import DecodingOptions
from asr.model.whisper import load_model, load_processor
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

    monkeypatch.setattr("asr.model.search.together", together)
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
