"""How far a training is, in a bar or in lines: loss, WER, samples/s, memory and time left."""

import torch
from transformers import TrainerCallback

from asr.runtime.progress import progress_bar

SHOWN = {"loss": "loss", "eval_wer": "WER"}  # of what the trainer logs, and its name in a line


class Progress(TrainerCallback):
    """Show how training goes, with the last loss, the last validation's WER and the GPU memory's peak.

    Rates and time left are means from the end of the first step on (a GPU warms up, a resumed run skips the
    rows it has seen). They include validation and saving. transformers' own `ProgressCallback` counts a
    resumed run's first steps as done in no time, and writes no lines.
    """

    def __init__(self) -> None:
        self.training = self.validation = None

    def on_step_end(self, args, state, control, **kwargs):
        if not state.is_world_process_zero:
            return
        if self.training is None:
            done = state.global_step
            self.training = progress_bar(state.max_steps, "steps", "train", initial=done, smoothing=0)
        self._show_figures(args, state)
        self.training.update(state.global_step - self.training.n)

    def on_prediction_step(self, args, state, control, eval_dataloader=None, **kwargs):
        if self.training is None:  # not training, or not the main process
            return
        if self.validation is None:
            about = {"desc": "validation: ", "leave": False, "initial": 1}
            self.validation = progress_bar(len(eval_dataloader), "batches", "train", **about)
        else:
            self.validation.update()

    def on_evaluate(self, args, state, control, **kwargs):
        if self.validation is not None:
            self.validation.close()
            self.validation = None

    def on_train_end(self, args, state, control, **kwargs):
        if self.training is not None:
            self._show_figures(args, state)
        self.close()

    def close(self) -> None:
        """End the bars' lines, also after a failure, which the trainer does not tell its callbacks of."""
        for bar in (self.validation, self.training):
            if bar is not None:
                bar.close()
        self.training = self.validation = None

    def _show_figures(self, args, state) -> None:
        known = {key: value for logs in state.log_history for key, value in logs.items()}  # the last of each
        figures = [f"{name} {known[key]:.4g}" for key, name in SHOWN.items() if key in known]
        done = state.global_step - self.training.initial
        if done:
            samples = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
            figures.append(f"{done * samples / self.training.format_dict['elapsed']:.1f} samples/s")
        if torch.cuda.is_available():
            figures.append(f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB")
        self.training.set_postfix_str(", ".join(figures), refresh=False)
