"""Bring the base checkpoint in: `pretrained.name`, from the model hub or a folder, to data/pretrained/.

A stage of its own, so that training and evaluation need no network, and so that a checkpoint is
fetched once, is checked, and is part of what DVC tracks.

Run by `dvc repro`, or alone: python -m stages.pretrained
"""

import hashlib
import logging
from pathlib import Path

from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from asr import whisper
from asr.params import Pretrained, load_params
from asr.stage import report_errors

OUT = Path("data/pretrained")
logger = logging.getLogger("pretrained")


def pretrained(params: Pretrained) -> tuple[WhisperForConditionalGeneration, WhisperProcessor]:
    """Load a multilingual Whisper and its processor from the hub or from a folder.

    Raises
    ------
    FileNotFoundError: neither a folder nor reachable on the hub, or its weights are pickled.
    ValueError: the folder's weights are not those that `revision` names, or the model knows one language.
    """
    folder = Path(params.name).is_dir()
    if folder:
        refuse_pickle(Path(params.name))
        check_weights(Path(params.name) / "model.safetensors", params.revision)
    revision = None if folder else params.revision
    try:
        model = WhisperForConditionalGeneration.from_pretrained(
            params.name, revision=revision, use_safetensors=True
        )
        processor = WhisperProcessor.from_pretrained(params.name, revision=revision)
    except (GatedRepoError, RepositoryNotFoundError, LocalEntryNotFoundError, OSError) as error:
        raise FileNotFoundError(
            f"pretrained.name {params.name!r} (revision {params.revision}) cannot be loaded.\n"
            f"  {str(error).splitlines()[0]}\n"
            "  It has to be a Whisper checkpoint on the model hub (is the network there? a gated one needs"
            " `hf auth login`)\n"
            "  or a folder with config.json, model.safetensors and the processor's files"
            " (dvc exp run -S pretrained.name=/path/to/it -S pretrained.revision=null).\n"
            "  Without either, `make sample` runs the whole pipeline on a model that comes with it."
        ) from error
    if not getattr(model.generation_config, "lang_to_id", None):
        raise ValueError(
            f"pretrained.name {params.name!r} has no language tokens: take a multilingual checkpoint,"
            " such as openai/whisper-small, not whisper-small.en"
        )
    return model, processor


def refuse_pickle(folder: Path) -> None:
    """Say of a checkpoint whose weights are pickled only why it is not loaded: that would run code in it."""
    names = ("model.safetensors", "model.safetensors.index.json")
    pickled = sorted(file.name for file in folder.glob("*.bin"))
    if pickled and not any((folder / name).exists() for name in names):
        raise FileNotFoundError(
            f"pretrained.name {str(folder)!r} has {pickled[0]}, but no model.safetensors: a pickle may run"
            " any code when it is loaded, so it is refused. If you trust it, convert it:"
            " `model.save_pretrained` of transformers writes model.safetensors"
        )


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
