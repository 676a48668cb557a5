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
from transformers import (
    WhisperConfig,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
    pipeline,
)

from asr.model import vocabulary, whisper
from asr.model.merges import bytes_of
from asr.synthesis.phrases import dhivehi_phrase
from tests.recipes import REPOSITORY
from tests.test_audio import speechlike

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


def merges_of(processor):
    model = json.loads(processor.tokenizer.backend_tokenizer.to_str())["model"]
    return [tuple(merge) for merge in model["merges"]]


def ids_of(processor, text):
    return processor.tokenizer(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize("make, n_tokens, at_most", [(sample, 8, 0.85), (bilingual, 80, 0.4)])
def test_a_word_takes_fewer_ids(make, n_tokens, at_most):
    train, test = phrases(300), phrases(100, seed=2)
    processor = make()
    before = vocabulary.ids_per_word(processor.tokenizer, test)
    assert len(vocabulary.extend(processor.tokenizer, train, n_tokens, set())) == n_tokens
    assert vocabulary.ids_per_word(processor.tokenizer, test) < at_most * before


def test_ids_are_counted_in_blocks(monkeypatch):
    monkeypatch.setattr(vocabulary, "BLOCK", 2)
    sentences = ["ab", "", "abc", "a", "abcd"]
    assert vocabulary.count_ids(sample().tokenizer, iter(sentences), special=False) == [2, 0, 3, 1, 4]
    # start, language, task, no timestamps; end of text
    assert vocabulary.count_ids(sample().tokenizer, sentences, special=True) == [7, 5, 8, 6, 9]


def test_ids_per_word_leaves_special_tokens_out():
    assert vocabulary.ids_per_word(sample().tokenizer, ["ab cd", "e"]) == 6 / 3  # a, b, space, c, d; e


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("make, n_tokens", [(sample, 8), (bilingual, 80)])
def test_every_text_can_still_be_written(make, n_tokens, text):
    processor = make()
    vocabulary.extend(processor.tokenizer, phrases(300), n_tokens, set())
    tokenizer = processor.tokenizer
    assert tokenizer.decode(ids_of(processor, text)) == text
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text


def test_what_went_is_spelt_with_its_parts():
    processor, original = bilingual(), bilingual()
    new = vocabulary.extend(processor.tokenizer, phrases(300), 80, set())
    assert set(ids_of(original, RUSSIAN)) & {token.id for token in new}
    assert len(ids_of(processor, RUSSIAN)) > len(ids_of(original, RUSSIAN))


@pytest.mark.parametrize("make, n_tokens", [(sample, 8), (bilingual, 80)])
def test_the_vocabulary_keeps_its_size_and_every_special_id(make, n_tokens):
    processor, original = make(), make()
    new = vocabulary.extend(processor.tokenizer, phrases(300), n_tokens, set())
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
    processor, original = bilingual(), bilingual()
    needed = set(ids_of(original, RUSSIAN))
    vocabulary.extend(processor.tokenizer, [RUSSIAN, *phrases(300)], 40, set())
    for id in needed:
        assert processor.tokenizer.convert_ids_to_tokens(id) == original.tokenizer.convert_ids_to_tokens(id)


def test_no_new_token_gets_a_reserved_id():
    free = {token.id for token in vocabulary.extend(bilingual().tokenizer, phrases(300), 20, set())}
    reserved = set(sorted(free)[::4])
    new = vocabulary.extend(bilingual().tokenizer, phrases(300), 20, reserved)
    assert len({token.id for token in new}) == 20
    assert not reserved & {token.id for token in new}


def test_what_a_surviving_merge_is_made_of_stays():
    # Reserved is "à·ļ", made of "à·"; of the sample's eight merges six are left.
    with pytest.raises(ValueError, match="model.extend_tokenizer to 6 or less"):
        vocabulary.extend(sample().tokenizer, phrases(300), 7, {263})
    processor = sample()
    new = vocabulary.extend(processor.tokenizer, phrases(300), 6, {263})
    assert {token.id for token in new} == {257, 258, 259, 260, 261, 262}
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
    processor, original = bilingual(), bilingual()
    vocabulary.extend(processor.tokenizer, sentences, 80, set())
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
    processor = bilingual()
    tokens = vocabulary.extend(processor.tokenizer, phrases(300), 80, set())
    texts = [processor.tokenizer.decode([token.id]) for token in tokens]
    assert not [text for text in texts if " " in text[1:] or "\ufffd" in text]
    assert [text for text in texts if sum("\u07a6" <= character <= "\u07b0" for character in text) > 2]


def test_pieces_are_what_the_pretrained_tokenizer_writes():
    processor, original = bilingual(), bilingual()
    for token in vocabulary.extend(processor.tokenizer, phrases(300), 80, set()):
        text = processor.tokenizer.decode([token.id])
        assert token.pieces == ids_of(original, text) and len(token.pieces) > 1


def test_pieces_are_split_as_the_pretrained_tokenizer_splits():
    # It never joined letter and sign of ދި, though it has a merge over such a border, from ދދ. What is
    # built on that one is no text either, at first.
    processor, original = with_merges([("ĭ", "Þ"), ("a", "b"), ("c", "d")]), with_merges([("ĭ", "Þ")])
    new = {token.token: token.pieces for token in vocabulary.extend(processor.tokenizer, ["ދި ދި"], 2, set())}
    assert new["ÞĭÞ¨"] == original.tokenizer.convert_tokens_to_ids(["Þ", "ĭ", "Þ", "¨"])


def test_a_token_that_is_part_of_a_character_is_spelt_in_bytes():
    processor, original = bilingual(), bilingual()
    first = vocabulary.extend(processor.tokenizer, ["กขคงจ"] * 2, 1, set())[0]
    assert first.token == "à¸"  # the first two of three bytes
    assert first.pieces == original.tokenizer.convert_tokens_to_ids(["à", "¸"])


def test_saved_and_loaded_by_us_it_encodes_the_same(tmp_path):
    processor = bilingual()
    new = vocabulary.extend(processor.tokenizer, phrases(300), 80, set())
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

    vocabulary.restore_pre_tokenizer(plain.tokenizer, tmp_path)
    plain.tokenizer.set_prefix_tokens(language="sinhalese", task="transcribe", predict_timestamps=False)
    assert [plain.tokenizer(text).input_ids for text in TEXTS] == [
        processor.tokenizer(text).input_ids for text in TEXTS
    ]
    plain.save_pretrained(tmp_path / "again")
    again = Tokenizer.from_file(str(tmp_path / "again/tokenizer.json"))  # as faster-whisper loads it
    assert again.encode(sentence, add_special_tokens=False).ids == ids


def test_an_ordinary_checkpoint_is_left_as_it_is(tmp_path):
    tokenizer = WhisperProcessor.from_pretrained(BASE).tokenizer
    before = tokenizer.backend_tokenizer.to_str()
    vocabulary.restore_pre_tokenizer(tokenizer, BASE)
    vocabulary.restore_pre_tokenizer(tokenizer, tmp_path)  # without a tokenizer.json
    other = json.loads((BASE / "tokenizer.json").read_text()) | {"pre_tokenizer": None}
    (tmp_path / "tokenizer.json").write_text(json.dumps(other))
    vocabulary.restore_pre_tokenizer(tokenizer, tmp_path)
    assert tokenizer.backend_tokenizer.to_str() == before
    assert vocabulary.load(BASE) == []


def test_no_tokens_change_nothing():
    processor = sample()
    before = processor.tokenizer.backend_tokenizer.to_str()
    assert vocabulary.extend(processor.tokenizer, phrases(10), 0, set()) == []
    assert processor.tokenizer.backend_tokenizer.to_str() == before


@pytest.mark.parametrize(
    "sentences, n_tokens, available",
    [
        (phrases(300), 9, 8),  # the sample's merges
        (["ދި ދި ހަވީރު"], 5, 3),  # ދ, ި and ދި; all else occurs once
        (["ab"], 1, 0),
    ],
)
def test_more_tokens_than_can_be_had_are_refused(sentences, n_tokens, available):
    processor = sample()
    before = processor.tokenizer.backend_tokenizer.to_str()
    with pytest.raises(ValueError, match=f"is {n_tokens}, .* model.extend_tokenizer to {available} or less"):
        vocabulary.extend(processor.tokenizer, sentences, n_tokens, set())
    assert processor.tokenizer.backend_tokenizer.to_str() == before
    assert len(vocabulary.extend(processor.tokenizer, sentences, available, set())) == available


def test_the_same_tokens_in_any_order_and_process():
    """Nine pairs as frequent as each other, among others."""
    sentences = [*phrases(40), "ކގ ހސ ނޅ", "ނޅ ކގ ހސ"]
    expected = vocabulary.extend(bilingual().tokenizer, sentences, 80, set())
    assert vocabulary.extend(bilingual().tokenizer, reversed(sentences), 80, set()) == expected
    code = (
        "import sys; from tests.test_vocabulary import bilingual, vocabulary\n"
        "print(vocabulary.extend(bilingual().tokenizer, sys.stdin.read().splitlines(), 80, set()))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONHASHSEED": "13", "PYTHONUTF8": "1"},
        input="\n".join(sentences),
        capture_output=True,
        encoding="utf-8",
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


@pytest.mark.parametrize("return_timestamps", [False, True])
def test_a_pipeline_reads_new_tokens_as_words(tmp_path, return_timestamps):
    processor = bilingual()
    new = vocabulary.extend(processor.tokenizer, phrases(300), 80, set())
    config = WhisperConfig.from_pretrained(BASE, vocab_size=len(processor.tokenizer))
    model = WhisperForConditionalGeneration(config)
    whisper.set_language(model, "sinhalese", "transcribe")
    model.generation_config.no_timestamps_token_id = processor.tokenizer.convert_tokens_to_ids(
        "<|notimestamps|>"
    )
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    recognizer = pipeline("automatic-speech-recognition", model=str(tmp_path))
    text = "ޖަނަވަރީ އެއްހާސް"
    words = ids_of(processor, text)
    assert {token.id for token in new} & set(words)
    marks = recognizer.tokenizer.convert_tokens_to_ids(["<|0.00|>", "<|1.00|>"])
    ids = [marks[0], *words, marks[1]] if return_timestamps else words
    ids = [*recognizer.tokenizer("").input_ids[:3], *ids, recognizer.tokenizer.eos_token_id]
    recognizer.model.generate = lambda **_: torch.tensor([ids])
    result = recognizer(speechlike(16_000), return_timestamps=return_timestamps)
    assert result["text"] == text
    if return_timestamps:
        assert result["chunks"] == [{"timestamp": (0.0, 1.0), "text": text}]
