"""How a trained model is heard best: what is compared, which way is chosen, and where it is written."""

from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset

from asr.model import whisper
from asr.scoring import choice
from asr.training import hearing, smoothing
from asr.training.batches import PAUSE, Collator
from tests.recipes import REPOSITORY
from tests.trainers import params

BASE = REPOSITORY / "sample/base"
FRAMES, SENTENCE = 60, "one two"  # of every clip; three of them fill the sample's window of 300 frames
BOTH = {"padding": "longest", "full_window_fraction": 0.1}


class Clips:
    def __init__(self, count):
        self.speakers = np.arange(count) % 3

    def __len__(self):
        return len(self.speakers)

    def __getitem__(self, index):
        features = np.full((80, FRAMES), index[0], dtype=np.float16)
        return {"features": features, "sentence": SENTENCE, "frames": index[1]}


def choose(monkeypatch, fails, count=12, **changes):
    """Choose for a model that hears nothing where `fails`, of its padding and the clips at once, is true."""
    model, processor = whisper.load_model(BASE), whisper.load_processor(BASE, "sinhalese", "transcribe")
    whisper.set_language(model, "sinhalese", "transcribe")
    settings, asked = params(**changes), []
    model.config.padding = settings.padding

    def transcribe(model, processor, lengths, read, options):
        asked.append((model.config.padding, len(lengths)))
        counts = [(length + PAUSE) // (FRAMES + PAUSE) for length in lengths]
        heard = ["" if fails(model.config.padding, n) else " ".join([SENTENCE] * n) for n in counts]
        return [SimpleNamespace(text=text) for text in heard]

    monkeypatch.setattr(hearing, "transcribe", transcribe)
    collator = Collator(model.config, processor.tokenizer, whisper.window_frames(model))
    return hearing.choose(model, processor, Clips(count), collator, settings), model.config, asked


@pytest.mark.parametrize(
    ("fails", "padding", "pieces"),
    [
        (lambda padding, clips: False, "longest", "windows"),  # a tie is the cheaper's
        (lambda padding, clips: padding == "longest", "max_length", "windows"),
        (lambda padding, clips: padding == "max_length", "longest", "windows"),
        (lambda padding, clips: clips > 1, "longest", "utterances"),
        (lambda padding, clips: clips > 1 or padding == "longest", "max_length", "utterances"),
    ],
)
def test_the_better_way_is_chosen_and_written_into_the_configuration(monkeypatch, fails, padding, pieces):
    found, config, asked = choose(monkeypatch, fails, **BOTH)
    assert (config.padding, config.pieces) == (padding, pieces)
    assert (found["padding"]["chosen"], found["pieces"]["chosen"]) == (padding, pieces)
    assert [found[name]["compared"] for name in ("padding", "pieces")] == [12, 4]
    assert asked == [("longest", 12), ("max_length", 12), (padding, 4)]
    worst = {way for name in found for way in found[name] if found[name][way] == {"wer": 100.0, "cer": 100.0}}
    failing = [fails("longest", 1), fails("max_length", 1), fails(padding, 3), fails(padding, 1)]
    ways = ("longest", "max_length", "windows", "utterances")
    assert worst == {way for way, bad in zip(ways, failing, strict=True) if bad}


def test_only_what_the_training_leaves_open_is_compared(monkeypatch):
    def nothing(padding, clips):
        return False

    found, config, asked = choose(monkeypatch, nothing, padding="max_length", full_window_fraction=0.0)
    assert not found and not asked and not hasattr(config, "pieces")
    found, config, asked = choose(monkeypatch, nothing, padding="longest", full_window_fraction=0.0)
    assert list(found) == ["padding"] and not hasattr(config, "pieces")
    found, config, asked = choose(monkeypatch, nothing, padding="max_length", full_window_fraction=0.1)
    assert list(found) == ["pieces"] and asked == [("max_length", 12), ("max_length", 4)]


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [
        (["a"] * 4, ["a"] * 4, "first"),
        (["a b b b b b b", "a", "a", "a"], ["a"] * 4, "first"),  # one loop may be chance
        (["a b b b b b b", "a", "a", "a b"], ["a"] * 4, "second"),
        (["a b", "a b", "a", "a"], ["a", "a", "a b", "a"], "first"),  # two better, one worse: within chance
        (["a"], ["b"], "first"),
        (["b"], ["a"], "first"),
    ],
)
def test_a_difference_has_to_be_more_than_chance(first, second, chosen):
    found = choice.better_of({"first": first, "second": second}, ["a"] * len(first))
    assert found["chosen"] == chosen


def test_few_clips_of_all_speakers_and_places_are_heard(monkeypatch):
    heard = hearing.spread(Clips(1000))
    numbers = [int(clip["features"][0, 0]) for clip in heard]
    assert len(set(numbers)) == choice.CLIPS and 990 < max(numbers) and min(numbers) == 0
    speakers = [number % 3 for number in numbers]
    assert speakers == sorted(speakers) and min(np.bincount(speakers)) > 60
    assert len(hearing.spread(Clips(7))) == 7


@pytest.mark.parametrize(("wrong", "factor"), [(14, 0.0), (15, 0.1), (50, 0.1)])
def test_labels_are_smoothed_where_the_pretrained_model_has_30_percent_cer_or_more(
    monkeypatch, wrong, factor
):
    def transcribe(model, processor, lengths, read, options):
        assert len(lengths) == smoothing.CLIPS == 50 and options.max_new_tokens < 444
        return [SimpleNamespace(text="" if clip < wrong else SENTENCE) for clip in range(50)]

    monkeypatch.setattr(hearing, "transcribe", transcribe)
    model = whisper.load_model(BASE)
    whisper.set_language(model, "sinhalese", "transcribe")
    found = smoothing.choose(model, None, Clips(120), params())
    rate = 2.0 * wrong
    assert found == {"label_smoothing_factor": factor, "compared": 50, "wer": rate, "cer": rate}


def test_how_many_ids_speech_may_have_a_second(monkeypatch):
    """As many as 25 characters a second have, or twice the median clip's."""

    class Tokenizer:
        def __call__(self, texts, add_special_tokens):
            return SimpleNamespace(input_ids=[[7] * (3 * len(text) + add_special_tokens) for text in texts])

    def of(sentences, durations):
        rows = Dataset.from_dict({"sentence": sentences, "duration_s": durations})
        return hearing.max_ids_per_s(SimpleNamespace(sentences=rows), Tokenizer())

    assert of(["a" * 10] * 3, [1.0] * 3) == 75
    assert of(["a" * 20] * 2 + ["a" * 300], [1.0] * 3) == 120  # a text that is not its clip's
