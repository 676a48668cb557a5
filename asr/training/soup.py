"""A model soup (Wortsman et al. 2022): the mean of the weights of several trainings from one start."""

import math

import torch
from transformers import TrainerState

from asr.params import Train
from asr.scoring.choice import better_of
from asr.training import adaptation, hearing
from asr.training.trainer import WhisperTrainer


class Soup:
    """The mean weights of the trainings that were added, and those of the best one."""

    def __init__(self) -> None:
        self.trainings = 0
        self.state: TrainerState | None = None  # the history of the best on validation, the first of equals
        self.lowest = math.inf  # of the metric that chooses, of the checkpoints that were kept
        self.mean: dict[str, torch.Tensor] = {}
        self.best: dict[str, torch.Tensor] = {}

    def add(self, trainer: WhisperTrainer) -> None:
        """Add a training that has ended, its best checkpoint loaded."""
        trainer.model = adaptation.merged(trainer.model)
        weights = {name: weight.cpu() for name, weight in trainer.model.state_dict().items()}
        self.trainings += 1
        if (metric := trainer.kept_metric()) < self.lowest:
            self.state, self.lowest = trainer.state, metric
            self.best = {name: weight.clone() for name, weight in weights.items()}
        for name, weight in weights.items():
            self.mean.setdefault(name, torch.zeros_like(weight)).lerp_(weight, 1 / self.trainings)

    def serve(self, trainer: WhisperTrainer, params: Train) -> dict:
        """Give a trainer's model what hears validation better; returns how it was found, of `better_of`.

        A tie goes to the mean: what several trainings agree on is less a matter of chance.
        """
        weights, heard = {"mean": self.mean, "best": self.best}, {}
        clips = hearing.spread(trainer.eval_dataset)
        for way in weights:
            trainer.model.load_state_dict(weights[way])
            heard[way] = hearing.heard(trainer.model, trainer.processing_class, clips, params)
        found = better_of(heard, [clip["sentence"] for clip in clips])
        trainer.model.load_state_dict(weights[found["chosen"]])
        return {"trainings": self.trainings, **found}
