"""Tokens for a script that Whisper spells byte by byte, learned from training transcripts.

They take the ids of tokens that those transcripts do without, so that the vocabulary keeps its size and
every special token its id: whatever lies above `<|notimestamps|>` passes for a timestamp in transformers,
faster-whisper and whisper.cpp.
"""

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, pre_tokenizers
from transformers import WhisperForConditionalGeneration, WhisperProcessor, WhisperTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

FILE = "new_tokens.json"
RARE = 2  # a pair that occurs less often is not worth a token
BYTE_OF = {character: byte for byte, character in bytes_to_unicode().items()}

# GPT-2's pattern, which Whisper uses, with marks (\p{M}) counted among the letters. Without them a word
# ends at every vowel sign of Thaana, and of most Indic scripts, and no token can reach across one.
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s+"


@dataclass(frozen=True)
class NewToken:
    """A learned token, in GPT-2's notation of bytes, and what the pretrained model wrote instead."""

    id: int
    token: str
    pieces: list[int]  # ids of the pretrained vocabulary


def extend(
    processor: WhisperProcessor, sentences: Iterable[str], n_tokens: int, reserved: set[int]
) -> list[NewToken]:
    """Learn tokens from sentences and put them into a processor's tokenizer, in place.

    Byte pair encoding goes on where Whisper's ended (Sennrich et al. 2016): the most frequent pair of
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
    backend = processor.tokenizer.backend_tokenizer
    original = Tokenizer.from_str(backend.to_str())
    state = json.loads(backend.to_str())
    vocabulary, merges = state["model"]["vocab"], [tuple(merge) for merge in state["model"]["merges"]]

    splitter = _words_with_marks()
    words = Counter(word for sentence in sentences for word, _ in splitter.pre_tokenize_str(sentence))
    spelt = [([token.value for token in backend.model.tokenize(word)], n) for word, n in words.items()]
    used = {token for tokens, _ in spelt for token in tokens}
    taken = reserved | set(processor.tokenizer.added_tokens_decoder)
    spare = _spare_tokens(vocabulary, merges, used, taken)
    learned = _learn_merges(spelt, set(vocabulary), n_tokens)
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
    """Write new tokens beside the saved processor that has them."""
    text = json.dumps([asdict(token) for token in new_tokens], ensure_ascii=False, indent=1)
    (Path(folder) / FILE).write_text(text + "\n", encoding="utf-8")


def load(folder: str | Path) -> list[NewToken]:
    """Read the new tokens of a saved processor; none if it has no such file."""
    file = Path(folder) / FILE
    return [NewToken(**row) for row in json.loads(file.read_text(encoding="utf-8"))] if file.exists() else []


def seed_embeddings(model: WhisperForConditionalGeneration, new_tokens: list[NewToken]) -> None:
    """Set each new token's embedding to the mean of its pieces', in place.

    The output layer has the same weights.
    """
    weight = model.get_input_embeddings().weight
    with torch.no_grad():
        # All means before the first row is written: a piece may be a token whose id is given away.
        rows = [weight[token.pieces].mean(dim=0) for token in new_tokens]
        for token, row in zip(new_tokens, rows, strict=True):
            weight[token.id] = row


def restore_pre_tokenizer(tokenizer: WhisperTokenizer, folder: str | Path) -> None:
    """Let a tokenizer loaded from a folder split words as the one that was saved there did.

    transformers 5.23 gives every Whisper tokenizer GPT-2's splitting, whatever its file says. Decoding
    does not need this; encoding without it falls back on longer spellings.
    """
    file = Path(folder) / "tokenizer.json"
    if not file.exists():  # vocab.json and merges.txt, of older checkpoints
        return
    saved = Tokenizer.from_file(str(file)).pre_tokenizer
    if isinstance(saved, pre_tokenizers.Sequence):  # extend's; published checkpoints have ByteLevel
        tokenizer.backend_tokenizer.pre_tokenizer = saved


def ids_per_word(tokenizer: WhisperTokenizer, sentences: Iterable[str]) -> float:
    """Return how many ids a word between spaces takes, special tokens not counted."""
    sentences = list(sentences)
    ids = tokenizer(sentences, add_special_tokens=False).input_ids
    return sum(map(len, ids)) / sum(len(sentence.split()) for sentence in sentences)


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


def _learn_merges(
    words: list[tuple[list[str], int]], known: set[str], n_merges: int
) -> list[tuple[str, str]]:
    """Return the merges that byte pair encoding learns next, in their order, at most n_merges.

    Equally frequent pairs come in the order of their strings. A merge breaks no character that its two
    parts leave whole (cf. Land and Arnett 2025): "vowel sign and first byte of the next letter" would be
    among the most frequent pairs, is no text, and makes words longer in the end. Whisper has such
    tokens already; what is made of them may be broken too, or there would be no way on from there.

    Parameters
    ----------
    words: each as its tokens, and how often it occurs; the tokens are merged in place
    known: tokens that there are already, which no merge makes once more
    """
    known = set(known)
    counts: Counter[tuple[str, str]] = Counter()
    where = defaultdict(set)  # a pair to the words that have it, or had it before another merge
    for index, (tokens, n) in enumerate(words):
        for pair in pairwise(tokens):
            counts[pair] += n
            where[pair].add(index)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)
    merges: list[tuple[str, str]] = []
    while heap and len(merges) < n_merges:
        count, pair = heapq.heappop(heap)
        if -count < RARE:
            break
        token = "".join(pair)
        if -count != counts[pair] or token in known:  # out of date, or there already
            continue
        if _is_broken(token) and not any(map(_is_broken, pair)):
            continue
        merges.append(pair)
        known.add(token)
        changed = set()
        for index in where.pop(pair):
            tokens, n = words[index]
            for other, change in _merge(tokens, pair):
                counts[other] += change * n
                changed.add(other)
                if change > 0:
                    where[other].add(index)
        for other in changed:
            heapq.heappush(heap, (-counts[other], other))
    return merges


def _merge(tokens: list[str], pair: tuple[str, str]) -> Iterator[tuple[tuple[str, str], int]]:
    """Join every occurrence of a pair, from the left, in place; yield what pairs go, -1, and come, 1."""
    left, right = pair
    index = 0
    while index < len(tokens) - 1:
        if tokens[index] == left and tokens[index + 1] == right:
            first = max(index - 1, 0)
            yield from ((gone, -1) for gone in pairwise(tokens[first : index + 3]))
            tokens[index : index + 2] = [left + right]
            yield from ((come, 1) for come in pairwise(tokens[first : index + 2]))
        index += 1


def _is_broken(token: str) -> bool:
    """Return whether a token holds a part of a character and something else besides."""
    data = _bytes(token)
    try:
        data.decode()
    except UnicodeDecodeError:
        return any(byte & 0b1100_0000 != 0b1000_0000 for byte in data[1:])  # one that begins a character
    return False


def _spell(original: Tokenizer, token: str) -> list[int]:
    """Return the ids in which a tokenizer writes a token's text, or its bytes where they are no text."""
    try:
        text = _bytes(token).decode()
    except UnicodeDecodeError:
        return [piece.id for piece in original.model.tokenize(token)]
    return original.encode(text, add_special_tokens=False).ids


def _bytes(token: str) -> bytes:
    return bytes(BYTE_OF[character] for character in token)
