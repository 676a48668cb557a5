"""Our way: the stages' own functions, on the recipe in the current folder, taking turns with the notebook's.

python -m benchmarks.ours prepare ROUNDS | train STEPS_PER_TURN | evaluate ROUNDS
"""

import json
import time
from functools import partial
from pathlib import Path

import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from asr.audio.decode import decode, resample
from asr.audio.log_mel import SAMPLE_RATE
from asr.model import whisper
from asr.params import Params
from asr.tables.features import FEATURES as SCHEMA
from asr.tables.rows import read_rows
from asr.tables.shards import read_shards, write_shards
from asr.training import resuming
from benchmarks import turns
from stages.featurize import featurize
from stages.train import finished_model, smooth
from stages.train import prepare as prepare_training
from stages.transcribe import transcribe_rows

RAW, FEATURES, TEST = Path("data/raw"), Path("data/features"), Path("data/filtered/test.csv")
PRETRAINED, MODEL = Path("data/pretrained"), Path("data/model")
CHECKPOINTS, HEARD, PLAIN = Path("checkpoints"), Path("ours.json"), Path("plain.json")


def prepare(params: Params, rounds: int) -> dict:
    """Turn all clips into features, so many times over."""
    extractor, raw = whisper.read_extractor(PRETRAINED), read_shards(RAW)
    for _ in range(rounds):
        with turns.turn(len(raw)):
            for name in params.corpora:
                write_shards(FEATURES / name, featurize(read_shards(RAW / name), extractor), SCHEMA)
    clips = raw["audio"][:]
    begun = time.perf_counter()
    for clip in clips:
        decode(clip)
    return {
        "bytes": sum(file.stat().st_size for file in FEATURES.rglob("*.arrow")),
        "decoding_alone": (time.perf_counter() - begun) / len(clips),
    }


def train(params: Params, steps_per_turn: int) -> dict:
    """Train for `train.max_steps`; validation and what it decides come after the last turn."""
    params, _ = smooth(params)
    trainer = prepare_training(params, CHECKPOINTS)
    turns.train(trainer, steps_per_turn, partial(resuming.train_from, trainer, None))
    model, _ = finished_model(trainer, params)
    whisper.save(model, trainer.processing_class, MODEL)
    return {}


def evaluate(params: Params, rounds: int) -> dict:
    """Transcribe the test rows, so many times over, and once more the plain way."""
    processor = whisper.load_processor(MODEL, params.model.language, params.model.task)
    model = whisper.load_for_transcription(MODEL)
    rows = read_rows(FEATURES, TEST)
    for _ in range(rounds):
        with turns.turn(len(rows)):
            heard = [hypothesis.text for hypothesis in transcribe_rows(model, processor, rows, params, None)]
    plain = transcribe_plainly(model, processor, params)
    HEARD.write_text(json.dumps(heard, ensure_ascii=False))
    PLAIN.write_text(json.dumps(plain, ensure_ascii=False))
    return {"clips": len(rows), "same_as_plain": sum(map(str.__eq__, heard, plain))}


def transcribe_plainly(
    model: WhisperForConditionalGeneration, processor: WhisperProcessor, params: Params
) -> list[str]:
    """Transcribe the test rows one by one, padded to the window, as other programs do."""
    texts = []
    for clip in read_rows(RAW, TEST):
        samples = resample(*decode(clip["audio"]))
        inputs = processor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        with torch.inference_mode():
            ids = model.generate(
                inputs.input_features.to(model.device, model.dtype),
                language=params.model.language,
                task=params.model.task,
                max_new_tokens=params.transcribe.max_new_tokens,
                num_beams=params.transcribe.num_beams,
            )
        texts.append(processor.decode(ids[0], skip_special_tokens=True).strip())
    return texts


if __name__ == "__main__":
    turns.serve([prepare, train, evaluate])
