"""The real recipe in small, on a real corpus and a real checkpoint that are not in the repository.

    REAL_ARCHIVE=corpora/it.tar.gz REAL_CHECKPOINT=corpora/whisper-base pytest -m real

Any Common Voice release (.tar.gz) of a language that Whisper knows, and any multilingual Whisper folder.
Two to three minutes for training and ten for the recording, with whisper-base on two cores.
"""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from asr.audio.decode import decode, resample
from asr.audio.log_mel import SAMPLE_RATE
from asr.scoring.rates import error_rates
from asr.sources import archive
from tests.corpora import tsv, write_archive
from tests.recipes import REPOSITORY, Recipe, corpus

CLIPS = {"train": 40, "validation": 20, "test": 24}  # taken of each split

pytestmark = pytest.mark.real


def clips():
    release = os.environ["REAL_ARCHIVE"]
    return archive.clips(release, None, locale(), 0.1, validated=False)


def locale() -> str:
    """Return the locale of the release, which is its one folder's."""
    with tarfile.open(os.environ["REAL_ARCHIVE"]) as source:
        return next(name for name in source.getnames() if name.endswith("/train.tsv")).split("/")[-2]


def shrink(small: Path) -> None:
    """Pack the first clips of each split as a release of their own."""
    tables, members = {split: [] for split in CLIPS}, []
    for clip in clips():
        if clip.audio and len(tables[clip.split]) < CLIPS[clip.split]:
            tables[clip.split].append((clip.speaker, clip.id, clip.sentence))
            members.append((f"small/{locale()}/clips/{clip.id}", clip.audio))
    for split, rows in tables.items():
        members.append((f"small/{locale()}/{split.replace('validation', 'dev')}.tsv", tsv(*rows)))
    write_archive(small, members)


def test_a_real_model_gets_better_on_a_real_corpus(tmp_path):
    small = tmp_path / "small.tar.gz"
    shrink(small)
    recipe = Recipe(tmp_path, {})
    (recipe.folder / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    recipe.params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    recipe.set(
        {
            "corpora": {"real": corpus("archive", path=str(small), locale=locale())},
            "pretrained.name": str(Path(os.environ["REAL_CHECKPOINT"]).resolve()),
            "pretrained.revision": None,
            "transcribe.language_model.path": "params.yaml",
            "model.language": LANGUAGES[locale()],
            "model.audio_window_s": 10,
            "filter.validation_fraction": 0.1,
            "train.max_steps": 12,
            "train.warmup_steps": 2,
            "train.learning_rate": 2e-5,
            "train.per_device_train_batch_size": 4,
            "train.logging_steps": 1,
            "train.gradient_checkpointing": False,
            "train.dataloader_num_workers": 0,
        }
    )
    for stage in ("download", "pretrained", "featurize", "filter", "train", "package"):
        recipe.run(stage)
    recipe.run("transcribe", "data/pretrained", "data/transcripts/pretrained.jsonl")
    recipe.run("transcribe", "data/model", "data/transcripts/finetuned.jsonl")
    recipe.run("evaluate")

    metrics = json.loads((recipe.folder / "metrics/evaluate.json").read_text())
    losses = (recipe.folder / "metrics/training_curve.csv").read_text().splitlines()[1:]
    first, last = (float(losses[i].split(",")[1]) for i in (0, -1))
    assert metrics["pretrained"]["utterances"] == CLIPS["test"]
    assert metrics["pretrained"]["wer_whisper_basic"] < 60, "a pretrained Whisper that hears nothing"
    assert metrics["finetuned"]["cer"] < 60, "the shorter window was not learned"
    assert last < first


def test_ten_minutes_are_heard_as_well_as_the_clips_that_they_are_made_of(tmp_path):
    chance = np.random.default_rng(5)
    parts, sentences, seconds = [], [], 0.0
    (tmp_path / "clips").mkdir()
    for clip in clips():
        samples = resample(*decode(clip.audio))
        if len(samples) < SAMPLE_RATE:
            continue
        pause_s = chance.uniform(0.5, 1.5)
        pause = 1e-4 * chance.standard_normal(round(pause_s * SAMPLE_RATE))
        (tmp_path / f"clips/{len(sentences):04}.mp3").write_bytes(clip.audio)
        parts += [samples, pause.astype(np.float32)]
        sentences.append(clip.sentence)
        seconds += len(samples) / SAMPLE_RATE + pause_s
        if seconds >= 600:
            break
    assert seconds >= 600, "the corpus is too small"
    soundfile.write(tmp_path / "long.wav", np.concatenate(parts), SAMPLE_RATE)

    def wer(recording: str) -> float:
        model = ["--model", os.path.abspath(os.environ["REAL_CHECKPOINT"])]
        language = ["--language", LANGUAGES[locale()]]
        command = [sys.executable, "-m", "asr", "transcribe", tmp_path / recording, "--format", "json"]
        done = subprocess.run([*command, *model, *language], capture_output=True, text=True, check=True)
        heard = [json.loads(line)["text"] for line in done.stdout.splitlines()]
        return error_rates([" ".join(sentences)], [" ".join(heard)])["wer"]

    assert wer("long.wav") < wer("clips") + 1  # it may do better, and does with whisper-base
