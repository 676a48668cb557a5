"""Generation settings of a Whisper checkpoint: what its vocabulary fixes is kept, all else is set aside.

Checkpoints come with five beams, a penalty for repetitions, or thresholds that `generate` trips over. They
would decide this pipeline's texts in silence. Checkpoints of 2022 and 2023 come without the ids of languages
and tasks. The tokenizer has them.
"""

import re
from collections.abc import Collection
from pathlib import Path

from transformers import GenerationConfig, WhisperConfig, WhisperTokenizer

from asr.model.checks import read_json

SPECIAL = {
    "decoder_start_token_id": "<|startoftranscript|>",
    "eos_token_id": "<|endoftext|>",
    "no_timestamps_token_id": "<|notimestamps|>",
    "prev_sot_token_id": "<|startofprev|>",
}
TASKS = {"transcribe": "<|transcribe|>", "translate": "<|translate|>"}
LANGUAGE = re.compile(r"<\|[a-z]{2,3}\|>")
SUPPRESSED = ("suppress_tokens", "begin_suppress_tokens")
AS_PUBLISHED = (*SUPPRESSED, "alignment_heads", "max_initial_timestamp_index")
FIRST = 3  # ids in a message
WRITES = ("language", "task")  # what a fine-tuned model was trained to write
DECODING = ("num_beams", "max_length", "max_new_tokens")  # with which its texts were measured
TIMESTAMPS = 1501  # 0.00 to 30.00 s; a model has their ids even where its tokenizer does not list them
ENGLISH_ONLY_END = 50256  # <|endoftext|> in Whisper's English-only checkpoints, as in GPT-2


def read(folder: Path) -> dict:
    """Read the settings that a checkpoint came with; what is left of them in config.json, in older ones."""
    file = folder / "generation_config.json"
    if file.exists():
        return read_json(file)
    return {name: value for name, value in read_json(folder / "config.json").items() if name in AS_PUBLISHED}


def check(said: dict, config: WhisperConfig, tokenizer: WhisperTokenizer) -> list[str]:
    """Compare a tokenizer's ids with the model's; returns a line for each contradiction.

    Parameters
    ----------
    said: the settings that the checkpoint came with
    """
    ids = tokenizer.get_vocab()
    lacking = [token for token in (*SPECIAL.values(), *TASKS.values()) if token not in ids]
    if lacking:
        return [
            f"the tokenizer has no {', '.join(lacking)}: copy tokenizer.json, or vocab.json, merges.txt and"
            " added_tokens.json, from the model that this one was made from"
        ]
    known = _known(ids)
    end = known["eos_token_id"]
    if said.get("is_multilingual") is False or end == ENGLISH_ONLY_END or not known["lang_to_id"]:
        return ["it is for English only: take a multilingual one: openai/whisper-small, not whisper-small.en"]
    problems, n_ids = [], max(ids.values()) + 1
    spare = config.vocab_size - n_ids
    if spare < 0 or (spare not in (0, TIMESTAMPS) and said.get("task_to_id") is None):
        problems.append(f"the model has {config.vocab_size} ids, but its tokenizer has {n_ids}")
    for name, id in known.items():
        theirs = said.get(name)
        if isinstance(id, dict) and isinstance(theirs, dict):
            problems += [
                f"{name}[{key!r}] is {value!r}, but {id.get(key)} in the tokenizer"
                for key, value in sorted(theirs.items() - id.items())[:FIRST]
            ]
        elif theirs not in (None, id, [id]):
            problems.append(f"{name} is {theirs!r:.80}, but {id!r:.80} in the tokenizer")
    for name in SUPPRESSED:
        theirs = said.get(name) or []
        if not isinstance(theirs, list) or any(id not in range(config.vocab_size) for id in theirs):
            problems.append(f"{name} is {theirs!r:.80}, expected ids below {config.vocab_size}")
    return problems


def clean(
    said: dict, config: WhisperConfig, tokenizer: WhisperTokenizer, keep: Collection[str]
) -> tuple[GenerationConfig, dict]:
    """Make the settings to generate with; returns them, and those of the checkpoint's that are set aside.

    Parameters
    ----------
    keep: names of settings that are kept beside what the vocabulary fixes
    """
    known = _known(tokenizer.get_vocab())
    end = known["eos_token_id"]
    kept = {
        **known,
        "bos_token_id": end,
        "pad_token_id": end,
        "is_multilingual": True,
        "max_length": config.max_target_positions,
        "return_timestamps": False,
        **{name: said[name] for name in (*AS_PUBLISHED, *WRITES, *keep) if said.get(name)},
    }
    aside = {
        name: value
        for name, value in said.items()
        if name not in (*known, "transformers_version") and value not in (None, False, [], kept.get(name))
    }
    return GenerationConfig(**kept), aside


def _known(ids: dict[str, int]) -> dict:
    return {
        **{name: ids[token] for name, token in SPECIAL.items()},
        "lang_to_id": {token: ids[token] for token in sorted(ids) if LANGUAGE.fullmatch(token)},
        "task_to_id": {task: ids[token] for task, token in TASKS.items()},
    }
