"""Byte pair encoding, carried on: the next merges of a byte-level tokenizer (Sennrich et al. 2016)."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from transformers.convert_slow_tokenizer import bytes_to_unicode

RARE = 2  # a pair that occurs less often is not worth a token
BYTE_OF = {character: byte for byte, character in bytes_to_unicode().items()}


def bytes_of(token: str) -> bytes:
    """Return the bytes that a token stands for, given in GPT-2's notation of bytes."""
    return bytes(BYTE_OF[character] for character in token)


def learn_merges(words: list[tuple[list[str], int]], known: set[str], n_merges: int) -> list[tuple[str, str]]:
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
    data = bytes_of(token)
    try:
        data.decode()
    except UnicodeDecodeError:
        return any(byte & 0b1100_0000 != 0b1000_0000 for byte in data[1:])  # one that begins a character
    return False
