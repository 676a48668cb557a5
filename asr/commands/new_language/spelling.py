"""What tokenizer and normalisers do to a language's text: the ids that it takes, the marks that it loses."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import regex
from transformers import WhisperTokenizer

from asr.scoring.text import normalize, whisper_basic

POSITIONS = 448  # of Whisper's decoder: no longer label can be trained on

_WORD = r"\p{L}\p{M}\p{N}"
_INSIDE = regex.compile(rf"(?<=[{_WORD}])[^{_WORD}\s](?=[{_WORD}])")
# Characters that asr/scoring/text.py removes. It takes a zero width space for a space.
_IGNORABLE = regex.compile(r"[\p{Default_Ignorable_Code_Point}--\u200b]", regex.V1)


@dataclass(frozen=True)
class Cost:
    """The ids of sentences. Special tokens count only in `longest` and `too_long`."""

    sentences: int
    words: int  # as `wer` counts them
    ids: int
    characters: int
    longest: int  # ids of the longest label
    too_long: int  # labels with more ids than POSITIONS


@dataclass(frozen=True)
class Treatment:
    """What the normalisers do to a text."""

    words: int  # for `wer`
    whisper_words: int  # for `wer_whisper_basic`
    marks: int  # which `wer_whisper_basic` drops
    parting: Counter  # characters within a word at which `wer` splits it


def cost(tokenizer: WhisperTokenizer, sentences: Sequence[str]) -> Cost:
    """Tokenize sentences and count the ids.

    Raises
    ------
    ValueError: the sentences have no word.
    """
    words = _count_words(map(normalize, sentences))
    if not words:
        raise ValueError(f"no word in {len(sentences)} sentences")
    spelt = tokenizer(list(sentences), add_special_tokens=False, verbose=False).input_ids
    prompt = len(tokenizer("", verbose=False).input_ids) - 1  # all but the start token
    labels = [len(ids) + prompt for ids in spelt]
    return Cost(
        sentences=len(sentences),
        words=words,
        ids=sum(map(len, spelt)),
        characters=sum(map(len, sentences)),
        longest=max(labels),
        too_long=sum(length > POSITIONS for length in labels),
    )


def treatment(sentences: Iterable[str]) -> Treatment:
    """Normalise sentences for `wer` and for `wer_whisper_basic`."""
    composed = [unicodedata.normalize("NFC", sentence) for sentence in sentences]
    visible = [_IGNORABLE.sub("", sentence) for sentence in composed]
    return Treatment(
        words=_count_words(map(normalize, composed)),
        whisper_words=_count_words(map(whisper_basic, composed)),
        marks=sum(len(regex.findall(r"\p{M}", sentence)) for sentence in composed),
        parting=Counter(c for sentence in visible for c in _INSIDE.findall(sentence)),
    )


def _count_words(texts: Iterable[str]) -> int:
    return sum(len(text.split()) for text in texts)
