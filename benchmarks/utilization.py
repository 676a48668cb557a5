"""How much of the device a training uses: python -m benchmarks.utilization, after `dvc repro filter`.

Takes some steps of a recipe's own training. Counts the floating point operations of the first ones, times the
others, and sets that beside what the device reaches in one large matrix product of the same precision: a
share of the peak that needs no data sheet. Says, too, for which share of the time the trainer waits for its
next batch: how much faster it could at most be if loading cost nothing.
"""

import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import Trainer, TrainerCallback

from asr.params import Params, load_params
from asr.training.arguments import resolve_precision
from benchmarks.recipes import arguments, make_recipe
from stages.train import prepare, smooth

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
ROUNDS = 5  # of the matrix product, of which the fastest counts


class Meter(TrainerCallback):
    """Count operations in so many steps of a training, time as many more, and end it."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.flops = 0  # of the first steps
        self.seconds = self.waited_s = 0.0  # of the others

    def watch(self, trainer: Trainer) -> None:
        """Follow a trainer that is about to begin."""
        trainer.add_callback(self)
        next_batches = trainer.get_batch_samples

        def timed(*args):
            begun = time.perf_counter()
            batches = next_batches(*args)
            self.waited_s += time.perf_counter() - begun
            return batches

        trainer.get_batch_samples = timed

    def on_train_begin(self, args, state, control, **kwargs):
        self.counting = ExitStack()
        self.counter = self.counting.enter_context(FlopCounterMode(display=False))
        # Attention as matrix products: the counter knows no fused attention on a CPU.
        self.counting.enter_context(sdpa_kernel(SDPBackend.MATH))

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.steps:
            self.counting.close()
            self.flops = self.counter.get_total_flops()
            self.begun, self.waited_s = now(), 0.0
        elif state.global_step == 2 * self.steps:
            self.seconds = now() - self.begun
            control.should_training_stop = True


def measure(params: Params, steps: int) -> dict:
    """Train so many steps twice over; returns figures by what they are called."""
    params, _ = smooth(params)
    trainer, meter = prepare(params, Path("checkpoints")), Meter(steps)
    meter.watch(trainer)
    trainer.train()
    precision = resolve_precision(params.train.precision)
    reached, peak = meter.flops / meter.seconds, matrix_product(DTYPES[precision])
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "precision": precision,
        "batch": params.train.per_device_train_batch_size * params.train.gradient_accumulation_steps,
        "s a step": meter.seconds / steps,
        "TFLOP a step": meter.flops / steps / 1e12,
        "TFLOP/s": reached / 1e12,
        "TFLOP/s of a matrix product": peak / 1e12,
        "share of that, %": 100 * reached / peak,
        "waiting for data, %": 100 * meter.waited_s / meter.seconds,
    }


def matrix_product(dtype: torch.dtype) -> float:
    """Return the floating point operations a second of a large matrix product."""
    device, size = ("cuda", 8192) if torch.cuda.is_available() else ("cpu", 2048)
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(ROUNDS + 1):  # the first one warms up
        begun = now()
        left @ right
        times.append(now() - begun)
    return 2 * size**3 / min(times[1:])


def now() -> float:
    """Return the time at which all that was asked for is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10, help="to count, and again to time")
    args = parser.parse_args()
    data = (args.recipe / "data").resolve()
    if not (data / "filtered").exists():
        parser.error(f"no {data / 'filtered'}: run `dvc repro filter` in {args.recipe} first")
    with tempfile.TemporaryDirectory() as folder:
        # One step beyond the last, or the trainer would evaluate.
        make_recipe(args.recipe, [*args.changes, f"train.max_steps={2 * args.steps + 1}"], Path(folder))
        (Path(folder) / "data").symlink_to(data)
        os.chdir(folder)
        figures = measure(load_params(), args.steps)
    for name, value in figures.items():
        print(f"{name:30} {value:.4g}" if isinstance(value, float) else f"{name:30} {value}")


if __name__ == "__main__":
    main()
