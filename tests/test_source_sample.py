import os
import subprocess
import sys
from collections import Counter

import pytest

from asr.audio.decode import decode
from asr.sources import sample
from asr.synthesis.thaana import to_sinhala
from tests.recipes import REPOSITORY, checked_corpus

PARAMS = {
    "train_clips": 18, "train_voices": 12, "test_clips": 12, "test_voices": 6, "bad_clips": 2, "seed": 4
}  # fmt: skip
FEW = {"train_clips": 1, "train_voices": 1, "test_clips": 1, "test_voices": 1, "bad_clips": 0, "seed": 1}


@pytest.fixture(scope="module")
def corpus():
    return list(sample.clips(checked_corpus("sample", **PARAMS)))


@pytest.fixture(scope="module")
def durations_s(corpus):
    """Seconds of each clip by id; None if it cannot be decoded."""
    found = {}
    for clip in corpus:
        try:
            samples, rate = decode(clip.audio)
        except ValueError:
            found[clip.id] = None
        else:
            assert rate == 48_000
            found[clip.id] = len(samples) / rate
    return found


def test_it_has_the_clips_and_speakers_that_were_asked_for(corpus):
    assert Counter(clip.split for clip in corpus) == {"test": 12, "train": 18 + 4 * 2}
    assert len({clip.speaker for clip in corpus if clip.split == "test"}) == 6
    assert len({clip.speaker for clip in corpus if clip.split == "train"}) == 12
    assert len({clip.id for clip in corpus}) == len(corpus)


def test_test_shares_no_voice_and_no_sentence_with_train(corpus):
    test, train = ([clip for clip in corpus if clip.split == split] for split in ("test", "train"))
    assert not {clip.speaker for clip in test} & {clip.speaker for clip in train}
    assert not {clip.sentence for clip in test} & {clip.sentence for clip in train}


def test_a_sentence_of_test_is_drawn_again_for_train(monkeypatch):
    drawn = iter(["އެކެއް", "  އެކެއް ", "އެކެއް", "ދޭއް"])
    monkeypatch.setattr(sample, "dhivehi_phrase", lambda rng: next(drawn))
    clips = list(sample.clips(checked_corpus("sample", **FEW)))
    assert [(clip.split, clip.sentence) for clip in clips] == [("test", "އެކެއް"), ("train", "ދޭއް")]


def test_a_phrase_that_takes_too_long_is_drawn_again(monkeypatch):
    drawn = iter([" ".join(["ހަތްދިހަ"] * 12), "އެކެއް", *["ދޭއް"] * 100])
    monkeypatch.setattr(sample, "dhivehi_phrase", lambda rng: next(drawn))
    assert next(sample.clips(checked_corpus("sample", **FEW))).sentence == "އެކެއް"


def test_ordinary_clips_fit_the_base_model_and_can_be_read(corpus, durations_s):
    for clip in corpus[:30]:
        assert 0.2 < durations_s[clip.id] <= sample.MAX_DURATION_S + 0.05  # mp3 fills its last frame
        assert clip.audio[:3] == b"ID3" or clip.audio[0] == 0xFF
        assert to_sinhala(clip.sentence)


def test_there_are_bad_clips_of_each_kind(corpus, durations_s):
    kinds = Counter()
    for clip in corpus[30:]:
        assert clip.split == "train"
        duration_s = durations_s[clip.id]
        kinds["empty"] += clip.audio == b""
        kinds["broken"] += clip.audio != b"" and duration_s is None
        kinds["over-long"] += duration_s is not None and 4 <= duration_s <= 8.1
        kinds["no sentence"] += clip.sentence == "" and duration_s is not None
    assert kinds == {"empty": 2, "broken": 2, "over-long": 2, "no sentence": 2}


def test_every_process_makes_the_same_bytes():
    # A few clips, and every voice that may speak: some of eSpeak NG's are different on each run.
    script = (
        "import hashlib; from asr.sources import sample; from tests.recipes import checked_corpus\n"
        "from asr.synthesis.espeak import espeak\n"
        f"spoken = list(sample.clips(checked_corpus('sample', **{PARAMS})))\n"
        "spoken += [espeak().say('පන්සාස්', variant, 170, 50, 50).tobytes()\n"
        "           for variant in sample.TRAINING_VARIANTS + sample.TEST_VARIANTS]\n"
        "print(hashlib.sha256(repr(spoken).encode()).hexdigest())\n"
    )

    def spoken(seed):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        return subprocess.check_output([sys.executable, "-c", script], cwd=REPOSITORY, env=environment)

    assert spoken("1") == spoken("2")


def test_another_seed_makes_another_corpus(corpus):
    other = list(sample.clips(checked_corpus("sample", **PARAMS | {"seed": 5})))
    assert [clip.sentence for clip in other] != [clip.sentence for clip in corpus]
    assert not {clip.speaker for clip in corpus} & {clip.speaker for clip in other}
