"""A language model in the search for a text, and the file in which it is kept beside the speech model."""

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import torch
from transformers import LogitsProcessor, WhisperTokenizer

from asr.language_model.ngrams import NGrams

FILE = "language_model.npz"  # in a model's folder


class Fusion(LogitsProcessor):
    """Add `weight` times the logarithm of an id's probability in text, and `bonus`, to its score.

    The bonus is for each id of the text but not for its end, or the model would prefer short texts. The ids of
    languages, tasks and timestamps are no text: they gain nothing, so they get what the least likely id gets.
    """

    def __init__(self, ngrams: NGrams, weight: float, bonus: float) -> None:
        self.ngrams, self.weight, self.bonus = ngrams, weight, bonus
        self._alone: torch.Tensor | None = None  # what an id's score gets without context

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores of the next id, of shape (rows, ids)."""
        size = self.ngrams.size
        if self._alone is None:
            alone = np.full(scores.shape[1], np.log(self.ngrams.unigram.min()))
            alone[:size] = np.log(self.ngrams.unigram)
            alone *= self.weight
            alone[: size - 1] += self.bonus
            self._alone = torch.from_numpy(alone).to(scores)
        # What comes before the text, `<|notimestamps|>` at last, is the beginning of a line.
        contexts = input_ids[:, -self.ngrams.order :].clamp(max=size).cpu().numpy()
        factors, words, probabilities = zip(*self.ngrams.following(contexts), strict=True)
        rows = np.repeat(np.arange(len(words)), [len(of_row) for of_row in words])
        words, factors = np.concatenate(words), np.array(factors)
        gains = np.log(np.concatenate(probabilities) / (self.ngrams.unigram[words] * factors[rows]))
        scores = scores + self._alone + self.weight * torch.from_numpy(np.log(factors)).to(scores)[:, None]
        places = tuple(torch.from_numpy(of_both).to(scores.device) for of_both in (rows, words))
        return scores.index_put_(places, self.weight * torch.from_numpy(gains).to(scores), accumulate=True)


def save(fusion: Fusion, tokenizer: WhisperTokenizer, folder: Path) -> None:
    """Write a language model into the folder of the model that writes with this tokenizer."""
    ngrams = fusion.ngrams
    arrays = {"unigrams": ngrams.unigrams}
    for order, (keys, counts) in enumerate(zip(ngrams.keys, ngrams.counts, strict=True), start=2):
        arrays |= {f"keys_{order}": np.diff(keys, prepend=0), f"counts_{order}": counts}  # packs well
    scales = {"weight": fusion.weight, "bonus": fusion.bonus, "order": ngrams.order}
    np.savez_compressed(folder / FILE, tokenizer=_fingerprint(tokenizer), **scales, **arrays)


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
            fusion = Fusion(ngrams, float(stored["weight"]), float(stored["bonus"]))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise ValueError(f"{file} is damaged ({error}): copy it again, or run `dvc pull`") from error
    if not belongs:
        raise ValueError(
            f"{file} was counted in the ids of another tokenizer than {folder} has: run `dvc repro package`, or"
            " remove the file, which only makes the model write without it"
        )
    return fusion


def _fingerprint(tokenizer: WhisperTokenizer) -> str:
    vocabulary = sorted(tokenizer.get_vocab().items())
    return hashlib.sha256(json.dumps(vocabulary).encode()).hexdigest()
