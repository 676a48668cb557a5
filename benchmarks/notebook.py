"""The notebook's way: what it does with each clip, in its order, with its settings.

Written after the "Fine-tuning Whisper" chapter of the Hugging Face audio course. Different are only

- names that transformers 5 has changed (`eval_strategy`, `processing_class`);
- decoding, by soundfile and soxr: what `datasets` called at the time, and less than today's wants;
- the metric, by jiwer, which `evaluate.load("wer")` is too, but fetches from the network;
- no evaluation in training and no upload; half precision only where there is a GPU for it.

Its corpus, checkpoint, language, batch size, steps and rate are those of the recipe in the current folder.

    python -m benchmarks.notebook prepare ROUNDS | train STEPS_PER_TURN | evaluate ROUNDS
"""

import io
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jiwer
import soundfile
import soxr
import torch
from datasets import Dataset, DatasetDict
from transformers import (
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    WhisperForConditionalGeneration,
    WhisperProcessor,
)
from transformers.models.whisper.english_normalizer import BasicTextNormalizer

from asr.params import Params
from asr.tables.shards import read_shards
from benchmarks import turns

RAW, PRETRAINED = Path("data/raw"), Path("data/pretrained")
PREPARED, MODEL, HEARD = Path("notebook/prepared"), Path("notebook/model"), Path("notebook/heard.json")
SPLITS = {"train": ("train", "validation"), "test": ("test",)}  # train+validation is trained on
MAX_INPUT_LENGTH = 30.0  # seconds


def load_processor(params: Params) -> WhisperProcessor:
    return WhisperProcessor.from_pretrained(
        PRETRAINED, language=params.model.language, task=params.model.task
    )


def prepare_dataset(example: dict, processor: WhisperProcessor) -> dict:
    samples, rate = soundfile.read(io.BytesIO(example["audio"]))
    if samples.ndim > 1:
        samples = samples.mean(axis=1)
    sampling_rate = processor.feature_extractor.sampling_rate
    samples = soxr.resample(samples, rate, sampling_rate, quality="HQ")
    example = processor(audio=samples, sampling_rate=sampling_rate, text=example["sentence"])
    example["input_length"] = len(samples) / sampling_rate
    return example


def prepare(params: Params, rounds: int) -> dict:
    """Turn all clips into padded features and labels, so many times over."""
    processor, raw = load_processor(params), read_shards(RAW)
    splits = raw["split"][:]
    common_voice = DatasetDict(
        {
            role: raw.select([i for i, split in enumerate(splits) if split in of_role])
            for role, of_role in SPLITS.items()
        }
    ).select_columns(["audio", "sentence"])
    PREPARED.mkdir(parents=True)
    for _ in range(rounds):
        with turns.turn(len(raw)):
            prepared = common_voice.map(
                partial(prepare_dataset, processor=processor),
                remove_columns=common_voice.column_names["train"],
                num_proc=1,
                load_from_cache_file=False,
                cache_file_names={role: str(PREPARED / f"{role}.arrow") for role in common_voice},
            )
            prepared["train"].filter(
                lambda length: length < MAX_INPUT_LENGTH, input_columns=["input_length"], keep_in_memory=True
            )
    return {"bytes": sum(file.stat().st_size for file in PREPARED.iterdir())}


@dataclass
class DataCollatorSpeechSeq2SeqWithPadding:
    processor: Any

    def __call__(self, features: list[dict]) -> dict[str, torch.Tensor]:
        input_features = [{"input_features": feature["input_features"][0]} for feature in features]
        batch = self.processor.feature_extractor.pad(input_features, return_tensors="pt")
        label_features = [{"input_ids": feature["labels"]} for feature in features]
        labels_batch = self.processor.tokenizer.pad(label_features, return_tensors="pt")
        labels = labels_batch["input_ids"].masked_fill(labels_batch.attention_mask.ne(1), -100)
        if (labels[:, 0] == self.processor.tokenizer.bos_token_id).all().cpu().item():
            labels = labels[:, 1:]
        batch["labels"] = labels
        return batch


def compute_metrics(prediction, processor: WhisperProcessor) -> dict[str, float]:
    normalizer = BasicTextNormalizer()
    label_ids = prediction.label_ids
    label_ids[label_ids == -100] = processor.tokenizer.pad_token_id
    heard = processor.batch_decode(prediction.predictions, skip_special_tokens=True)
    said = processor.batch_decode(label_ids, skip_special_tokens=True)
    wer_ortho = 100 * jiwer.wer(said, heard)
    pairs = [(normalizer(s), normalizer(h)) for s, h in zip(said, heard, strict=True)]
    pairs = [pair for pair in pairs if len(pair[0]) > 0]
    return {"wer_ortho": wer_ortho, "wer": 100 * jiwer.wer([s for s, _ in pairs], [h for _, h in pairs])}


def make_trainer(params: Params, checkpoint: Path) -> Seq2SeqTrainer:
    processor = load_processor(params)
    model = WhisperForConditionalGeneration.from_pretrained(checkpoint)
    model.config.use_cache = False
    model.generate = partial(
        model.generate, language=params.model.language, task=params.model.task, use_cache=True
    )
    training_args = Seq2SeqTrainingArguments(
        output_dir="notebook/checkpoints",
        per_device_train_batch_size=params.train.per_device_train_batch_size,
        gradient_accumulation_steps=1,
        learning_rate=params.train.learning_rate,
        lr_scheduler_type=params.train.lr_scheduler_type,
        warmup_steps=params.train.warmup_steps,
        max_steps=params.train.max_steps,
        gradient_checkpointing=True,
        fp16=torch.cuda.is_available(),
        fp16_full_eval=torch.cuda.is_available(),
        eval_strategy="no",
        save_strategy="no",
        per_device_eval_batch_size=16,
        predict_with_generate=True,
        generation_max_length=225,
        logging_steps=25,
        report_to=["tensorboard"],
    )
    prepared = {role: Dataset.from_file(str(PREPARED / f"{role}.arrow")) for role in SPLITS}
    return Seq2SeqTrainer(
        args=training_args,
        model=model,
        train_dataset=prepared["train"],
        eval_dataset=prepared["test"],
        data_collator=DataCollatorSpeechSeq2SeqWithPadding(processor=processor),
        compute_metrics=partial(compute_metrics, processor=processor),
        processing_class=processor,
    )


def train(params: Params, steps_per_turn: int) -> dict:
    """Train for `train.max_steps`."""
    trainer = make_trainer(params, PRETRAINED)
    turns.train(trainer, steps_per_turn, trainer.train)
    trainer.save_model(str(MODEL))
    return {}


def evaluate(params: Params, rounds: int) -> dict:
    """Evaluate on the test split, so many times over; writes what was heard, in the corpus' order."""
    trainer = make_trainer(params, MODEL)
    for _ in range(rounds):
        with turns.turn(len(trainer.eval_dataset)):
            output = trainer.predict(trainer.eval_dataset)
    ids = output.predictions
    ids[ids == -100] = trainer.processing_class.tokenizer.pad_token_id
    texts = trainer.processing_class.batch_decode(ids, skip_special_tokens=True)
    HEARD.write_text(json.dumps([text.strip() for text in texts], ensure_ascii=False))
    return {name.removeprefix("test_"): value for name, value in output.metrics.items() if "wer" in name}


if __name__ == "__main__":
    turns.serve([prepare, train, evaluate])
