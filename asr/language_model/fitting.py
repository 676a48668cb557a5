"""Count a language model, and find how much it weighs beside the sound."""

from collections.abc import Callable
from pathlib import Path

from transformers import WhisperTokenizer

from asr.language_model import text
from asr.language_model.fusion import Fusion
from asr.language_model.ngrams import NGrams
from asr.language_model.ngrams import count as count_ngrams
from asr.scoring.choice import better_of
from asr.scoring.rates import error_rates

WEIGHTS = (0.1, 0.2, 0.3, 0.4)  # of the language model, beside 0; the sound's weight is 1


def count(
    path: Path, transcripts: list[str], held_out: list[str], order: int, tokenizer: WhisperTokenizer
) -> tuple[NGrams, dict]:
    """Count the n-grams of a text and of transcripts; returns them, and the sizes of both.

    Lines of the text with a sentence that is held out are left out.
    """
    secret, used, left_out = text.HeldOut(held_out), [], []
    for line in text.lines(path):
        (left_out if secret.is_in(line) else used).append(line)
    ngrams = count_ngrams(text.encode(used + transcripts, tokenizer), order, tokenizer.eos_token_id)
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
