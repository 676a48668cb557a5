"""Transcribe features with one model: long clips in pieces, in sorted batches, shared among processes."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from asr.audio.log_mel import pad
from asr.model.own_length import encode
from asr.model.search import DecodingOptions, search
from asr.model.whisper import padded_frames, window_frames
from asr.runtime import processes
from asr.runtime.progress import tracked

SEARCH_SHARE = 0.1  # of a window, to either side of an even division, where a long clip may be cut
PAUSE_FRAMES = 20  # 0.2 s around a cut, over which it has to be quiet
MORE = 4  # times as many pieces in a batch, if they are short and there are no beams, which take memory too
REACH = 2  # frames past a clip's end that its last samples still touch


@dataclass(frozen=True)
class Hypothesis:
    """The text of a clip."""

    text: str
    n_ids: int  # generated, without the end of text
    hit_limit: bool  # it did not end by itself: cut at max_new_tokens, or ended by asr/model/loops.py


@dataclass(frozen=True)
class Piece:
    """A part of a clip that fits the model's window: the `number`-th of `count` even ones, from 0."""

    clip: int  # its index
    number: int
    count: int
    frames: int  # to which it is padded


def transcribe(
    model: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    lengths: list[int],
    read: Callable[[int], np.ndarray],
    options: DecodingOptions,
) -> list[Hypothesis]:
    """Transcribe clips of any length, in their order. Each process does its share and returns all.

    A text that loops, or is longer than its clip can have, is ended as soon as that is seen, unless there are
    beams. If the clip was heard at its own length, it is heard again, padded to the window: models know whole
    windows better.

    Parameters
    ----------
    lengths: of each clip, in frames
    read: returns a clip's log-mel features by its index: float16, shape = (n_mels, n_frames). It is called
        when a batch is due, so that one batch is in memory at a time.
    """
    window, padded = window_frames(model), partial(padded_frames, model)
    texts = _transcribe(model, processor, lengths, read, options, padded)
    endless = [n for n, text in enumerate(texts) if text.hit_limit and padded(lengths[n]) < window]
    if endless:
        of_endless, read_endless = [lengths[n] for n in endless], lambda number: read(endless[number])
        again = _transcribe(model, processor, of_endless, read_endless, options, lambda length: window)
        for clip, text in zip(endless, again, strict=True):
            texts[clip] = text
    return texts


def _transcribe(
    model: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    lengths: list[int],
    read: Callable[[int], np.ndarray],
    options: DecodingOptions,
    padded: Callable[[int], int],
) -> list[Hypothesis]:
    """Transcribe clips once; `padded` returns the frames to which a clip of so many frames is padded."""
    window = window_frames(model)
    more = MORE if options.num_beams == 1 else 1
    batches = plan(lengths, window, options.batch_size, padded, more)
    heard = []
    with tracked(sum(map(len, batches)), "pieces", "transcribe", silent=not processes.is_main()) as advance:
        for batch in batches[processes.rank() :: processes.world_size()]:
            features = [
                of_length.to(model.device, model.dtype) for of_length in _features(batch, read, window)
            ]
            frames = [lengths[piece.clip] // piece.count for piece in batch]
            with torch.inference_mode():
                found = search(model, processor, encode(model, features), frames, options)
            for piece, (ids, looped) in zip(batch, found, strict=True):
                text = _read(ids, processor, options.max_new_tokens, looped)
                heard.append((piece.clip, piece.number, text))
            advance(len(batch) * processes.world_size())
        heard = processes.gather(heard)
    parts: list[list[Hypothesis]] = [[] for _ in lengths]
    for clip, _, part in sorted(heard, key=lambda found: found[:2]):
        parts[clip].append(part)
    return [_join(of_clip) for of_clip in parts]


def plan(
    lengths: list[int], window: int, batch_size: int, padded: Callable[[int], int], more: int
) -> list[list[Piece]]:
    """Divide clips of these lengths into pieces that fit a window, and these into batches.

    A batch has `batch_size` pieces, or up to `more` times as many if so many of its longest fit into a
    window: the keys and values of their sound take no more memory, and a step of the decoder takes little
    longer. A piece is padded to the same length in whichever batch, so that a clip's text does not depend on
    the clips beside it. Longest first, so that texts of similar length are together. Processes take whole
    batches in turn, so that the number of processes changes no batch, and not the last bits of the results.

    Parameters
    ----------
    lengths, window: in frames
    padded: returns the frames to which a clip of so many frames is padded
    more: times `batch_size` at most, where pieces are short
    """
    pieces = [
        Piece(clip, number, count, padded(length) if count == 1 else window)
        for clip, length in enumerate(lengths)
        for count in [n_pieces(length, window)]
        for number in range(count)
    ]
    pieces.sort(key=lambda piece: (-piece.frames, -lengths[piece.clip] / piece.count))
    batches, first = [], 0
    while first < len(pieces):
        batches.append(pieces[first : first + batch_size * min(window // pieces[first].frames, more)])
        first += len(batches[-1])
    return batches


def n_pieces(length: int, frames: int) -> int:
    """Count the pieces into which `split_at_pauses` has to cut a clip, for each to fit a window.

    A clip that is longer than the window by REACH at most is one piece, which `pad` trims.
    """
    if length <= frames + REACH:
        return 1
    return math.ceil(length / (frames - 2 * _search(frames)))  # both ends of a piece may move outwards


def split_at_pauses(clip: np.ndarray, count: int, frames: int) -> list[np.ndarray]:
    """Cut features into `count` pieces of about the same length, each cut where it is quietest.

    Of the same length, because models hallucinate on a last piece of half a second of silence.
    """
    if count == 1:
        return [clip]
    search = _search(frames)
    loudness = np.convolve(clip.astype(np.float32).mean(axis=0), np.ones(PAUSE_FRAMES), mode="same")
    cuts = []
    for number in range(1, count):
        first = number * clip.shape[1] // count - search
        cuts.append(first + int(loudness[first : first + 2 * search].argmin()))
    return np.split(clip, cuts, axis=1)


def _features(batch: list[Piece], read: Callable[[int], np.ndarray], window: int) -> Iterator[torch.Tensor]:
    """Yield the padded features of a batch's pieces, by length: float16, shape = (n, n_mels, n_frames)."""
    for frames, alike in groupby(batch, key=lambda piece: piece.frames):
        pieces = (split_at_pauses(read(piece.clip), piece.count, window)[piece.number] for piece in alike)
        yield torch.from_numpy(np.stack([pad(piece, frames) for piece in pieces]))


def _search(frames: int) -> int:
    return int(frames * SEARCH_SHARE)


def _read(ids: torch.Tensor, processor: WhisperProcessor, max_new_tokens: int, looped: bool) -> Hypothesis:
    tokenizer = processor.tokenizer
    generated = ids[~torch.isin(ids, torch.tensor(tokenizer.all_special_ids))]
    ended = bool((ids == tokenizer.eos_token_id).any()) or len(generated) < max_new_tokens
    text = tokenizer.decode(ids, skip_special_tokens=True).strip()
    return Hypothesis(text, len(generated), looped or not ended)


def _join(parts: list[Hypothesis]) -> Hypothesis:
    return Hypothesis(
        " ".join(part.text for part in parts if part.text),
        sum(part.n_ids for part in parts),
        any(part.hit_limit for part in parts),
    )
