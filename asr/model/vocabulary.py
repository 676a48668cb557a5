"""Tokens for a script that Whisper spells byte by byte, learned from training transcripts.

They take the ids of tokens that those transcripts do without, so that the vocabulary keeps its size and
every special token its id: whatever lies above `<|notimestamps|>` passes for a timestamp in transformers,
faster-whisper and whisper.cpp.
"""

import difflib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tokenizers import Regex, Tokenizer, pre_tokenizers
from transformers import WhisperTokenizer
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from asr.model.merges import bytes_of, learn_merges

FILE = "new_tokens.json"
BLOCK = 1000  # sentences: the ids of all sentences of a large corpus would be gigabytes

# GPT-2's pattern, which Whisper uses, with marks (\p{M}) counted among the letters. Without them a word
# ends at every vowel sign of Thaana, and of most Indic scripts, and no token can reach across one.
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s+"


@dataclass(frozen=True)
class NewToken:
    """A learned token, in GPT-2's notation of bytes, and what the pretrained model wrote instead."""

    id: int
    token: str
    pieces: list[int]  # ids of the pretrained vocabulary


def load_tokenizer(folder: str | Path, language: str, task: str) -> WhisperTokenizer:
    """Load a tokenizer that writes `language` and `task` labels.

    Raises
    ------
    ValueError: the tokenizer does not know the language.
    """
    tokenizer = read_tokenizer(folder)
    require_language(tokenizer, language)
    tokenizer.set_prefix_tokens(language=language, task=task, predict_timestamps=False)
    return tokenizer


def read_tokenizer(folder: str | Path) -> WhisperTokenizer:
    """Load a tokenizer that splits words as the one that was saved there did.

    transformers 5.23 gives every Whisper tokenizer GPT-2's splitting, whatever its file says. Decoding
    does not need this; encoding without it falls back on longer spellings.
    """
    tokenizer = WhisperTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    # Saved with the tokenizer otherwise: of no use, and another hash.
    tokenizer.init_kwargs.pop("local_files_only", None)
    file = Path(folder) / "tokenizer.json"
    if file.exists():  # older checkpoints have vocab.json and merges.txt
        saved = Tokenizer.from_file(str(file)).pre_tokenizer
        if isinstance(saved, pre_tokenizers.Sequence):  # extend's; published checkpoints have ByteLevel
            tokenizer.backend_tokenizer.pre_tokenizer = saved
    return tokenizer


def require_language(tokenizer: WhisperTokenizer, language: str) -> None:
    """Refuse a language, by name or code, that the tokenizer has no token for; Whisper's differ in theirs.

    Raises
    ------
    ValueError: names the nearest spelling, or all languages of the tokenizer.
    """
    ids = tokenizer.get_vocab()
    known = {name: code for name, code in TO_LANGUAGE_CODE.items() if f"<|{code}|>" in ids}
    if language.lower() in {*known, *known.values()}:
        return
    near = difflib.get_close_matches(language.lower(), known, n=1, cutoff=0.8)
    mend = (
        f"did you mean {near[0]}?" if near else f"take the nearest relative among {', '.join(sorted(known))}"
    )
    raise ValueError(f"the model has no language {language!r} (model.language or --language): {mend}")


def extend(
    tokenizer: WhisperTokenizer, sentences: Iterable[str], n_tokens: int, reserved: set[int]
) -> list[NewToken]:
    """Learn tokens from sentences and put them into a tokenizer, in place.

    Byte pair encoding goes on where Whisper's ended: the most frequent pair of
    neighbours within a word becomes a token. The tokens that go for it are the last learned ones that no
    sentence and no other token is made of; text that had them is spelt with their two parts.

    Parameters
    ----------
    n_tokens: 0 changes nothing
    reserved: ids that generation suppresses; no new token gets one

    Raises
    ------
    ValueError: fewer tokens can be learned or spared than are asked for.
    """
    if n_tokens == 0:
        return []
    backend = tokenizer.backend_tokenizer
    original = Tokenizer.from_str(backend.to_str())
    state = json.loads(backend.to_str())
    vocabulary, merges = state["model"]["vocab"], [tuple(merge) for merge in state["model"]["merges"]]

    splitter = _words_with_marks()
    words = Counter(word for sentence in sentences for word, _ in splitter.pre_tokenize_str(sentence))
    spelt = [([token.value for token in backend.model.tokenize(word)], n) for word, n in words.items()]
    used = {token for tokens, _ in spelt for token in tokens}
    taken = reserved | set(tokenizer.added_tokens_decoder)
    spare = _spare_tokens(vocabulary, merges, used, taken)
    learned = learn_merges(spelt, set(vocabulary), n_tokens)
    available = min(len(spare), len(learned))
    if available < n_tokens:
        raise ValueError(
            f"model.extend_tokenizer is {n_tokens}, but {len(learned)} tokens can be learned from the"
            f" training transcripts and {len(spare)} old ones spared: set model.extend_tokenizer to"
            f" {available} or less"
        )

    dropped = set(spare[:n_tokens])
    new_ids = {left + right: vocabulary[old] for (left, right), old in zip(learned, spare, strict=False)}
    kept = {token: id for token, id in vocabulary.items() if token not in dropped}
    state["model"]["vocab"] = kept | new_ids
    state["model"]["merges"] = [merge for merge in merges if "".join(merge) not in dropped] + learned
    backend.model = Tokenizer.from_str(json.dumps(state)).model
    backend.pre_tokenizer = splitter
    return [NewToken(id, token, _spell(original, token)) for token, id in new_ids.items()]


def save(new_tokens: list[NewToken], folder: str | Path) -> None:
    """Write new tokens beside the saved tokenizer that has them."""
    text = json.dumps([asdict(token) for token in new_tokens], ensure_ascii=False, indent=1)
    (Path(folder) / FILE).write_text(text + "\n", encoding="utf-8")


def load(folder: str | Path) -> list[NewToken]:
    """Read the new tokens of a saved tokenizer; none if it has no such file."""
    file = Path(folder) / FILE
    return [NewToken(**row) for row in json.loads(file.read_text(encoding="utf-8"))] if file.exists() else []


def count_ids(tokenizer: WhisperTokenizer, sentences: Iterable[str], special: bool) -> list[int]:
    """Count the ids of each sentence, with or without the special tokens around it."""
    sentences = list(sentences)
    blocks = (sentences[first : first + BLOCK] for first in range(0, len(sentences), BLOCK))
    spelt = (tokenizer(block, add_special_tokens=special, verbose=False).input_ids for block in blocks)
    return [len(ids) for block in spelt for ids in block]


def ids_per_word(tokenizer: WhisperTokenizer, sentences: Iterable[str]) -> float:
    """Return how many ids a word between spaces takes, special tokens not counted."""
    sentences = list(sentences)
    n_ids = sum(count_ids(tokenizer, sentences, special=False))
    return n_ids / sum(len(sentence.split()) for sentence in sentences)


def _words_with_marks() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _spare_tokens(
    vocabulary: dict[str, int], merges: list[tuple[str, str]], used: set[str], taken: set[int]
) -> list[str]:
    """Return the tokens that may go, last learned first: in this order each leaves no merge without parts."""
    parts = defaultdict(list)
    for left, right in merges:
        parts[left + right] += [left, right]
    uses = Counter(part for merge in merges for part in merge)
    spare = []
    for token in sorted(parts, key=vocabulary.__getitem__, reverse=True):
        if token not in used and not uses[token] and vocabulary[token] not in taken:
            spare.append(token)
            uses.subtract(parts[token])
    return spare


def _spell(original: Tokenizer, token: str) -> list[int]:
    """Return the ids in which a tokenizer writes a token's text, or its bytes where they are no text."""
    try:
        text = bytes_of(token).decode()
    except UnicodeDecodeError:
        return [piece.id for piece in original.model.tokenize(token)]
    return original.encode(text, add_special_tokens=False).ids
