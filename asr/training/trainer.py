"""Hugging Face's trainer, with steps and scores that do not depend on how rows are divided into batches."""

from operator import itemgetter

import numpy as np
import torch
from transformers import Seq2SeqTrainer, StoppingCriteriaList, TrainerCallback

from asr.model.loops import EndLoops
from asr.model.whisper import most_ids
from asr.training.batches import NO_LOSS, EpochSampler, Examples, frames_alone


class WhisperTrainer(Seq2SeqTrainer):
    """A trainer to which a batch, the same accumulated, and the same over several processes are one step.

    Joined clips are the exception: which of them share a window depends on the batch that they are in.
    """

    def __init__(self, *args, padding: str, full_window_fraction: float, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.padding, self.full_window_fraction = padding, full_window_fraction

    def _frames(self, examples: Examples) -> np.ndarray:
        return frames_alone(examples.n_frames, self.model.config, self.data_collator.window, self.padding)

    def _get_train_sampler(self, train_dataset: Examples | None = None) -> EpochSampler:
        args = self.args
        global_batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
        data = self.train_dataset
        frames = self._frames(data)
        sampler = EpochSampler(frames, data.speakers, global_batch, args.seed, self.full_window_fraction)
        self.add_callback(EpochOrder(sampler, len(sampler) // global_batch))
        return sampler

    def _get_eval_sampler(self, eval_dataset: Examples) -> list[tuple[int, int]]:
        """Validate clips of similar length together, the shortest first.

        Several processes fill the last batch up with the first clips, which then do not lengthen it.
        """
        frames = self._frames(eval_dataset)
        return [(int(item), int(frames[item])) for item in np.argsort(frames, kind="stable")]

    def evaluation_loop(self, *args, **kwargs):
        """Score every row once, however many fill up the last batches of several processes.

        Seq2SeqTrainer scores those twice. Its loss is a mean of batches' means, which depends on the batches;
        here it is the mean over all label ids, without label smoothing.
        """
        self.gather_function = self.accelerator.gather_for_metrics
        self.row_losses = []
        output = super().evaluation_loop(*args, **kwargs)
        loss, n_labels = torch.cat(self.row_losses).double().sum(dim=0)
        output.metrics["eval_loss"] = (loss / n_labels).item()
        return output

    def _determine_best_metric(self, metrics: dict[str, float], trial: object) -> bool:
        """Mark this step as the best one unless another is better by more than its standard error.

        The one-standard-error rule (Breiman et al. 1984), with the latest step in the place of the simplest
        model: few validation clips tell little, and a rate that falls makes the last steps the finished ones.
        The loss has no standard error. `best_metric` stays the lowest of all, by which early stopping counts.
        """
        name, seen = self._validations()
        lowest = min(seen, key=itemgetter(name))
        self.state.best_metric = lowest[name]
        as_good = metrics[name] <= lowest[name] + lowest.get("eval_standard_error", 0.0)
        if as_good:
            self.state.best_global_step = self.state.global_step
        return as_good

    def kept_metric(self) -> float:
        """Return what `metric_for_best_model` was at the step that is marked as the best."""
        name, seen = self._validations()
        return next(log[name] for log in seen if log["step"] == self.state.best_global_step)

    def _validations(self) -> tuple[str, list[dict]]:
        name = f"eval_{self.args.metric_for_best_model}"
        return name, [log for log in self.state.log_history if name in log]

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        """Return a batch's generated ids and its labels; keep each row's loss and number of labels."""
        inputs = self._prepare_inputs(inputs)
        labels = inputs["labels"]
        # `generate` calls parts of the model, and only the model as a whole computes in half precision.
        with torch.no_grad(), self.accelerator.autocast():
            heard = self.model.get_encoder()(inputs["input_features"])
            decoded = self.model(encoder_outputs=heard, decoder_input_ids=inputs["decoder_input_ids"])
            frames = inputs["attention_mask"].sum(dim=1).tolist()
            limits = torch.tensor([most_ids(self.model, n) for n in frames], device=labels.device)
            loops = EndLoops(limits, self.model.generation_config.eos_token_id)
            generation = self._gen_kwargs | {"stopping_criteria": StoppingCriteriaList([loops])}
            _, ids, _ = super().prediction_step(  # which may repeat what it is given, for the beams
                model, {"encoder_outputs": heard}, prediction_loss_only, ignore_keys, **generation
            )
        logits = decoded.logits.transpose(1, 2).float()
        losses = torch.nn.functional.cross_entropy(logits, labels, ignore_index=NO_LOSS, reduction="none")
        rows = torch.stack([losses.sum(dim=1), (labels != NO_LOSS).sum(dim=1)], dim=1)
        self.row_losses.append(self.gather_function(rows))
        return None, ids, labels


class EpochOrder(TrainerCallback):
    """Tell the sampler which epoch begins.

    The trainer's own word does not reach it in an epoch that several processes resume in its middle.
    """

    def __init__(self, sampler: EpochSampler, steps_per_epoch: int) -> None:
        self.sampler, self.steps_per_epoch = sampler, steps_per_epoch

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.sampler.set_epoch(state.global_step // self.steps_per_epoch)


class TokenLoss:
    """Mean cross entropy over the label ids of a global batch.

    Whisper's own loss is the mean of one forward pass. Of transformers 5.23 it gets wrong what follows:
    accumulated gradients are summed, not averaged, and a pass with few labels weighs as much as one with
    many.
    """

    def __init__(self, label_smoothing: float) -> None:
        self.label_smoothing = label_smoothing

    def __call__(
        self, outputs, labels: torch.Tensor, num_items_in_batch: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss of one forward pass, as its share of the global batch's mean.

        Parameters
        ----------
        outputs: with logits, shape = (batch, longest, n_vocabulary)
        labels: shape = (batch, longest)
        num_items_in_batch: label ids of the global batch; None: of this pass
        """
        total = torch.nn.functional.cross_entropy(
            outputs.logits.flatten(0, 1).float(),
            labels.flatten(),
            ignore_index=NO_LOSS,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        return total / ((labels != NO_LOSS).sum() if num_items_in_batch is None else num_items_in_batch)
