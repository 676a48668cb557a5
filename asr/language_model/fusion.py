"""A language model in the search for a text, and the file in which it is kept beside the speech model."""

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import torch
from transformers import LogitsProcessor, WhisperTokenizer

from asr.language_model import FILE
from asr.language_model.ngrams import NGrams


class Fusion(LogitsProcessor):
    """Add `weight` times the logarithm of an id's probability in text to its score.

    That chooses among the ids of text. Where the text ends is for the sound to tell, and the ids of languages
    and timestamps are in no text: all these gain as much as the best id of text does, so one of them is
    chosen where it would be without a language model, and nowhere else.
    """

    def __init__(self, ngrams: NGrams, weight: float) -> None:
        self.ngrams, self.weight = ngrams, weight
        self._without_context = torch.from_numpy(np.log(ngrams.unigram))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores of the next id: shape = (rows, ids)."""
        size = self.ngrams.size
        # What comes before the text, such as `<|notimestamps|>`, is the beginning of a line.
        contexts = input_ids[:, -self.ngrams.order :].clamp(max=size).cpu().numpy()
        factors, words, probabilities = zip(*self.ngrams.following(contexts), strict=True)
        rows = np.repeat(np.arange(len(words)), [len(of_row) for of_row in words])
        words, factors = np.concatenate(words), np.array(factors)
        better = np.log(np.concatenate(probabilities) / (self.ngrams.unigram[words] * factors[rows]))

        gains = self._without_context.to(scores) + torch.from_numpy(np.log(factors)).to(scores)[:, None]
        places = tuple(torch.from_numpy(of_both).to(scores.device) for of_both in (rows, words))
        gains.index_put_(places, torch.from_numpy(better).to(scores), accumulate=True)
        found = scores[:, :size] + self.weight * gains
        of_text = found.amax(1, keepdim=True) - scores[:, :size].amax(1, keepdim=True)
        return torch.cat([found, scores[:, size:] + of_text], dim=1)


def save(fusion: Fusion, tokenizer: WhisperTokenizer, folder: Path) -> None:
    """Write a language model into the folder of the model that writes with a tokenizer."""
    ngrams = fusion.ngrams
    arrays = {"unigrams": ngrams.unigrams}
    for order, (keys, counts) in enumerate(zip(ngrams.keys, ngrams.counts, strict=True), start=2):
        arrays |= {f"keys_{order}": np.diff(keys, prepend=0), f"counts_{order}": counts}  # packs well
    arrays |= {"tokenizer": _fingerprint(tokenizer), "order": ngrams.order, "weight": fusion.weight}
    np.savez_compressed(folder / FILE, **arrays)


def load(folder: Path, tokenizer: WhisperTokenizer) -> Fusion | None:
    """Read the language model in a model's folder, if it has one.

    Raises
    ------
    ValueError: it is damaged, or was counted in the ids of another tokenizer.
    """
    file = folder / FILE
    if not file.exists():
        return None
    try:
        with np.load(file, allow_pickle=False) as stored:
            belongs = str(stored["tokenizer"]) == _fingerprint(tokenizer)
            orders = range(2, int(stored["order"]) + 1)
            keys = [np.cumsum(stored[f"keys_{order}"]) for order in orders]
            ngrams = NGrams(stored["unigrams"], keys, [stored[f"counts_{order}"] for order in orders])
            fusion = Fusion(ngrams, float(stored["weight"]))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise ValueError(f"{file} is damaged ({error}): copy it again, or run `dvc pull`") from error
    if not belongs:
        raise ValueError(
            f"{file} was counted in the ids of another tokenizer than {folder} has: run `dvc repro package`,"
            " or remove the file: the model writes without it, too"
        )
    return fusion


def _fingerprint(tokenizer: WhisperTokenizer) -> str:
    vocabulary = sorted(tokenizer.get_vocab().items())
    return hashlib.sha256(json.dumps(vocabulary).encode()).hexdigest()
