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
from asr.model.checks import weight_files
from asr.model.vocabulary import require_language
from asr.params import Model, Pretrained, load_params, require_paths
from asr.runtime.errors import report_errors

OUT = Path("data/pretrained")
logger = logging.getLogger("pretrained")


def pretrained(params: Pretrained, model: Model) -> tuple[WhisperForConditionalGeneration, WhisperProcessor]:
    """Load a multilingual Whisper and its processor from the hub or from a folder.

    Parameters
    ----------
    model: is checked against the checkpoint, so that a language or a window that it does not have is refused
        before anything is computed. It changes nothing that is written, so it is no parameter of this stage
        in dvc.yaml, and another language fetches nothing again.

    Raises
    ------
    FileNotFoundError: neither a folder nor on the hub, gated, or without weights in safetensors.
    ConnectionError: the hub cannot be reached, is in trouble, or a transfer broke off; run again.
    ValueError: the folder's weights are not those that `revision` names; the checkpoint cannot be used
        (asr/model/base_model.py), or not as `model` wants it.
    """
    where = f"pretrained.name {params.name!r} (revision {params.revision})"
    if Path(params.name).is_dir():
        folder = Path(params.name)
        check_sha256(weight_files(folder), params.revision)
    else:
        folder = base_model.fetch(params.name, params.revision, where)
    checkpoint = base_model.check(folder, where)
    require_language(checkpoint.tokenizer, model.language)
    loaded, processor = base_model.load(checkpoint)
    whisper.require_window(loaded, model.audio_window_s)
    return loaded, processor


def check_sha256(files: list[Path], expected: str | None) -> None:
    """Compare the sha256 of weight files, joined in this order, with the expected one, if there is one."""
    if expected is None:
        return
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    if digest.hexdigest() != expected:
        raise ValueError(
            f"{' '.join(map(str, files))}: sha256 is {digest.hexdigest()}, but pretrained.revision says"
            f" {expected}: restore the weights, or set pretrained.revision to what you have, or to null,"
            " which checks nothing"
        )


def main() -> None:
    params = load_params()
    # The first stage of all says what is missing: DVC, which looks after it, says "No such file" only.
    require_paths(params.corpora)
    if not (text := Path(params.transcribe.language_model.path)).exists():
        raise FileNotFoundError(f"transcribe.language_model.path: no file or folder {text.absolute()}")
    model, processor = pretrained(params.pretrained, params.model)
    whisper.save(model, processor, OUT)
    logger.info(
        "%s: %.1f M parameters, window %d s, %d ids",
        params.pretrained.name,
        model.num_parameters() / 1e6,
        whisper.window_s(model),
        model.config.vocab_size,
    )


if __name__ == "__main__":
    with report_errors("pretrained"):
        main()
