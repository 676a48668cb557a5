"""A trainer on the sample's micro Whisper and random features."""

import numpy as np
import torch

from asr.model import whisper
from asr.params import Train, load_params
from asr.training import adaptation
from asr.training.arguments import make_trainer
from asr.training.batches import EpochSampler
from tests.recipes import REPOSITORY

BASE = REPOSITORY / "sample/base"
STEPS = {
    "max_steps": 3, "eval_steps": 3, "save_steps": 3, "logging_steps": 1, "warmup_steps": 0,
    "per_device_train_batch_size": 4, "learning_rate": 1e-3, "lr_scheduler_type": "constant_with_warmup",
    "weight_decay": 0.0, "generation_max_length": 8, "padding": "max_length", "full_window_fraction": 0.0,
}  # fmt: skip


def small_sampler(n_items: int, global_batch: int, seed: int) -> EpochSampler:
    return EpochSampler(np.full(n_items, 300), np.zeros(n_items, int), global_batch, seed, 0.0)


def params(**changes) -> Train:
    tree = load_params(REPOSITORY / "sample/params.yaml").train.model_dump() | STEPS
    for name, value in changes.items():
        tree[name] = tree[name] | value if isinstance(value, dict) else value
    return Train.model_validate(tree)


class RandomExamples(torch.utils.data.Dataset):
    """As asr/training/batches.py has them, of three speakers."""

    def __init__(self, count: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.lengths = rng.integers(100, 300, count)
        self.features = [rng.standard_normal((80, length)).astype(np.float32) for length in self.lengths]
        self.sentences = ["".join(rng.choice(list("abcdefgh"), rng.integers(2, 20))) for _ in range(count)]
        self.n_frames, self.speakers = self.lengths, np.arange(count) % 3

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index):
        item, frames = index
        return {"features": self.features[item], "sentence": self.sentences[item], "frames": frames}


def trainer_for(folder, settings: Train):
    torch.manual_seed(0)
    processor = whisper.load_processor(BASE, "sinhalese", "transcribe")
    model = adaptation.adapt(adaptation.load_for_training(BASE, settings), settings, [])
    return make_trainer(model, processor, RandomExamples(22, 1), RandomExamples(3, 2), settings, folder)


def trained(folder, **changes):
    torch.use_deterministic_algorithms(True)
    trainer = trainer_for(folder, params(**changes))
    trainer.train()
    weights = adaptation.merged(trainer.model).state_dict()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return trainer, weights, losses


def largest_difference(one, other) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in one)
