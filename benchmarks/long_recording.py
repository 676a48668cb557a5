"""A long recording, heard in whole windows and one utterance at a time: WER and processor time of each.

    python -m benchmarks.long_recording --recipe . --clips validation

The recipe's clips are joined to a recording, with pauses between them, and `asr transcribe` is run on it with
both values of --pieces. So it tells which one suits a model.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from asr.audio.decode import decode, resample
from asr.audio.log_mel import SAMPLE_RATE
from asr.commands import arguments
from asr.scoring.rates import error_rates
from asr.tables.shards import read_shards

PAUSES_S = (0.5, 1.5)  # shortest and longest
SEED = 5


def join(recipe: Path, clips: str, minutes: float, recording: Path) -> tuple[str, float]:
    """Write clips of a second and more, shuffled, as one recording; returns what is said, and the seconds."""
    chance, raw = np.random.default_rng(SEED), read_shards(recipe / "data/raw")
    parts, sentences, n_samples = [], [], 0
    for row in chance.permutation(pd.read_csv(recipe / f"data/filtered/{clips}.csv").row):
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


def main() -> None:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    arguments.add_model(parser)
    parser.add_argument("--clips", choices=("validation", "test"), default="validation")
    parser.add_argument("--minutes", type=float, default=5, help="default: 5, or as many as there are")
    args = parser.parse_args()
    model = ["--model", arguments.model_folder(args)]
    if args.language:
        model += ["--language", args.language]
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder, "recording.wav")
        said, seconds = join(args.recipe, args.clips, args.minutes, recording)
        print(f"{seconds:.0f} s, {len(said.split())} words")
        for pieces in ("windows", "utterances"):
            command = [sys.executable, "-m", "asr", "transcribe", recording, "--pieces", pieces, *model]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run([*command, "--format", "json"], stdout=subprocess.PIPE, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            wer = error_rates([said], [json.loads(done.stdout)["text"]])["wer"]
            print(f"--pieces {pieces}: {wer:.1f} % WER, {took / seconds:.2f} s of processor time a second")


if __name__ == "__main__":
    main()
