"""The language model: its probabilities, its part in the search, the text that it is counted in, its file."""

import json
import shutil
from collections import Counter, defaultdict
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from asr.commands.transcribe.transcriber import Transcriber
from asr.decoding import transcribe
from asr.language_model import fitting, fusion, text
from asr.language_model.fusion import Fusion
from asr.language_model.ngrams import count
from asr.model.search import DecodingOptions
from asr.model.vocabulary import read_tokenizer
from asr.model.whisper import load_model, load_processor
from asr.tables.rows import read_rows
from tests.recipes import REPOSITORY, Recipe

BASE = REPOSITORY / "sample/base"
END = 288  # of text in the sample's tokenizer; the ids below are text
SIZE = 7  # of a toy's text


def kneser_ney(lines, order):
    """Return the definition's P(word | context), by sets and dictionaries."""
    grams = [
        Counter((SIZE, *line)[at : at + n] for line in lines for at in range(len(line) + 2 - n))
        for n in range(1, order + 1)
    ]
    counts = [grams[-1]]
    for lower, higher in zip(grams[-2::-1], grams[:0:-1], strict=True):
        before = defaultdict(set)
        for gram in higher:
            before[gram[1:]].add(gram[0])
        counts.insert(0, {gram: n if gram[0] == SIZE else len(before[gram]) for gram, n in lower.items()})
    counts[0].pop((SIZE,))
    numbers = [[list(of.values()).count(n) for n in (1, 2)] for of in counts]
    discounts = [
        Fraction(once, once + 2 * twice) if once and twice else Fraction(1, 2) for once, twice in numbers
    ]

    def probability(word, context):
        lower = probability(word, context[1:]) if context else Fraction(1, SIZE)
        n = len(context)
        seen = {gram[-1]: number for gram, number in counts[n].items() if gram[:-1] == context}
        if not seen:
            return lower
        taken = max(seen.get(word, 0) - discounts[n], 0) + discounts[n] * len(seen) * lower
        return taken / sum(seen.values())

    return probability


def dense(ngrams, contexts):
    """Return the probabilities of all ids after each context."""
    rows = []
    for factor, ids, probabilities in ngrams.following(np.array(contexts)):
        rows.append(ngrams.unigram * factor)
        rows[-1][ids] = probabilities
    return np.array(rows)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_are_those_of_kneser_ney_and_sum_to_one(order):
    random = np.random.default_rng(order)
    lines = [tuple(random.integers(0, SIZE - 1, random.integers(1, 9)).tolist()) for _ in range(40)]
    ngrams, expected = count(lines, order, SIZE), kneser_ney(lines, order)
    contexts = [[1, 2, 3, 4, 5], [9, 9, 9, 9, SIZE], [9, 9, SIZE, 0, 1], [3, 6, 6, 3, 3], [5, 5, 5, 5, 6]]
    found = dense(ngrams, contexts)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    for row, context in zip(found, contexts, strict=True):
        near = tuple(min(id, SIZE) for id in context)[len(context) - order + 1 :]
        np.testing.assert_allclose(row, [float(expected(id, near)) for id in range(SIZE)])


def test_a_toy_that_was_computed_by_hand():
    """Of `0 1` and `0 2`: each id has one left neighbour, which of 0 is the beginning of a line."""
    ngrams = count([(0, 1), (0, 2)], 2, 4)
    # Counts of 0, 1, 2 and 3: 1, 1, 1, 0. The discount is 1/2: (1/2 + 1/2 * 3 / 4) / 3 and (1/2 * 3 / 4) / 3.
    np.testing.assert_allclose(ngrams.unigram, np.array([7, 7, 7, 3]) / 24)
    # Of (begin, 0) there are 2, of (0, 1) and (0, 2) 1: the discount is 2 / (2 + 2 * 1).
    np.testing.assert_allclose(dense(ngrams, [[4]])[0], np.array([79, 7, 7, 3]) / 96)
    np.testing.assert_allclose(dense(ngrams, [[0]])[0], np.array([7, 19, 19, 3]) / 48)


def test_a_step_of_the_search_adds_what_the_definition_says():
    lines = [(0, 1, 2), (0, 1, 3), (4, 1)]
    expected = kneser_ney(lines, 3)
    prompt, scores = [8, 9, 10], torch.randn(3, 12, generator=torch.Generator().manual_seed(0))
    scores[0, 5] = -torch.inf  # suppressed
    texts = [[0, 1], [5, 4], [1, SIZE]]  # the last has ended
    found = Fusion(count(lines, 3, SIZE), 0.5)(torch.tensor([prompt + ids for ids in texts]), scores)
    for before, after, context in zip(scores, found, [(0, 1), (5, 4), (1, SIZE)], strict=True):
        gains = [0.5 * float(np.log(float(expected(id, context)))) for id in range(SIZE)]
        of_text = before[:SIZE] + torch.tensor(gains)
        others = before[SIZE:] + of_text.max() - before[:SIZE].max()
        torch.testing.assert_close(after, torch.cat([of_text, others]))


@pytest.fixture(scope="module")
def loaded():
    return load_model(BASE).eval(), load_processor(BASE, "sinhalese", "transcribe")


def heard(loaded, beams, language_model):
    clip = np.random.default_rng(0).standard_normal((80, 200)).astype(np.float16)
    options = DecodingOptions("sinhalese", "transcribe", 1, 12, beams, language_model)
    return transcribe(*loaded, [200], lambda index: clip, options)[0].text


@pytest.mark.parametrize("beams", [1, 3])
def test_what_is_heard_is_pulled_to_the_text(loaded, beams):
    tokenizer = loaded[1].tokenizer
    sentence = heard(loaded, beams, None)
    other = "".join(reversed(sentence))
    ngrams = count(text.encode([other] * 9, tokenizer), 8, END)
    assert heard(loaded, beams, Fusion(ngrams, 0.0)) == sentence
    assert not sentence.startswith(other[:2])
    assert heard(loaded, beams, Fusion(ngrams, 50.0)).startswith(other[:2])


def test_lines_with_a_held_out_sentence_are_known():
    held_out = text.HeldOut(["Ο καφές, μαύρος!", "Ναι.", "Έξι μικρά παιδιά τρέχουν"])
    found = ["ο ΚΑΦΈΣ μαύρος", "ναι", "Χθες: «Ο καφές μαύρος» ήταν", "Πέντε έξι μικρά παιδιά τρέχουν."]
    left = ["Ναι, ίσως", "ο καφές ήταν μαύρος", "έξι μικρά παιδιά", "καφές μαύρος"]
    assert [held_out.is_in(line) for line in found + left] == [True] * 4 + [False] * 4


def test_text_is_read_from_a_file_or_a_folder_and_its_faults_are_named(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b/two.txt").write_bytes("\ufeffΔύο  λέξεις\r\n\r\n—\r\n".encode())
    (tmp_path / "one.txt").write_text("Μία\n")
    (tmp_path / "other.csv").write_text("not read")
    assert list(text.lines(tmp_path)) == ["Δύο λέξεις", "Μία"]
    assert list(text.lines(tmp_path / "one.txt")) == ["Μία"]
    (tmp_path / "one.txt").write_bytes("Μία\nλέξη\n".encode("iso8859-7"))
    with pytest.raises(ValueError, match="one.txt, line 1: not UTF-8"):
        list(text.lines(tmp_path / "one.txt"))
    (tmp_path / "one.txt").write_text("—\n")
    with pytest.raises(ValueError, match="one.txt: there is no word in it"):
        list(text.lines(tmp_path / "one.txt"))


def test_special_ids_that_a_text_spells_out_are_text(loaded):
    ids = list(text.encode(["a<|endoftext|>b"], loaded[1].tokenizer))
    assert ids[0] and max(ids[0]) < END


def test_a_model_s_folder_keeps_it_and_another_model_s_is_refused(loaded, tmp_path):
    tokenizer = loaded[1].tokenizer
    kept = Fusion(count([(1, 2, 3), (1, 2)], 3, END), 0.3)
    folders = [shutil.copytree(BASE, tmp_path / name) for name in ("a", "b")]
    assert fusion.load(folders[0], tokenizer) is None
    for folder in folders:
        fusion.save(kept, tokenizer, folder)
    files = [folder / fusion.FILE for folder in folders]
    assert files[0].read_bytes() == files[1].read_bytes()
    used = Transcriber(folders[0], "sinhalese", 1, 1).options.language_model
    assert used.weight == 0.3
    np.testing.assert_array_equal(dense(used.ngrams, [[1, 2]]), dense(kept.ngrams, [[1, 2]]))

    vocabulary = tokenizer.get_vocab() | {"new": 1}
    with pytest.raises(ValueError, match="ids of another tokenizer"):
        fusion.load(folders[0], SimpleNamespace(get_vocab=lambda: vocabulary))
    files[0].write_bytes(files[1].read_bytes()[:-30])
    with pytest.raises(ValueError, match="language_model.npz is damaged"):
        fusion.load(folders[0], tokenizer)


@pytest.mark.parametrize(
    ("without", "of_weights", "chosen"),
    [
        ("xb", {}, 0.0),  # a tie
        ("xb", {0.2: "ab", 0.3: "ab"}, 0.2),
        ("ab", {0.2: "xb"}, 0.0),
    ],
)
def test_the_weight_is_the_best_on_validation_and_0_wins_ties(without, of_weights, chosen):
    def heard(fused):
        return [without if fused is None else of_weights.get(fused.weight, "xx")] * 9

    found, figures = fitting.choose(count([(1,)], 1, END), heard, ["ab"] * 9)
    assert (found.weight if found else 0.0) == figures["weight"] == chosen


def test_package_makes_it_and_transcribe_uses_it(finished, tmp_path):
    """Without, the folder is that of the training, but for its settings."""
    recipe = Recipe(tmp_path, {})
    recipe.share(finished)
    trained, model = recipe.folder / "data/trained", recipe.folder / "data/model"
    trained.symlink_to(finished.folder / "data/trained")
    recipe.run("package")
    assert {path.name: path.read_bytes() for path in model.iterdir()} == {
        **{path.name: path.read_bytes() for path in trained.iterdir()},
        "generation_config.json": (finished.folder / "data/model/generation_config.json").read_bytes(),
    }
    assert json.loads((recipe.folder / "metrics/package.json").read_text()) == {}

    features, filtered = recipe.folder / "data/features", recipe.folder / "data/filtered"
    roles = ("train", "validation", "test")
    rows = {role: read_rows(features, filtered / f"{role}.csv")["sentence"][:] for role in roles}
    lines = [*rows["test"], *rows["validation"], "އެއް ދެ ތިން", "ހަތަރު"]
    (recipe.folder / "text.txt").write_text("\n".join(lines))
    recipe.set({"transcribe.language_model.path": "text.txt", "transcribe.language_model.order": 3})
    recipe.run("package")
    figures = json.loads((recipe.folder / "metrics/package.json").read_text())
    assert figures["text"] == {"lines": 2, "words": 4}
    assert figures["text_left_out"]["lines"] == len(lines) - 2
    assert figures["transcripts"]["lines"] == len(rows["train"])
    assert (model / fusion.FILE).exists() == (figures["weight"] > 0)

    tokenizer = read_tokenizer(model)
    pull = Fusion(count(text.encode(["ހަތަރު"] * 9, tokenizer), 8, tokenizer.eos_token_id), 50.0)
    fusion.save(pull, tokenizer, model)
    recipe.run("transcribe", "data/model", "data/transcripts/finetuned.jsonl")
    written = (recipe.folder / "data/transcripts/finetuned.jsonl").read_text().splitlines()
    assert {json.loads(line)["hypothesis"][:1] for line in written} - {""} == {"ހ"}

    recipe.set({"transcribe.language_model.order": 0})
    recipe.run("package")
    assert not (model / fusion.FILE).exists()
