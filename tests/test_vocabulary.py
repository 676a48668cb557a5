import json
import os
import random
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
from transformers import WhisperProcessor, WhisperTokenizer

from asr.model import base_model, vocabulary, whisper
from asr.model.merges import bytes_of
from asr.synthesis.phrases import dhivehi_phrase
from tests.recipes import REPOSITORY

BASE = REPOSITORY / "sample/base"
RUSSIAN = "все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему"
ENGLISH = "all happy families are alike; every unhappy family is unhappy in its own way"
TEXTS = [
    "ދިވެހި ބަސް",
    " ދިވެހި  ބަސް ",
    "އަހަރެން 25% ދެން، 3:45 (ރ.12) «ބަސް»؟ 👍🏽",
    "ދިވެހިdhivehi ދި12ވެ",
    "ަަަ ް",  # vowel signs without letters
    RUSSIAN,
    ENGLISH,
    "I'll say it isn't 'ދިވެހި'.",
    "සිංහල භාෂාව ශ්‍රී",
    "ភាសាខ្មែរ हिन्दी ไทย 日本語",
    "cafe\u0301 👩‍👩‍👧 \u200d\ufffd",
    "line\nbreak\ttab \n ",
    "",
]


def phrases(n, seed=1):
    rng = random.Random(seed)
    return [" ".join(dhivehi_phrase(rng).split()) for _ in range(n)]


def sample():
    return whisper.load_processor(BASE, "sinhalese", "transcribe")


def bilingual(n_merges=100):
    """Return a processor like Whisper's, timestamps and all, with merges of Russian and English."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=256 + n_merges, initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator([RUSSIAN, ENGLISH] * 2, trainer)
    merges = [tuple(merge) for merge in json.loads(trained.to_str())["model"]["merges"]]
    assert len(merges) == n_merges
    return with_merges(merges)


def with_merges(merges):
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges)]
    special = [token for token in sample().tokenizer.all_special_tokens if token != "<|endoftext|>"]
    tokenizer = WhisperTokenizer(
        vocab={token: id for id, token in enumerate(tokens)},
        merges=merges,
        pad_token="<|endoftext|>",
        extra_special_tokens=special,
    )
    tokenizer.add_tokens([AddedToken(f"<|{i * 0.02:.2f}|>", normalized=False) for i in range(151)])
    tokenizer.set_prefix_tokens(language="sinhalese", task="transcribe", predict_timestamps=False)
    return WhisperProcessor(sample().feature_extractor, tokenizer)


def extended(make=bilingual, n_tokens=80, sentences=None):
    """Return a processor with new tokens, the same without them, and the tokens."""
    processor, original = make(), make()
    new = vocabulary.extend(processor.tokenizer, sentences or phrases(300), n_tokens, set())
    return processor, original, new


def merges_of(processor):
    model = json.loads(processor.tokenizer.backend_tokenizer.to_str())["model"]
    return [tuple(merge) for merge in model["merges"]]


def ids_of(processor, text):
    return processor.tokenizer(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize("make, n_tokens, at_most", [(sample, 8, 0.85), (bilingual, 80, 0.4)])
def test_a_word_takes_fewer_ids(make, n_tokens, at_most):
    processor, original, new = extended(make, n_tokens)
    assert len(new) == n_tokens
    now, before = (vocabulary.ids_per_word(p.tokenizer, phrases(100, seed=2)) for p in (processor, original))
    assert now < at_most * before


def test_ids_are_counted_in_blocks(monkeypatch):
    monkeypatch.setattr(vocabulary, "BLOCK", 2)
    sentences = ["xy", "", "xyz", "x", "wxyz"]
    assert vocabulary.count_ids(sample().tokenizer, iter(sentences), special=False) == [2, 0, 3, 1, 4]
    # start, language, task, no timestamps; end of text
    assert vocabulary.count_ids(sample().tokenizer, sentences, special=True) == [7, 5, 8, 6, 9]


def test_ids_per_word_leaves_special_tokens_out():
    assert vocabulary.ids_per_word(sample().tokenizer, ["ab cd", "e"]) == 6 / 3  # a, b, space, c, d; e


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("make, n_tokens", [(sample, 8), (bilingual, 80)])
def test_every_text_can_still_be_written(make, n_tokens, text):
    processor, *_ = extended(make, n_tokens)
    tokenizer = processor.tokenizer
    assert tokenizer.decode(ids_of(processor, text)) == text
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text


@pytest.mark.parametrize("make, n_tokens", [(sample, 8), (bilingual, 80)])
def test_the_vocabulary_keeps_its_size_and_every_special_id(make, n_tokens):
    processor, original, new = extended(make, n_tokens)
    old, tokenizer = original.tokenizer, processor.tokenizer
    assert (len(tokenizer), tokenizer.vocab_size) == (len(old), old.vocab_size)
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(old)))
    assert tokenizer.get_added_vocab() == old.get_added_vocab()
    assert tokenizer.all_special_ids == old.all_special_ids
    assert tokenizer("").input_ids == old("").input_ids  # language and task
    bytes_ = pre_tokenizers.ByteLevel.alphabet()
    assert tokenizer.convert_tokens_to_ids(bytes_) == old.convert_tokens_to_ids(bytes_)
    assert [tokenizer.convert_ids_to_tokens(token.id) for token in new] == [token.token for token in new]
    assert max(token.id for token in new) < tokenizer.eos_token_id


def test_tokens_of_the_transcripts_keep_their_ids():
    processor, original, _ = extended(bilingual, 40, [RUSSIAN, *phrases(300)])
    for id in set(ids_of(original, RUSSIAN)):
        assert processor.tokenizer.convert_ids_to_tokens(id) == original.tokenizer.convert_ids_to_tokens(id)


def test_what_a_surviving_merge_is_made_of_stays():
    # Reserved is "à·ļ", made of "à·"; of the sample's 32 merges 30 are left.
    with pytest.raises(ValueError, match="model.extend_tokenizer to 30 or less"):
        vocabulary.extend(sample().tokenizer, phrases(300), 31, {263})
    processor = sample()
    new = vocabulary.extend(processor.tokenizer, phrases(300), 30, {263})
    assert {token.id for token in new} == {*range(257, 263), *range(264, 288)}
    assert processor.tokenizer.convert_ids_to_tokens([256, 263]) == ["à·", "à·ļ"]
    assert ids_of(processor, "ේ") == [263]


def test_an_added_word_keeps_its_id():
    processor = bilingual()
    last = "".join(merges_of(processor)[-1])
    id = processor.tokenizer.convert_tokens_to_ids(last)
    processor.tokenizer.backend_tokenizer.add_tokens([last])
    assert id in processor.tokenizer.added_tokens_decoder
    assert id not in {token.id for token in vocabulary.extend(processor.tokenizer, phrases(300), 80, set())}


def test_each_merge_is_the_most_frequent_one():
    """Against a recount from scratch; "aaaa", because its pairs overlap."""
    sentences = [*phrases(60), *["aaaa aaaaa abababab", "ไทย ภาษาไทย", "люди рождаются свободными"] * 5]
    processor, original, _ = extended(sentences=sentences)
    model, backend = original.tokenizer.backend_tokenizer.model, processor.tokenizer.backend_tokenizer
    words = Counter(w for s in sentences for w, _ in backend.pre_tokenizer.pre_tokenize_str(s))
    words = [([token.value for token in model.tokenize(word)], n) for word, n in words.items()]
    characters = {character.encode() for sentence in sentences for character in sentence}
    known, refused = set(original.tokenizer.get_vocab()), 0
    for merge in merges_of(processor)[-80:]:
        counts = Counter()
        for tokens, n in words:
            for pair in pairwise(tokens):
                counts[pair] += n
        ranked = sorted(counts, key=lambda pair: (-counts[pair], pair))
        assert merge == next(p for p in ranked if "".join(p) not in known and is_allowed(p, characters))
        refused += merge != ranked[0]
        known.add("".join(merge))
        words = [(joined(tokens, merge), n) for tokens, n in words]
    assert refused
    for tokens, _ in words:  # and the tokenizer writes what was learned
        assert [token.value for token in backend.model.tokenize("".join(tokens))] == tokens


def test_no_token_is_made_twice():
    processor = with_merges([("b", "c"), ("a", "b"), ("ab", "c"), ("x", "y")])
    assert processor.tokenizer.tokenize("abc") == ["a", "bc"]
    with pytest.raises(ValueError, match="0 tokens can be learned"):
        vocabulary.extend(processor.tokenizer, ["abc abc"], 1, set())


def is_allowed(pair, characters):
    """Whether a merge breaks no character that was not broken."""
    return is_intact("".join(pair), characters) or not all(is_intact(token, characters) for token in pair)


def is_intact(token, characters):
    data = bytes_of(token)
    return "\ufffd" not in data.decode(errors="replace") or any(data in character for character in characters)


def joined(tokens, pair):
    result = []
    for token in tokens:
        if result and (result[-1], token) == pair:
            result[-1] = "".join(pair)
        else:
            result.append(token)
    return result


def test_new_tokens_reach_over_vowel_signs_but_not_over_words():
    processor, _, tokens = extended()
    texts = [processor.tokenizer.decode([token.id]) for token in tokens]
    assert not [text for text in texts if " " in text[1:] or "\ufffd" in text]
    assert [text for text in texts if sum("\u07a6" <= character <= "\u07b0" for character in text) > 2]


def test_pieces_are_what_the_pretrained_tokenizer_writes():
    processor, original, new = extended()
    for token in new:
        text = processor.tokenizer.decode([token.id])
        assert token.pieces == ids_of(original, text) and len(token.pieces) > 1


def test_pieces_are_split_as_the_pretrained_tokenizer_splits():
    # It never joined letter and sign of ދި, though it has a merge over such a border, from ދދ. What is
    # built on that one is no text either, at first.
    processor, original = with_merges([("ĭ", "Þ"), ("a", "b"), ("c", "d")]), with_merges([("ĭ", "Þ")])
    new = {token.token: token.pieces for token in vocabulary.extend(processor.tokenizer, ["ދި ދި"], 2, set())}
    assert new["ÞĭÞ¨"] == original.tokenizer.convert_tokens_to_ids(["Þ", "ĭ", "Þ", "¨"])


def test_a_token_that_is_part_of_a_character_is_spelt_in_bytes():
    _, original, (first,) = extended(bilingual, 1, ["กขคงจ"] * 2)
    assert first.token == "à¸"  # the first two of three bytes
    assert first.pieces == original.tokenizer.convert_tokens_to_ids(["à", "¸"])


def test_saved_and_loaded_by_us_it_encodes_the_same(tmp_path):
    processor, _, new = extended()
    processor.save_pretrained(tmp_path)
    vocabulary.save(new, tmp_path)
    assert vocabulary.load(tmp_path) == new

    plain = WhisperProcessor.from_pretrained(tmp_path)
    sentence = phrases(1, seed=2)[0]
    ids = ids_of(processor, sentence)
    # Whoever loads it the plain way reads the same, and writes more.
    assert len(ids_of(plain, sentence)) > len(ids)
    for text in TEXTS:
        assert plain.tokenizer.decode(ids_of(processor, text)) == text
        assert plain.tokenizer.decode(ids_of(plain, text)) == text

    ours = vocabulary.load_tokenizer(tmp_path, "sinhalese", "transcribe")
    assert [ours(text).input_ids for text in TEXTS] == [processor.tokenizer(text).input_ids for text in TEXTS]
    ours.save_pretrained(tmp_path / "again")
    again = Tokenizer.from_file(str(tmp_path / "again/tokenizer.json"))  # as faster-whisper loads it
    assert again.encode(sentence, add_special_tokens=False).ids == ids


def test_a_model_with_learned_tokens_keeps_its_spelling_as_a_base_model(tmp_path):
    processor, _, _ = extended()
    model = whisper.load_model(BASE)
    model.resize_token_embeddings(len(processor.tokenizer))
    whisper.save(model, processor, tmp_path / "own")
    settings = json.loads((tmp_path / "own/generation_config.json").read_text())
    ids = {name for name in settings if name.endswith(("_id", "_to_id"))}
    (tmp_path / "own/generation_config.json").write_text(
        json.dumps({name: value for name, value in settings.items() if name not in ids})
    )
    checkpoint = base_model.check(tmp_path / "own", "own")
    whisper.save(*base_model.load(checkpoint), tmp_path / "pretrained")  # as the stage does
    filtered = vocabulary.load_tokenizer(tmp_path / "pretrained", "sinhalese", "transcribe")
    filtered.save_pretrained(tmp_path / "tokenizer")
    trained = vocabulary.load_tokenizer(tmp_path / "tokenizer", "sinhalese", "transcribe")
    for text in TEXTS:
        assert trained(text).input_ids == filtered(text).input_ids == processor.tokenizer(text).input_ids


def test_an_ordinary_checkpoint_is_left_as_it_is():
    before = WhisperProcessor.from_pretrained(BASE).tokenizer.backend_tokenizer.to_str()
    assert vocabulary.read_tokenizer(BASE).backend_tokenizer.to_str() == before
    assert vocabulary.load(BASE) == []


@pytest.mark.parametrize(
    "sentences, n_tokens, available",
    [
        (phrases(300), 33, 32),  # the sample's merges
        (["ދި ދި ހަވީރު"], 5, 3),  # ދ, ި and ދި; all else occurs once
        (["ab"], 1, 0),
    ],
)
def test_more_tokens_than_can_be_had_are_refused(sentences, n_tokens, available):
    processor = sample()
    with pytest.raises(ValueError, match=f"is {n_tokens}, .* model.extend_tokenizer to {available} or less"):
        vocabulary.extend(processor.tokenizer, sentences, n_tokens, set())
    assert len(vocabulary.extend(processor.tokenizer, sentences, available, set())) == available


def test_the_same_tokens_in_any_order_and_process():
    """Nine pairs as frequent as each other, among others."""
    sentences = [*phrases(6), "ކގ ހސ ނޅ", "ނޅ ކގ ހސ"]
    expected = vocabulary.extend(sample().tokenizer, sentences, 30, set())
    assert vocabulary.extend(sample().tokenizer, sentences[::-1], 30, set()) == expected
    code = f"""
from asr.model import vocabulary
tokenizer = vocabulary.load_tokenizer({str(BASE)!r}, "sinhalese", "transcribe")
print(vocabulary.extend(tokenizer, {sentences}, 30, set()))
"""
    environment = os.environ | {"PYTHONHASHSEED": "13", "PYTHONUTF8": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment, capture_output=True, encoding="utf-8"
    )
    assert run.stdout.strip() == str(expected), run.stderr


def test_embeddings_start_at_the_mean_of_their_pieces():
    model, processor = whisper.load_model(BASE), sample()
    new = vocabulary.extend(processor.tokenizer, phrases(300), 8, set())
    # One whose piece is an id that another token has got, after that one was written.
    new.append(vocabulary.NewToken(256, "x", [new[0].id, 5]))
    new = [token for token in new[:-1] if token.id != 256] + new[-1:]
    before = model.model.decoder.embed_tokens.weight.detach().clone()
    whisper.seed_embeddings(model, new)
    after = model.model.decoder.embed_tokens.weight
    for token in new:
        torch.testing.assert_close(after[token.id], before[token.pieces].mean(dim=0))
    others = [id for id in range(len(before)) if id not in {token.id for token in new}]
    assert torch.equal(after[others], before[others])
    assert torch.equal(model.proj_out.weight, after)
    assert after.requires_grad and after.is_leaf
