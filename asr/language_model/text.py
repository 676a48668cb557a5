"""The text that a language model is counted in: its lines, without what would give the test away."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from transformers import WhisperTokenizer

from asr.scoring.text import normalize
from asr.sources.lines import read_lines

BLOCK = 1000  # lines that are encoded together
PIECE = 2**20  # bytes read at once
LONG = 3  # words; a shorter sentence is a part of many lines, and gives nothing away


def lines(path: Path) -> Iterator[str]:
    """Read the lines of a text file, or of all .txt files below a folder; those without a word are left out.

    Raises
    ------
    ValueError: not UTF-8, and in which line; or there is no word in it.
    """
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    is_empty = True
    for name in files:
        with name.open("rb") as file:
            for line in read_lines(iter(partial(file.read, PIECE), b""), str(name)):
                line = " ".join(line.split())
                if normalize(line):
                    is_empty = False
                    yield line
    if is_empty:
        what = "there is no .txt file with a word in it" if path.is_dir() else "there is no word in it"
        raise ValueError(f"transcribe.language_model.path: {path}: {what}")


class HeldOut:
    """Sentences that must not be in a text, compared as stages.filter does it (asr/scoring/text.py)."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self._whole = {normalize(sentence) for sentence in sentences}
        self._by_first = defaultdict(set)
        for words in (tuple(sentence.split()) for sentence in self._whole):
            if len(words) >= LONG:
                self._by_first[words[:LONG]].add(words)

    def is_in(self, line: str) -> bool:
        """Tell whether a line is one of the sentences, or one of at least LONG words is a part of it."""
        key = normalize(line)
        if key in self._whole:
            return True
        words = tuple(key.split())
        return any(
            words[place : place + len(sentence)] == sentence
            for place in range(len(words) - LONG + 1)
            for sentence in self._by_first.get(words[place : place + LONG], ())
        )


def encode(texts: Iterable[str], tokenizer: WhisperTokenizer) -> Iterator[list[int]]:
    """Encode lines as labels are, without the special ids; one that is spelt out is text."""
    texts = iter(texts)
    while block := [text for text, _ in zip(texts, range(BLOCK), strict=False)]:
        yield from tokenizer(
            block, add_special_tokens=False, split_special_tokens=True, verbose=False
        ).input_ids
