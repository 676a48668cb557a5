"""How far a training is: a line, or a bar, with loss, WER, samples/s, memory and time left."""

import resource
import sys
import time

import torch
from transformers import TrainerCallback

from asr.runtime.progress import LINE_EVERY_S, Clock, Display, Meter, duration, left, per_s


class Progress(TrainerCallback):
    """Show how training goes: loss, last validation's WER, samples/s, memory, time left.

    Samples/s leave out what comes before the end of the first step (a GPU warms up, a resumed run skips
    the rows it has seen), validation and saving. Time left includes the validations to come, each as long
    as those so far with what was saved; before the first of them it is a lower bound, and says so. The
    trainer has to evaluate by steps, or not at all.
    """

    def __init__(self, every_s: float = LINE_EVERY_S, clock: Clock = time.monotonic) -> None:
        self.every_s, self.clock = every_s, clock
        self.display: Display | None = None  # None: not training, or not the process that speaks

    def on_train_begin(self, args, state, control, **kwargs):
        if not state.is_world_process_zero:
            return
        scores = [logs["eval_wer"] for logs in state.log_history if "eval_wer" in logs]  # of a resumed run
        self.loss, self.wer = None, scores[-1] if scores else None
        self.validations = self.batches = self.to_come = 0
        if args.eval_strategy == "steps":  # the trainer evaluates after the last step too
            self.to_come = -(-state.max_steps // state.eval_steps) - state.global_step // state.eval_steps
        self.samples = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
        self.start, self.meter = self.clock(), Meter(state.max_steps, self.clock)
        head = "step {done} of {total}"
        self.display = Display("train", head, state.max_steps, state.global_step, self.every_s, self.clock)

    def on_step_end(self, args, state, control, **kwargs):
        if self.display:
            self.meter.count(state.global_step)
            self._show(state)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if self.display:
            first = self.loss is None and "loss" in logs
            self.loss, self.wer = logs.get("loss", self.loss), logs.get("eval_wer", self.wer)
            if first:
                self._show(state, at_once=True)

    def on_prediction_step(self, args, state, control, eval_dataloader=None, **kwargs):
        if self.display:
            self.batches += 1
            fact = f"validating: {self.batches} of {len(eval_dataloader)} batches"
            self.display.show(state.global_step, [fact])

    def on_evaluate(self, args, state, control, **kwargs):
        if self.display:
            self.meter.leave_out()
            self.batches, self.validations, self.to_come = 0, self.validations + 1, self.to_come - 1
            self._show(state, at_once=True)

    def on_save(self, args, state, control, **kwargs):
        if self.display:
            self.meter.leave_out()

    def on_train_end(self, args, state, control, **kwargs):
        if self.display:
            took = f"took {duration(self.clock() - self.start)}"
            facts = self._facts(self.meter.rate(overall=True), took)
            self.display.show(state.global_step, facts, at_once=True)
            self.close()

    def close(self) -> None:
        """End the bar's line, also after a failure, which the trainer does not tell its callbacks of."""
        if self.display:
            self.display.close()
            self.display = None

    def _show(self, state, at_once: bool = False) -> None:
        left_s = self.meter.left_s()
        if left_s is not None and self.validations:
            left_s += self.to_come * self.meter.left_out_s / self.validations
        at_least = "over " if self.to_come > 0 and not self.validations else ""
        self.display.show(state.global_step, self._facts(self.meter.rate(), left(left_s, at_least)), at_once)

    def _facts(self, steps_per_s: float | None, time_fact: str | None) -> list[str | None]:
        return [
            None if self.loss is None else f"loss {self.loss:.4f}",
            None if self.wer is None else f"WER {self.wer:.1f}",
            steps_per_s and per_s(steps_per_s * self.samples, "samples"),
            f"{memory_gb():.1f} GB",
            time_fact,
        ]


def memory_gb() -> float:
    """Return the peak of what tensors took on the GPU, or without one of this process, in 10⁹ bytes."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9  # bytes on macOS, KiB on Linux
