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
from pathlib import Path

from transformers import GenerationConfig, WhisperProcessor, WhisperTokenizer

from asr.language_model import fusion, text
from asr.language_model.fusion import Fusion
from asr.language_model.ngrams import NGrams
from asr.language_model.ngrams import count as count_ngrams
from asr.model import whisper
from asr.params import Params, load_params
from asr.runtime.errors import report_errors
from asr.scoring.choice import better_of, spread
from asr.scoring.rates import error_rates
from asr.scoring.text import without_tags
from asr.tables.rows import read_rows
from stages.transcribe import FEATURES, FILTERED, transcribe_rows

TRAINED, OUT = Path("data/trained"), Path("data/model")
METRICS = Path("metrics/package.json")
ROLES = ("train", "validation", "test")
WEIGHTS = (0.1, 0.2, 0.3, 0.4)  # of the language model, beside 0; the sound's weight is 1
logger = logging.getLogger("package")


def generation_settings(settings: GenerationConfig, params: Params) -> GenerationConfig:
    """Write into a model's settings, in place, how its texts are made; returns them."""
    settings.language, settings.task = params.model.language, params.model.task
    settings.num_beams = params.transcribe.num_beams
    # Whisper's `generate` adds the ids of the prompt, and asks for no more than the decoder's positions.
    settings.max_length, settings.max_new_tokens = params.transcribe.max_new_tokens, None
    return settings


def count(params: Params, tokenizer: WhisperTokenizer) -> tuple[NGrams, dict]:
    """Count the n-grams of the text and of the training transcripts; returns them, and the sizes of both.

    Lines of the text with a sentence of validation or test are left out.
    """
    sentences = {role: read_rows(FEATURES, FILTERED / f"{role}.csv")["sentence"][:] for role in ROLES}
    transcripts = (
        sentences["train"] if params.model.keep_tags else list(map(without_tags, sentences["train"]))
    )
    held_out = text.HeldOut(sentences["validation"] + sentences["test"])
    used, left_out = [], []
    for line in text.lines(Path(params.transcribe.language_model.path)):
        (left_out if held_out.is_in(line) else used).append(line)
    ids = text.encode(used + transcripts, tokenizer)
    ngrams = count_ngrams(ids, params.transcribe.language_model.order, tokenizer.eos_token_id)
    by_source = {"text": used, "text_left_out": left_out, "transcripts": transcripts}
    return ngrams, {name: _size(lines) for name, lines in by_source.items()}


def _size(lines: list[str]) -> dict:
    return {"lines": len(lines), "words": sum(len(line.split()) for line in lines)}


def choose(
    ngrams: NGrams, heard: Callable[[Fusion | None], list[str]], references: list[str]
) -> tuple[Fusion | None, dict]:
    """Compare WEIGHTS by what is heard with them, and the best of them with no language model at all.

    Returns
    -------
    the better one, None if that is without; and the figures
    """
    texts = {weight: heard(Fusion(ngrams, weight)) for weight in WEIGHTS}
    cer = {weight: round(error_rates(references, of_it)["cer"], 2) for weight, of_it in texts.items()}
    best = min(cer, key=cer.get)
    found = better_of({"without": heard(None), "with": texts[best]}, references)
    weight = best if found["chosen"] == "with" else 0.0
    figures = {"weight": weight, **found, "cer_by_weight": {str(weight): cer[weight] for weight in WEIGHTS}}
    return Fusion(ngrams, weight) if weight else None, figures


def language_model(params: Params, processor: WhisperProcessor) -> tuple[Fusion | None, dict]:
    """Make the language model that `params` wants, if it helps on validation rows; and the figures."""
    ngrams, sizes = count(params, processor.tokenizer)
    logger.info("language model of order %d: %s", ngrams.order, sizes)
    model = whisper.load_for_transcription(TRAINED)
    rows = read_rows(FEATURES, FILTERED / "validation.csv")
    rows = rows.select(spread(len(rows)))

    def heard(fused: Fusion | None) -> list[str]:
        return [hypothesis.text for hypothesis in transcribe_rows(model, processor, rows, params, fused)]

    found, figures = choose(ngrams, heard, [without_tags(sentence) for sentence in rows["sentence"]])
    logger.info("%s", figures)
    return found, sizes | figures


def main() -> None:
    params = load_params()
    if not TRAINED.exists():
        raise FileNotFoundError(f"no {TRAINED}: run `dvc repro train` or `dvc pull`")
    settings = generation_settings(GenerationConfig.from_pretrained(TRAINED), params)
    processor = whisper.load_processor(TRAINED, params.model.language, params.model.task)
    fused, figures = None, {}
    if params.transcribe.language_model.order:
        fused, figures = language_model(params, processor)
    shutil.copytree(TRAINED, OUT, dirs_exist_ok=True)
    settings.save_pretrained(OUT)
    fusion.save(fused, processor.tokenizer, OUT)
    METRICS.parent.mkdir(parents=True, exist_ok=True)
    METRICS.write_text(json.dumps(figures, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    logger.info(
        "%s: %s, %s, %d beams, at most %d ids",
        OUT, settings.language, settings.task, settings.num_beams, settings.max_length,
    )  # fmt: skip


if __name__ == "__main__":
    with report_errors("package"):
        main()
