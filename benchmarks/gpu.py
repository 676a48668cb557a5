"""What only a GPU can tell of training: python -m benchmarks.gpu --json benchmarks/gpu.json

Trains a Whisper as large as whisper-small, with random weights, on noise as long as Common Voice's clips: 5 s
on average, up to 12. Batches are those of the root's settings: at their own length, a tenth of them joined.
One setting is changed at a time. Then the batch is doubled until memory ends. Prints a table for the docs.

Takes at most 20 minutes: no new setting is begun after `--minutes`. Without a GPU it says so and ends;
`--device cpu --size tiny --steps 2` tries the code.
"""

import argparse
import json
import math
import os
import sys
import tempfile
import traceback
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import WhisperConfig, WhisperForConditionalGeneration

from asr.audio.log_mel import FRAMES_PER_SECOND, STEP, own_frames
from asr.model import whisper
from asr.training.arguments import resolve_precision
from asr.training.batches import EpochSampler
from asr.training.trainer import TokenLoss
from benchmarks.machine import machine
from benchmarks.utilization import DTYPES, matrix_product, now

SIZES = {"small": (768, 12, 12), "tiny": (64, 1, 2)}  # hidden values; layers and heads, of both sides
WINDOW, SEED = 30 * FRAMES_PER_SECOND, 13
SPOKEN_S = 27  # in a window of joined clips
IDS_A_SECOND = 6  # of labels, for the padded length, so that there are few shapes
SETTING_S = 40  # timed steps of one setting
COLUMNS = ("samples/s", "TFLOP/s", "of a matrix product, %", "idle, %", "peak memory, GB", "repeats", "loss")


@dataclass(frozen=True)
class Setting:
    """How a model is trained; the defaults are what `train` does on such a card."""

    batch: int = 16  # clips
    precision: str = resolve_precision("auto")
    attention: str = "sdpa"
    fused: bool = True  # AdamW
    compiled: bool = False
    checkpointing: bool = False  # of gradients
    deterministic: bool = False
    step: int = STEP  # frames; lengths are multiples of it
    own_length: bool = True


SETTINGS = {
    "as `train` does": Setting(),
    "fp16": Setting(precision="fp16"),
    "fp32": Setting(precision="fp32"),
    "eager attention": Setting(attention="eager"),
    "flash attention": Setting(attention="flash_attention_2"),
    "AdamW not fused": Setting(fused=False),
    "activations recomputed": Setting(checkpointing=True),
    "deterministic algorithms": Setting(deterministic=True),
    "lengths of 3, 6, 9, 12, 30 s": Setting(step=3 * FRAMES_PER_SECOND),
    "the same, torch.compile": Setting(step=3 * FRAMES_PER_SECOND, compiled=True),
    "padded to 30 s": Setting(own_length=False),
    "as the notebook does": Setting(precision="fp16", fused=False, checkpointing=True, own_length=False),
    "as `train` does, again": Setting(),  # how much the machine's speed changes meanwhile
}


def plan(setting: Setting, steps: int) -> list[tuple[int, int, int]]:
    """Return each step's rows, frames and label ids: of the same clips, whatever the setting."""
    n_clips = steps * setting.batch  # one epoch, so that the share of joined clips is right
    seconds = np.clip(np.random.default_rng(SEED).lognormal(math.log(4.6), 0.4, n_clips), 1, 12)
    frames = own_frames((seconds * FRAMES_PER_SECOND).astype(int), WINDOW)
    if not setting.own_length:
        frames[:] = WINDOW
    joined = 0.1 if setting.own_length else 0.0
    order = list(EpochSampler(frames, np.zeros(len(frames), int), setting.batch, SEED, joined))
    shapes = []
    for first in range(0, n_clips, setting.batch):
        clips = order[first : first + setting.batch]
        rows, length = len(clips), clips[0][1]
        if length is None:  # they share windows
            rows, length = math.ceil(seconds[[clip for clip, _ in clips]].sum() / SPOKEN_S), WINDOW
        length = min(WINDOW, -(-length // setting.step) * setting.step)
        shapes.append((rows, length, length // FRAMES_PER_SECOND * IDS_A_SECOND))
    return shapes


class Training:
    """A model with an optimizer, the same each time it is made."""

    def __init__(self, folder: Path, setting: Setting, device: str) -> None:
        torch.manual_seed(SEED)
        torch.use_deterministic_algorithms(setting.deterministic, warn_only=True)
        self.device, self.dtype = device, DTYPES[setting.precision]
        self.model = whisper.load_model(folder, attn_implementation=setting.attention).to(device).train()
        if setting.checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(self.weights, 1e-5, fused=setting.fused)
        self.scaler = torch.amp.GradScaler(device, enabled=setting.precision == "fp16")
        self.forward = torch.compile(self.model) if setting.compiled else self.model

    def loss(self, rows: int, frames: int, n_ids: int) -> torch.Tensor:
        """Compute the loss of noise: the same for the same shape."""
        rng = torch.Generator().manual_seed(SEED)
        features = torch.randn(rows, 80, frames, generator=rng).to(self.device)
        ids = torch.randint(50_000, (rows, n_ids + 1), generator=rng).to(self.device)
        half = self.dtype != torch.float32
        with torch.autocast(self.device, self.dtype) if half else nullcontext():
            logits = self.forward(input_features=features, decoder_input_ids=ids[:, :-1]).logits
        return TokenLoss(0.0)(SimpleNamespace(logits=logits), ids[:, 1:])

    def step(self, shape: tuple[int, int, int]) -> torch.Tensor:
        """Take an optimizer step; returns its loss."""
        loss = self.loss(*shape)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return loss.detach()


def measure(folder: Path, setting: Setting, device: str, steps: int) -> dict:
    """Train for so many steps, or as many as SETTING_S allows; returns COLUMNS, or what kept it from that."""
    shapes, on_gpu, losses = plan(setting, steps), device == "cuda", []
    each = sorted(set(shapes), key=math.prod, reverse=True)  # takes the most memory first, makes all kernels
    try:
        training = Training(folder, setting, device)
        first = [training.step(shape).item() for shape in each]
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        begun = now()
        for shape in shapes:
            losses.append(training.step(shape))
            if len(losses) % 5 == 0 and now() - begun > SETTING_S:
                break
        seconds, done = now() - begun, shapes[: len(losses)]
        figures = {"samples/s": len(done) * setting.batch / seconds, "loss": losses[-1].item()}
        if on_gpu:
            figures["peak memory, GB"] = torch.cuda.max_memory_allocated() / 1e9
            figures["idle, %"] = 100 * idle(training, done[:5])
        del training
        again = Training(folder, setting, device)
        repeats = [again.step(shape).item() for shape in each] == first
    except torch.OutOfMemoryError:
        return {"error": "out of memory"}
    except (ImportError, RuntimeError) as error:  # what the card or a library does not have
        traceback.print_exc()
        return {"error": str(error).splitlines()[0]}
    rate = sum(rows * operations(folder, frames, n_ids) for rows, frames, n_ids in done) / seconds
    figures["TFLOP/s"], figures["repeats"] = rate / 1e12, repeats
    return figures | {"of a matrix product, %": 100 * rate / matrix_product(DTYPES[setting.precision])}


@cache
def abstract(folder: Path) -> Training:
    """Return a training that computes shapes only."""
    return Training(folder, Setting(precision="fp32", fused=False), "meta")


@cache
def operations(folder: Path, frames: int, n_ids: int) -> int:
    """Count the floating point operations of a step with one row, attention as matrix products."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        abstract(folder).loss(1, frames, n_ids).backward()
    return counter.get_total_flops()


def idle(training: Training, shapes: list[tuple[int, int, int]]) -> float:
    """Return the share of the time of steps in which the GPU computes nothing."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        begun = now()
        for shape in shapes:
            training.step(shape)
        seconds = now() - begun
    return 1 - sum(kernel.self_device_time_total for kernel in profile.key_averages()) / 1e6 / seconds


def table(results: dict[str, dict]) -> str:
    """Lay results out in Markdown."""
    lines = [f"| batches of {Setting.batch} | {' | '.join(COLUMNS)} |", f"|---|{'---:|' * len(COLUMNS)}"]
    for name, figures in results.items():
        cells = [f"{figures[c]:.4g}" if c in figures else "–" for c in COLUMNS]
        if "error" in figures:
            cells[0] = figures["error"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--steps", type=int, default=30, help="of each setting")
    parser.add_argument("--minutes", type=float, default=15, help="after which no new setting is begun")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("benchmarks.gpu: there is no GPU here. `--device cpu --size tiny --steps 2` tries the code")
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # which deterministic algorithms need
    width, layers, heads = SIZES[args.size]
    size = {"layers": layers, "attention_heads": heads, "ffn_dim": 4 * width}
    both = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in size.items()}
    begun, results = now(), {}
    larger = {f"{batch} clips": Setting(batch) for batch in (32, 64, 128, 256, 512)}
    with tempfile.TemporaryDirectory() as folder:
        WhisperForConditionalGeneration(WhisperConfig(d_model=width, **both)).save_pretrained(folder)
        for name, setting in (SETTINGS | larger).items():
            is_full = name in larger and "error" in list(results.values())[-1]
            if is_full and setting.batch > 32 or now() - begun > 60 * args.minutes:
                break
            results[name] = measure(Path(folder), setting, args.device, args.steps)
            print(name, results[name], flush=True)
    print(table(results))
    if args.json:
        measured = {"machine": machine(), "size": args.size, "settings": results}
        args.json.write_text(json.dumps(measured, indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
