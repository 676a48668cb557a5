"""How a trained model hears best: tried on validation clips, and written into its configuration."""

import numpy as np
from transformers import WhisperForConditionalGeneration, WhisperProcessor, WhisperTokenizer

from asr.decoding import transcribe
from asr.model.search import MAX_NEW_TOKENS, DecodingOptions
from asr.params import Train
from asr.scoring import choice
from asr.scoring.pace import most_characters_per_s
from asr.training.batches import Collator, Examples

CLIPS = 1000  # that say how many ids a character takes, and how fast people speak


def choose(
    model: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    validation: Examples,
    collator: Collator,
    params: Train,
) -> dict[str, dict]:
    """Compare the ways of hearing that a training leaves open; write the better ones into `model.config`.

    `padding`: a model that was trained with `padding: longest` can hear clips at their own length or padded
    to the window. `pieces`: a model that was trained on joined clips can hear a long recording in windows of
    several utterances or one utterance at a time. If several processes train, each calls this.

    Returns
    -------
    `choice.better_of` for each of the two that was compared
    """
    clips, config, found = spread(validation), model.config, {}
    if params.padding == "longest":
        ways = {}
        for config.padding in ("longest", "max_length"):
            ways[config.padding] = heard(model, processor, clips, params)
        found["padding"] = choice.better_of(ways, [clip["sentence"] for clip in clips])
        config.padding = found["padding"]["chosen"]
    if params.full_window_fraction:
        windows = collator.join(clips)
        single = iter(ways[config.padding] if found else heard(model, processor, clips, params))
        ways = {
            "windows": heard(model, processor, windows, params),
            "utterances": [" ".join(next(single) for _ in range(window["n_clips"])) for window in windows],
        }
        found["pieces"] = choice.better_of(ways, [window["sentence"] for window in windows])
        config.pieces = found["pieces"]["chosen"]
    return found


def heard(
    model: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    clips: list[dict],
    params: Train,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> list[str]:
    """Return what a model hears in clips, greedily, as its own settings say."""
    settings = model.eval().generation_config
    options = DecodingOptions(
        settings.language, settings.task, params.per_device_eval_batch_size, max_new_tokens, num_beams=1
    )
    lengths = [clip["features"].shape[1] for clip in clips]
    hypotheses = transcribe(model, processor, lengths, lambda number: clips[number]["features"], options)
    return [hypothesis.text for hypothesis in hypotheses]


def max_ids_per_s(examples: Examples, tokenizer: WhisperTokenizer) -> float:
    """Return the ids a second that no speech has, for `whisper.most_ids`.

    So many as stand for `most_characters_per_s`.
    """
    rows = examples.sentences[choice.spread(len(examples.sentences), CLIPS)]
    characters = np.array([len(sentence) for sentence in rows["sentence"]])
    n_ids = sum(map(len, tokenizer(rows["sentence"], add_special_tokens=False).input_ids))
    most = most_characters_per_s(np.median(characters / rows["duration_s"]))
    return round(float(most) * n_ids / int(characters.sum()), 2)


def spread(examples: Examples, most: int = choice.CLIPS) -> list[dict]:
    """Return at most so many examples from all over the corpus, with those of a speaker together."""
    items = choice.spread(len(examples), most)
    items = items[np.argsort(examples.speakers[items], kind="stable")]
    return [examples[int(item), None] for item in items]
