"""Search for the texts of encoded clips, all of them together."""

import copy
from dataclasses import dataclass

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteriaList,
    WhisperForConditionalGeneration,
    WhisperProcessor,
)

from asr.model.loops import EndRound
from asr.model.own_length import together
from asr.model.whisper import most_ids

MAX_NEW_TOKENS = 444  # the decoder's 448 positions less the four ids of the prompt


@dataclass(frozen=True)
class DecodingOptions:
    """How a model transcribes, under the names of transformers' `generate`."""

    language: str  # one of Whisper's
    task: str  # "transcribe" or "translate", which writes English
    batch_size: int  # pieces as long as the window at a time, or more shorter ones
    max_new_tokens: int  # for a piece, at most MAX_NEW_TOKENS
    num_beams: int  # 1: greedy search
    language_model: LogitsProcessor | None = None  # asr/language_model/fusion.py


def search(
    model: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    states: list[torch.Tensor],
    frames: list[int],
    options: DecodingOptions,
) -> list[tuple[torch.Tensor, bool]]:
    """Search for the texts of clips together.

    A step takes longer the more clips there are and the longer the longest is. So a search without beams is
    left when few texts go on, and taken up for these alone.

    Parameters
    ----------
    states: of each clip, as the encoder gives them: shape = (positions, width)
    frames: of each clip, without what it is padded with

    Returns
    -------
    of each clip its ids, and whether they were ended because they loop or are too many
    """
    settings = copy.copy(model.generation_config)
    asked = processor.get_decoder_prompt_ids(task=options.task, language=options.language)
    prompt = [settings.decoder_start_token_id, *(id for _, id in asked)]
    fused = LogitsProcessorList([options.language_model] if options.language_model else [])
    rows, ids = list(range(len(states))), torch.tensor([prompt] * len(states), device=model.device)
    most = torch.tensor([most_ids(model, of_clip) for of_clip in frames], device=model.device)
    limits = most.clamp(max=options.max_new_tokens + len(prompt))
    found = {}
    while rows:
        ends = EndRound(limits[rows], settings.eos_token_id)
        with together(model, [states[row] for row in rows]) as encoded:
            new = model.generate(
                encoder_outputs=encoded,  # the features themselves would be padded to the window
                decoder_input_ids=ids,
                generation_config=settings,
                language=options.language,
                task=options.task,
                return_timestamps=False,
                max_new_tokens=options.max_new_tokens + len(prompt) - ids.shape[1],
                num_beams=options.num_beams,
                logits_processor=fused,
                stopping_criteria=StoppingCriteriaList([ends] if options.num_beams == 1 else []),
            )
        ids = torch.cat([ids, new], dim=1)
        is_last = options.num_beams > 1 or ids.shape[1] >= options.max_new_tokens + len(prompt)
        go_on = ~(ends.ended | is_last)
        texts = zip(rows, go_on.tolist(), ids[:, len(prompt) :].cpu(), ends.looped.tolist(), strict=True)
        found |= {row: (text, looped) for row, goes_on, text, looped in texts if not goes_on}
        rows, ids = [row for row in rows if row not in found], ids[go_on]
        settings.begin_suppress_tokens = []  # of a text's first id; None would stand for the model's own
    return [found[row] for row in range(len(states))]
