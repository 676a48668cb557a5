"""From features to text, with one model: sorted batches, long clips in pieces."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from asr.audio import pad
from asr.whisper import window_frames

SEARCH_SHARE = 0.1  # of a window, to either side of an even division: there a long clip may be cut
PAUSE_FRAMES = 20  # 0.2 s, over which a cut has to be quiet
REACH = 2  # frames past a clip's end that its last samples still touch


@dataclass(frozen=True)
class Hypothesis:
    """What a model made of a clip."""

    text: str
    n_ids: int  # generated, the end of text not counted
    hit_limit: bool  # the model had not come to an end when max_new_tokens was reached


def transcribe(
    model: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    clips: list[np.ndarray],
    language: str,
    task: str,
    batch_size: int,
    max_new_tokens: int,
    num_beams: int,
) -> list[Hypothesis]:
    """Transcribe clips of any length, in their order.

    Pieces are batched by length, longest first, because a batch takes as long as its longest
    hypothesis; the first batch is the one that needs the most memory.

    Parameters
    ----------
    clips: log-mel features, each float16, shape = (n_mels, n_frames)
    """
    frames = window_frames(model)
    pieces = [(index, piece) for index, clip in enumerate(clips) for piece in split_at_pauses(clip, frames)]
    order = sorted(range(len(pieces)), key=lambda i: -pieces[i][1].shape[1])
    results: list[Hypothesis | None] = [None] * len(pieces)
    for first in range(0, len(order), batch_size):
        batch = order[first : first + batch_size]
        features = torch.from_numpy(np.stack([pad(pieces[i][1], frames) for i in batch]))
        with torch.inference_mode():
            ids = model.generate(
                features.to(model.device, model.dtype),
                language=language,
                task=task,
                return_timestamps=False,
                max_new_tokens=max_new_tokens,
                num_beams=num_beams,
            )
        for i, row in zip(batch, ids.cpu(), strict=True):
            results[i] = _read(row, processor, max_new_tokens)
    joined: list[list[Hypothesis]] = [[] for _ in clips]
    for (index, _), result in zip(pieces, results, strict=True):
        joined[index].append(result)
    return [_join(parts) for parts in joined]


def split_at_pauses(clip: np.ndarray, frames: int) -> list[np.ndarray]:
    """Cut features longer than a window into even pieces that fit, each cut where it is quietest.

    Even, because a model makes things up for a last piece of half a second of silence. A clip that is
    longer than the window only by its last transform's reach is one piece, which `pad` cuts.
    """
    length = clip.shape[1]
    if length <= frames + REACH:
        return [clip]
    search = int(frames * SEARCH_SHARE)
    count = math.ceil(length / (frames - 2 * search))  # both ends of a piece may move outwards
    loudness = np.convolve(clip.astype(np.float32).mean(axis=0), np.ones(PAUSE_FRAMES), mode="same")
    cuts = []
    for number in range(1, count):
        first = number * length // count - search
        cuts.append(first + int(loudness[first : first + 2 * search].argmin()))
    return np.split(clip, cuts, axis=1)


def _read(ids: torch.Tensor, processor: WhisperProcessor, max_new_tokens: int) -> Hypothesis:
    tokenizer = processor.tokenizer
    generated = ids[~torch.isin(ids, torch.tensor(tokenizer.all_special_ids))]
    ended = bool((ids == tokenizer.eos_token_id).any()) or len(generated) < max_new_tokens
    text = tokenizer.decode(ids, skip_special_tokens=True).strip()
    return Hypothesis(text, len(generated), not ended)


def _join(parts: list[Hypothesis]) -> Hypothesis:
    return Hypothesis(
        " ".join(part.text for part in parts if part.text),
        sum(part.n_ids for part in parts),
        any(part.hit_limit for part in parts),
    )
