"""Put the fine-tuned model into one folder with all that decides its texts: data/trained/ to data/model/.

The weights and the tokenizer are copies. `generation_config.json` gets the language, the task, the beams and
the length that `transcribe` uses, so that whoever loads the folder without options gets the texts that were
evaluated. Apart from `train`, so that another number of beams does not train again.

Run by `dvc repro`, or alone: python -m stages.package
"""

import logging
import shutil
from pathlib import Path

from transformers import GenerationConfig

from asr.params import Params, load_params
from asr.runtime.errors import report_errors

TRAINED, OUT = Path("data/trained"), Path("data/model")
logger = logging.getLogger("package")


def generation_settings(settings: GenerationConfig, params: Params) -> GenerationConfig:
    """Write into a model's settings, in place, how its texts are made; returns them."""
    settings.language, settings.task = params.model.language, params.model.task
    settings.num_beams = params.transcribe.num_beams
    # Whisper's `generate` adds the ids of the prompt, and asks for no more than the decoder's positions.
    settings.max_length, settings.max_new_tokens = params.transcribe.max_new_tokens, None
    return settings


def main() -> None:
    params = load_params()
    if not TRAINED.exists():
        raise FileNotFoundError(f"no {TRAINED}: run `dvc repro train` or `dvc pull`")
    settings = generation_settings(GenerationConfig.from_pretrained(TRAINED), params)
    shutil.copytree(TRAINED, OUT, dirs_exist_ok=True)
    settings.save_pretrained(OUT)
    logger.info(
        "%s: %s, %s, %d beams, at most %d ids",
        OUT, settings.language, settings.task, settings.num_beams, settings.max_length,
    )  # fmt: skip


if __name__ == "__main__":
    with report_errors("package"):
        main()
