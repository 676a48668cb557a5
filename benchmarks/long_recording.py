"""A long recording, heard in whole windows and one utterance at a time: WER, processor time, memory.

    python -m benchmarks.long_recording --recipe . --clips validation

The recipe's clips are joined to a recording, with pauses between them, and `asr transcribe` is run on it with
both values of --pieces. So it tells which one suits a model. `--beside` runs other programs with the same
weights.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from asr.audio.decode import decode, resample
from asr.audio.log_mel import SAMPLE_RATE
from asr.commands import arguments
from asr.scoring.rates import error_rates
from asr.tables.shards import read_shards
from benchmarks.others import PROGRAMS

PAUSES_S = (0.5, 1.5)  # shortest and longest
SEED = 5
MOST_TIMES = 100  # that a clip comes


def join(recipe: Path, clips: str, minutes: float, recording: Path) -> tuple[str, float]:
    """Write clips of a second and more, shuffled, as one recording; returns what is said, and the seconds.

    All clips are there before one comes again.
    """
    chance, raw = np.random.default_rng(SEED), read_shards(recipe / "data/raw")
    rows = pd.read_csv(recipe / f"data/filtered/{clips}.csv").row
    parts, sentences, n_samples = [], [], 0
    for row in chain.from_iterable(chance.permutation(rows) for _ in range(MOST_TIMES)):
        samples = resample(*decode(raw[int(row)]["audio"]))
        if len(samples) < SAMPLE_RATE:
            continue
        pause = 1e-4 * chance.standard_normal(round(chance.uniform(*PAUSES_S) * SAMPLE_RATE))
        parts += [samples, pause.astype(np.float32)]
        sentences.append(raw[int(row)]["sentence"])
        n_samples += len(samples) + len(pause)
        if n_samples > minutes * 60 * SAMPLE_RATE:
            break
    soundfile.write(recording, np.concatenate(parts), SAMPLE_RATE)
    return " ".join(sentences), n_samples / SAMPLE_RATE


def run(command: list[str]) -> tuple[str, float, float]:
    """Run a command; returns what it prints, its processor time in seconds and its most memory in GB."""
    with tempfile.TemporaryFile("w+") as out:
        started = subprocess.Popen(command, stdout=out)
        _, status, used = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
        if started.returncode:
            raise subprocess.CalledProcessError(started.returncode, command)
        out.seek(0)
        return out.read(), used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e9


def main() -> None:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    arguments.add_model(parser)
    parser.add_argument("--clips", choices=("train", "validation", "test"), default="validation")
    parser.add_argument("--minutes", type=float, default=5, help="default: 5; clips come again if need be")
    parser.add_argument("--beside", nargs="+", choices=PROGRAMS, default=[], help="with --language")
    args = parser.parse_args()
    if args.beside and not (args.model and args.language):
        parser.error("--beside wants --model and --language")
    model = ["--model", arguments.model_folder(args)]
    if args.language:
        model += ["--language", args.language]
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder, "recording.wav")
        said, seconds = join(args.recipe, args.clips, args.minutes, recording)
        print(f"{seconds:.0f} s, {len(said.split())} words")
        as_json = ["--format", "json"]
        commands = {
            f"--pieces {pieces}": ["asr", "transcribe", recording, *as_json, "--pieces", pieces, *model]
            for pieces in ("windows", "utterances")
        }
        for program in args.beside:
            commands[program] = ["benchmarks.others", program, model[1], recording, args.language]
        for name, command in commands.items():
            heard, took, peak = run([sys.executable, "-m", *map(str, command)])
            text = heard if name in args.beside else json.loads(heard)["text"]
            wer = error_rates([said], [text])["wer"]
            a_second = f"{took / seconds:.3f} s of processor time a second"
            print(f"{name}: {wer:.1f} % WER, {a_second}, {peak:.1f} GB", flush=True)


if __name__ == "__main__":
    main()
