"""What is made for other runtimes hears what the original hears: `make test-export`."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from asr import audio, export, vocabulary, whisper
from asr.batches import read_rows
from asr.export_check import original
from tests.recipes import REPOSITORY
from tests.test_vocabulary import phrases

pytestmark = pytest.mark.export

FORMATS = ("ctranslate2-fp16", "onnx")  # those that round too little to change a word
BASE = REPOSITORY / "sample/base"
WEIGHTS = (BASE / "model.safetensors").stat().st_size
LANGUAGE = ("sinhalese", "transcribe")
PAGE = (REPOSITORY / "docs/exports.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def clips(finished):
    """The six test clips: encoded, and as samples."""
    rows = read_rows(finished.folder / "data/raw", finished.folder / "data/filtered/test.csv")
    encoded = [row["audio"] for row in rows]
    return encoded, [audio.resample(*audio.decode(data)) for data in encoded]


@pytest.fixture(scope="module")
def base(finished, tmp_path_factory):
    """What the command makes of the sample's base model: its folder, and the lines that it printed."""
    folder = tmp_path_factory.mktemp("base")
    (folder / "data").symlink_to(finished.folder / "data")
    options = ["--model", str(BASE), "--language", "sinhalese", "--force"]
    done = subprocess.run(
        [sys.executable, "-m", "asr.export", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.splitlines()


def listeners(model: Path, out: Path) -> list:
    """Load a model and its exports; each returns the text of samples."""
    return [original(model, *LANGUAGE), *(export.converters()[name][1](out / name)[0] for name in FORMATS)]


def changed(folder: Path, change) -> Path:
    """Save the sample's base model after something was done to it."""
    model, processor = whisper.load_model(BASE), whisper.load_processor(BASE, *LANGUAGE)
    change(model, processor)
    whisper.save(model, processor, folder)
    return folder


def test_every_format_hears_what_the_original_hears(base, clips):
    hear, *others = listeners(BASE, base[0] / "exports")
    expected = [hear(samples) for samples in clips[1]]
    assert len(set(expected)) == 6 and all(expected)
    for other in others:
        assert [other(samples) for samples in clips[1]] == expected
    for samples in (np.resize(clips[1][0], 3 * audio.SAMPLE_RATE), clips[1][0][:4000]):  # longest; 0.25 s
        assert [other(samples) for other in others] == [hear(samples)] * len(others)


def test_the_table_has_every_format_and_how_it_was_computed(base):
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in base[1][2:]]
    assert [row[0].removesuffix(" (worse)") for row in rows] == ["original", *export.FORMATS]
    assert [row[-1].startswith("int8") for row in rows] == ["int8" in row[0] for row in rows]
    assert {row[-1] for row in rows if "int8" not in row[0]} <= {"float32", "float16"}
    wer = {row[0]: row[2] for row in rows}
    assert wer["ctranslate2-fp16"] == wer["onnx"] == wer["original"]


def test_int8_is_stored_in_eight_bits(base):
    assert (base[0] / "exports/ctranslate2-int8/model.bin").stat().st_size < 0.35 * WEIGHTS
    assert (base[0] / "exports/ctranslate2-fp16/model.bin").stat().st_size < 0.55 * WEIGHTS


@pytest.mark.parametrize("number", range(2))
def test_the_snippets_of_the_page_run(base, clips, tmp_path, number):
    shutil.copytree(base[0] / "exports", tmp_path / "exports")
    (tmp_path / "recording.mp3").write_bytes(clips[0][0])
    assert len(SNIPPETS) == 2
    done = subprocess.run(
        [sys.executable, "-c", SNIPPETS[number]], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == original(BASE, *LANGUAGE)(clips[1][0])


def test_learned_tokens_suppressed_tokens_and_the_longest_text(clips, tmp_path):
    learned, first, suppressed = [], [], []

    def change(model, processor) -> None:
        new = vocabulary.extend(processor, phrases(300), 8, set())[0]
        text = original(BASE, *LANGUAGE)(clips[1][0])
        ids = processor.tokenizer(text, add_special_tokens=False).input_ids
        often, *_, rare = sorted(set(ids), key=ids.count, reverse=True)
        with torch.no_grad():  # it writes the new token where it wrote the most frequent one
            weight = model.get_input_embeddings().weight
            weight[new.id] = 1.2 * weight[often]
        model.generation_config.begin_suppress_tokens = ids[:1]
        model.generation_config.suppress_tokens = [rare, processor.tokenizer.eos_token_id]
        learned.append(processor.tokenizer.decode([new.id]))
        first.append(ids[0])
        suppressed.append(rare)

    model = changed(tmp_path / "model", change)
    for name in FORMATS:
        export.converters()[name][0](model, tmp_path / name, *LANGUAGE)
    hear, *others = listeners(model, tmp_path)
    expected = hear(clips[1][0])
    ids = whisper.load_processor(model, *LANGUAGE).tokenizer(expected, add_special_tokens=False).input_ids
    assert learned[0] in expected and ids[0] != first[0] and suppressed[0] not in ids
    assert len(ids) > 300  # no end, for that is suppressed
    assert [other(clips[1][0]) for other in others] == [expected] * len(others)
