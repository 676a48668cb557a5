"""Put the fine-tuned model into one folder with all that decides its texts: data/trained/ to data/model/.

The weights and the tokenizer are copies. `generation_config.json` gets the language, the task, the beams and
the length that `transcribe` uses, so that whoever loads the folder without options gets the texts that were
evaluated. Apart from `train`, so that another number of beams does not train again.

With `transcribe.language_model.order`, n-grams of a text and of the training transcripts are counted, and the
validation rows say how much they weigh in the search. If they make it no better, the folder is as without.
Figures go to metrics/package.json.

Run by `dvc repro`, or alone: python -m stages.package
"""

import json
import logging
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from asr.params import Params, load_params
from asr.runtime.errors import report_errors
from asr.scoring.text import without_tags
from asr.tables.rows import read_rows

FEATURES, FILTERED = Path("data/features"), Path("data/filtered")
TRAINED, OUT = Path("data/trained"), Path("data/model")
SETTINGS = "generation_config.json"
METRICS = Path("metrics/package.json")
logger = logging.getLogger("package")


def generation_settings(settings: dict, params: Params) -> dict:
    """Return a model's settings with what decides how its texts are made."""
    kept = {name: value for name, value in settings.items() if name != "max_new_tokens"}
    return kept | {
        "language": params.model.language,
        "task": params.model.task,
        "num_beams": params.transcribe.num_beams,
        # Whisper's `generate` adds the ids of the prompt, and asks for no more than the decoder's positions.
        "max_length": params.transcribe.max_new_tokens,
    }


def language_model(params: Params) -> tuple[Callable[[Path], None] | None, dict]:
    """Make the language model that `params` wants.

    Returns
    -------
    what saves it in a folder, None if it does not help on validation rows; and the figures
    """
    # With torch and a speech model: six seconds, in vain where no language model is wanted.
    from asr.language_model import fitting, fusion
    from asr.model import whisper
    from asr.scoring.choice import spread
    from stages.transcribe import transcribe_rows

    wanted = params.transcribe.language_model
    processor = whisper.load_processor(TRAINED, params.model.language, params.model.task)
    rows = {role: read_rows(FEATURES, FILTERED / f"{role}.csv") for role in ("train", "validation", "test")}
    sentences = {role: of_role["sentence"][:] for role, of_role in rows.items()}
    transcripts = sentences["train"]
    if not params.model.keep_tags:
        transcripts = list(map(without_tags, transcripts))
    held_out = sentences["validation"] + sentences["test"]
    ngrams, sizes = fitting.count(Path(wanted.path), transcripts, held_out, wanted.order, processor.tokenizer)
    logger.info("language model of order %d: %s", ngrams.order, sizes)

    model = whisper.load_for_transcription(TRAINED)
    tried = rows["validation"].select(spread(len(rows["validation"])))

    def heard(fused: fusion.Fusion | None) -> list[str]:
        return [hypothesis.text for hypothesis in transcribe_rows(model, processor, tried, params, fused)]

    fused, figures = fitting.choose(ngrams, heard, list(map(without_tags, tried["sentence"])))
    logger.info("%s", figures)
    return partial(fusion.save, fused, processor.tokenizer) if fused else None, sizes | figures


def main() -> None:
    params = load_params()
    if not TRAINED.exists():
        raise FileNotFoundError(f"no {TRAINED}: run `dvc repro train` or `dvc pull`")
    settings = generation_settings(json.loads((TRAINED / SETTINGS).read_text(encoding="utf-8")), params)
    save_language_model, figures = None, {}
    if params.transcribe.language_model.order:
        save_language_model, figures = language_model(params)
    if OUT.exists():
        shutil.rmtree(OUT)
    shutil.copytree(TRAINED, OUT, copy_function=shutil.copyfile)  # DVC may have made its files read-only
    text = json.dumps(settings, indent=2, sort_keys=True, allow_nan=False) + "\n"
    (OUT / SETTINGS).write_text(text, encoding="utf-8")
    if save_language_model:
        save_language_model(OUT)
    METRICS.parent.mkdir(parents=True, exist_ok=True)
    METRICS.write_text(json.dumps(figures, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    logger.info(
        "%s: %s, %s, %d beams, at most %d ids",
        OUT, *(settings[name] for name in ("language", "task", "num_beams", "max_length")),
    )  # fmt: skip


if __name__ == "__main__":
    with report_errors("package"):
        main()
