"""The synthetic corpus of the embedded recipe: number phrases in Thaana, spoken by eSpeak NG.

In the shape of Common Voice: 48 kHz mp3, speaker ids, splits, and a few clips that are unusable.
Test voices and test sentences never occur in train.
"""

import hashlib
import io
import random
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import soundfile

from asr.params import Sample
from asr.synthesis.phrases import dhivehi_phrase
from asr.synthesis.thaana import to_sinhala
from asr.synthesis.voices import TEST_VARIANTS, TRAINING_VARIANTS, Voice, draw_voice, speak
from asr.tables.corpus import Clip

SAMPLE_RATE = 48_000  # Hz, Common Voice's
MAX_DURATION_S = 2.9  # the sample's base model hears 3 s
OVER_LONG_S = (4.0, 8.0)
MP3_QUALITY = 0.9  # libsndfile's compression level, 0 to 1: about 50 kbit/s, and faster than its default
BROKEN_BYTES = 256  # what is left of a broken file: no whole frame
TRAINING_SPREAD = 1.8  # training voices vary more in pitch and vocal tract than the test's
WAITING = 64  # clips between the synthesiser and the encoders: bounds the memory


def clips(params: Sample) -> Iterator[Clip]:
    """Speak the corpus: test, train, then `bad_clips` of each kind, which belong to train too.

    The same bytes in every process, but only from its first call: what eSpeak NG says depends a little
    on what it said before.
    """
    # The synthesiser stays in this thread and in this order. Encoding takes longer, releases the
    # interpreter's lock, and goes on beside it.
    with ThreadPoolExecutor() as pool:
        waiting: deque[tuple[Clip, Future[bytes]]] = deque()
        for index, (clip, samples, damage) in enumerate(_speak_all(params)):
            clip = replace(clip, id=f"sample_dv_{index:08}.mp3")
            waiting.append((clip, pool.submit(encode, samples, damage)))
            if len(waiting) == WAITING:
                clip, audio = waiting.popleft()
                yield replace(clip, audio=audio.result())
        for clip, audio in waiting:
            yield replace(clip, audio=audio.result())


def encode(samples: np.ndarray, damage: str) -> bytes:
    """Encode float32 mono samples at 48 kHz to mp3; damage the file if told so ("empty" or "broken")."""
    if damage == "empty":
        return b""
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format="MP3", compression_level=MP3_QUALITY)
    return file.getvalue()[:BROKEN_BYTES] if damage == "broken" else file.getvalue()


def _speak_all(params: Sample) -> Iterator[tuple[Clip, np.ndarray, str]]:
    """Yield clips without id and audio, their samples at 48 kHz, and the damage to do to their files."""
    rng, noise = random.Random(params.seed), np.random.default_rng(params.seed)
    test_voices = [draw_voice(rng, TEST_VARIANTS) for _ in range(params.test_voices)]
    train_voices = [draw_voice(rng, TRAINING_VARIANTS, TRAINING_SPREAD) for _ in range(params.train_voices)]
    test_sentences: set[str] = set()

    def train_phrase() -> str:
        while (phrase := _phrase(rng)) in test_sentences:
            pass
        return phrase

    def several_phrases() -> str:
        return " ".join(train_phrase() for _ in range(rng.randint(3, 5)))

    for index in range(params.test_clips):
        voice = test_voices[index % len(test_voices)]
        sentence, samples = _say(lambda: _phrase(rng), voice, noise, 0, MAX_DURATION_S)
        test_sentences.add(sentence)
        yield _clip("test", voice, sentence), samples, ""
    for index in range(params.train_clips):
        voice = train_voices[index % len(train_voices)]
        sentence, samples = _say(train_phrase, voice, noise, 0, MAX_DURATION_S)
        yield _clip("train", voice, sentence), samples, ""
    for index in range(params.bad_clips):
        voice = train_voices[index % len(train_voices)]
        sentence, samples = _say(several_phrases, voice, noise, *OVER_LONG_S)
        yield _clip("train", voice, sentence), samples, ""
        for sentence_kept, damage in ((True, "empty"), (True, "broken"), (False, "")):
            sentence, samples = _say(train_phrase, voice, noise, 0, MAX_DURATION_S)
            yield _clip("train", voice, sentence if sentence_kept else ""), samples, damage


def _say(
    draw: Callable[[], str], voice: Voice, noise: np.random.Generator, shortest_s: float, longest_s: float
) -> tuple[str, np.ndarray]:
    """Draw sentences until one takes a voice the wanted time; returns it and its samples at 48 kHz."""
    while True:
        sentence = draw()
        samples = speak(to_sinhala(sentence), voice, noise, SAMPLE_RATE)
        if shortest_s <= len(samples) / SAMPLE_RATE <= longest_s:
            return sentence, samples


def _phrase(rng: random.Random) -> str:
    return " ".join(dhivehi_phrase(rng).split())  # so that equal sentences are equal strings


def _clip(split: str, voice: Voice, sentence: str) -> Clip:
    speaker = hashlib.sha256(repr(voice).encode()).hexdigest()
    return Clip(id="", split=split, speaker=speaker, sentence=sentence)
