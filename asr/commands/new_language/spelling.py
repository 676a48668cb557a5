"""What tokenizer and normalisers do to a language's text: the ids that it takes, the characters it loses."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import regex
from transformers import WhisperTokenizer

from asr.model.merges import bytes_of
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
    broken: int  # ids for a part of a character
    longest: int  # ids of the longest label
    too_long: int  # labels with more ids than POSITIONS

    @property
    def ids_per_word(self) -> float:
        return self.ids / self.words


@dataclass(frozen=True)
class Treatment:
    """What the normalisers do to a text. Every Counter counts characters."""

    lost: Counter  # letters, marks and numbers that `wer` drops; there should be none
    parting: Counter  # characters within a word at which `wer` splits it
    marks: Counter  # all marks of the text
    whisper_lost: Counter  # marks that `wer_whisper_basic` drops
    words: int  # for `wer`
    whisper_words: int  # for `wer_whisper_basic`
    different: int  # distinct words for `wer`
    confused: int  # those of them that `wer_whisper_basic` cannot tell from another


def cost(tokenizer: WhisperTokenizer, sentences: Sequence[str]) -> Cost:
    """Tokenize sentences and count the ids.

    Raises
    ------
    ValueError: the sentences have no word.
    """
    words = sum(len(normalize(sentence).split()) for sentence in sentences)
    if not words:
        raise ValueError(f"no word in {len(sentences)} sentences")
    spelt = tokenizer(list(sentences), add_special_tokens=False, verbose=False).input_ids
    prompt = len(tokenizer("", verbose=False).input_ids) - 1  # all but the start token
    counts = Counter(id for ids in spelt for id in ids)
    tokens = tokenizer.convert_ids_to_tokens(list(counts))
    labels = [len(ids) + prompt for ids in spelt]
    return Cost(
        sentences=len(sentences),
        words=words,
        ids=counts.total(),
        characters=sum(map(len, sentences)),
        broken=sum(n for token, n in zip(tokens, counts.values(), strict=True) if _is_broken(token)),
        longest=max(labels),
        too_long=sum(length > POSITIONS for length in labels),
    )


def treatment(sentences: Iterable[str]) -> Treatment:
    """Normalise sentences for `wer` and for `wer_whisper_basic`, and count what they lose."""
    composed = [unicodedata.normalize("NFC", sentence) for sentence in sentences]
    seen = [normalize(sentence) for sentence in composed]
    whispers = [whisper_basic(sentence) for sentence in composed]
    visible = [_IGNORABLE.sub("", sentence) for sentence in composed]
    folded = [unicodedata.normalize("NFC", sentence.casefold()) for sentence in visible]
    alike = defaultdict(set)
    for word in {word for sentence in seen for word in sentence.split()}:
        alike[whisper_basic(word)].add(word)
    return Treatment(
        lost=_count(folded, "LMN") - _count(seen, "LMN"),
        parting=Counter(c for sentence in visible for c in _INSIDE.findall(sentence)),
        marks=_count(composed, "M"),
        whisper_lost=_count(composed, "M") - _count(whispers, "M"),
        words=sum(len(sentence.split()) for sentence in seen),
        whisper_words=sum(len(sentence.split()) for sentence in whispers),
        different=sum(map(len, alike.values())),
        confused=sum(len(words) for words in alike.values() if len(words) > 1),
    )


def no_letters(letters: Iterable[str]) -> list[str]:
    """List the characters of an alphabet that are no letters in Unicode, so that `wer` splits words there."""
    characters = {c for letter in letters for c in letter if not _IGNORABLE.match(c)}
    return sorted(c for c in characters if normalize(f"a{c}") == "a")


def script(sentences: Iterable[str], scripts: Iterable[str]) -> str | None:
    """Return the script of most letters and marks, of those given by ISO 15924 code; None without letters."""
    counts = _count(sentences, "LM")
    found = Counter()
    for code in scripts:
        try:
            of_it = regex.compile(rf"\p{{Script={code}}}")
        except regex.error:  # a script that Unicode has no property for, such as Hans or Jpan
            continue
        found[code] = sum(n for c, n in counts.items() if of_it.match(c))
    code, number = max(found.items(), key=lambda item: item[1], default=("", 0))
    return code if number else None


def _count(texts: Iterable[str], kinds: str) -> Counter:
    """Count the characters whose Unicode category begins with one of the letters in `kinds`."""
    return Counter(c for text in texts for c in text if unicodedata.category(c)[0] in kinds)


def _is_broken(token: str) -> bool:
    """Tell whether a token's bytes are only a part of a character."""
    try:
        bytes_of(token).decode()
    except UnicodeDecodeError:
        return True
    return False
