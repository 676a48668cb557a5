"""How a language's text fares: what it costs in a tokenizer's ids, and what the normalisers make of it."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import regex
from transformers import WhisperProcessor, WhisperTokenizer

from asr.model import vocabulary
from asr.model.merges import bytes_of
from asr.scoring.text import normalize, whisper_basic

POSITIONS = 448  # of Whisper's decoder: no longer label can be trained on
TO_TRY = 500  # new tokens; what docs/training.md suggests
ENOUGH = 200  # sentences to learn tokens from; from fewer it would be their words by heart
HELD_OUT = 10  # every such part of them is measured on instead

_WORD = r"\p{L}\p{M}\p{N}"
_INSIDE = regex.compile(rf"(?<=[{_WORD}])[^{_WORD}\s](?=[{_WORD}])")
# As in asr/scoring/text.py, which takes them out; zero width space parts words.
_IGNORABLE = regex.compile(r"[\p{Default_Ignorable_Code_Point}--\u200b]", regex.V1)


@dataclass(frozen=True)
class Cost:
    """What sentences cost in ids, special tokens not counted but in `longest` and `too_long`."""

    sentences: int
    words: int  # as `wer` counts them
    ids: int
    characters: int
    broken: int  # ids that are a part of a character
    longest: int  # ids of the longest label
    too_long: int  # labels that have more ids than the decoder has positions

    @property
    def ids_per_word(self) -> float:
        return self.ids / self.words


@dataclass(frozen=True)
class Treatment:
    """What the normalisers make of a text; every Counter is of characters."""

    lost: Counter  # letters, marks and numbers that `wer` does not see: there should be none
    parting: Counter  # what stands within a word, and makes two of it for `wer`
    invisible: Counter  # joiners and the like, which `wer` takes out without a trace
    marks: Counter  # of the text
    digits: Counter  # other than 0 to 9
    whisper_lost: Counter  # marks that `wer_whisper_basic` does not see
    words: int  # for `wer`
    whisper_words: int  # for `wer_whisper_basic`
    different: int  # different words for `wer`
    confused: int  # of them, those that are the same as another for `wer_whisper_basic`


def cost(tokenizer: WhisperTokenizer, sentences: Sequence[str]) -> Cost:
    """Spell sentences in a tokenizer's ids and count.

    Raises
    ------
    ValueError: no word in the sentences.
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


def cost_extended(processor: WhisperProcessor, sentences: Sequence[str], n_tokens: int) -> Cost | None:
    """Count anew what sentences cost that the new tokens were not learned from; None if there are too few.

    The first nine tenths are learned from, the last is measured on; `processor` stays as it is.
    """
    held_out = len(sentences) // HELD_OUT
    if len(sentences) < ENOUGH:
        return None
    extended = deepcopy(processor)
    try:
        vocabulary.extend(extended.tokenizer, sentences[:-held_out], n_tokens, set())
    except ValueError:  # fewer tokens can be learned
        return None
    return cost(extended.tokenizer, sentences[-held_out:])


def treatment(sentences: Iterable[str]) -> Treatment:
    """Normalise sentences for `wer` and for `wer_whisper_basic`, and count what is lost."""
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
        invisible=Counter(c for sentence in composed for c in _IGNORABLE.findall(sentence)),
        marks=_count(composed, "M"),
        digits=Counter({c: n for c, n in _count(composed, "N").items() if not c.isascii()}),
        whisper_lost=_count(composed, "M") - _count(whispers, "M"),
        words=sum(len(sentence.split()) for sentence in seen),
        whisper_words=sum(len(sentence.split()) for sentence in whispers),
        different=sum(map(len, alike.values())),
        confused=sum(len(words) for words in alike.values() if len(words) > 1),
    )


def no_letters(letters: Iterable[str]) -> list[str]:
    """List the characters of an alphabet at which `wer` parts words: Unicode calls them no letter."""
    characters = {c for letter in letters for c in letter if not _IGNORABLE.match(c)}
    return sorted(c for c in characters if normalize(f"a{c}") == "a")


def script(sentences: Iterable[str], scripts: Iterable[str]) -> str | None:
    """Return the script, of those given by ISO 15924 code, that most letters and marks are of, or None."""
    counts = _count(sentences, "LM")
    found = Counter()
    for code in scripts:
        try:
            of_it = regex.compile(rf"\p{{Script={code}}}")
        except regex.error:  # not Unicode's own, such as Hans or Jpan
            continue
        found[code] = sum(n for c, n in counts.items() if of_it.match(c))
    code, number = max(found.items(), key=lambda item: item[1], default=("", 0))
    return code if number else None


def _count(texts: Iterable[str], kinds: str) -> Counter:
    """Count the characters whose category begins with one of the letters."""
    return Counter(c for text in texts for c in text if unicodedata.category(c)[0] in kinds)


def _is_broken(token: str) -> bool:
    """Tell whether a token is no text by itself."""
    try:
        bytes_of(token).decode()
    except UnicodeDecodeError:
        return True
    return False
