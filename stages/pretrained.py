"""Bring the base checkpoint in: `pretrained.name`, from the model hub or a folder, to data/pretrained/.

A stage of its own, so that training and evaluation need no network, and so that a checkpoint is
fetched once, is checked, and is part of what DVC tracks.

Run by `dvc repro`, or alone: python -m stages.pretrained
"""

import hashlib
import logging
from pathlib import Path

from transformers import WhisperForConditionalGeneration, WhisperProcessor

from asr.model import base_model, whisper
from asr.params import Pretrained, load_params
from asr.runtime.errors import report_errors

OUT = Path("data/pretrained")
logger = logging.getLogger("pretrained")


def pretrained(params: Pretrained) -> tuple[WhisperForConditionalGeneration, WhisperProcessor]:
    """Load a multilingual Whisper and its processor from the hub or from a folder.

    Raises
    ------
    FileNotFoundError: neither a folder nor on the hub, gated, or without weights in safetensors.
    ConnectionError: the hub cannot be reached, is in trouble, or a transfer broke off; run again.
    ValueError: the folder's weights are not those that `revision` names; no Whisper, or one that knows one
        language; damaged, or some weights are missing.
    """
    where = f"pretrained.name {params.name!r} (revision {params.revision})"
    if Path(params.name).is_dir():
        folder = Path(params.name)
        check_weights(folder / "model.safetensors", params.revision)
    else:
        folder = base_model.fetch(params.name, params.revision, where)
    model, processor = base_model.load(folder, where)
    if not getattr(model.generation_config, "lang_to_id", None):
        raise ValueError(
            f"pretrained.name {params.name!r} has no language tokens: take a multilingual checkpoint,"
            " such as openai/whisper-small, not whisper-small.en"
        )
    return model, processor


def check_weights(weights: Path, expected: str | None) -> None:
    """Compare a weight file's sha256 with the expected one, unless that is None."""
    if expected is None or not weights.exists():
        return
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ValueError(
            f"{weights}: sha256 is {found}, but pretrained.revision says {expected}:"
            " restore the file, or set pretrained.revision to what you have (null: not checked)"
        )


def main() -> None:
    params = load_params()
    model, processor = pretrained(params.pretrained)
    whisper.save(model, processor, OUT)
    logger.info(
        "%s: %.1f M parameters, window %d s, %d ids",
        params.pretrained.name,
        model.num_parameters() / 1e6,
        whisper.window_s(model),
        len(processor.tokenizer),
    )


if __name__ == "__main__":
    with report_errors("pretrained"):
        main()
