"""Checkpoints come from anywhere: nothing in them is run. What else the stage does: tests/test_stages.py."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from asr.model import whisper
from asr.params import Pretrained
from stages.pretrained import pretrained
from tests.recipes import REPOSITORY


class Run:
    """Pickles to a call that makes a file."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(REPOSITORY / "sample/base", tmp_path / "model"))


@pytest.mark.parametrize("write", [torch.save, lambda what, file: file.write_bytes(pickle.dumps(what))])
def test_a_pickled_checkpoint_is_refused_and_not_loaded(folder, tmp_path, write):
    mark = tmp_path / "mark"
    write({"weights": Run(mark)}, folder / "pytorch_model.bin")
    model, _ = pretrained(Pretrained(name=str(folder), revision=None))
    assert model.num_parameters() > 0 and not mark.exists()
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="no model.safetensors.*pytorch_model.bin.*not loaded"):
        pretrained(Pretrained(name=str(folder), revision=None))
    with pytest.raises(OSError):
        whisper.load_model(folder)
    assert not mark.exists()


def test_a_checkpoint_s_own_code_is_not_run(folder, tmp_path, monkeypatch):
    mark = tmp_path / "mark"
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(mark)!r})\nclass Evil: pass\n")
    names = {
        "config.json": {"AutoConfig": "evil.Evil", "AutoModelForSpeechSeq2Seq": "evil.Evil"},
        "processor_config.json": {"AutoProcessor": "evil.Evil", "AutoFeatureExtractor": "evil.Evil"},
        "tokenizer_config.json": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]},
        "generation_config.json": {"AutoModel": "evil.Evil"},
    }
    for name, auto_map in names.items():
        settings = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(settings | {"auto_map": auto_map}))
    model, processor = pretrained(Pretrained(name=str(folder), revision=None))
    assert type(model).__module__.startswith("transformers.models.whisper")
    whisper.save(model, processor, tmp_path / "stored")
    whisper.load_model(tmp_path / "stored")
    whisper.load_processor(tmp_path / "stored", "sinhalese", "transcribe")
    assert not mark.exists() and not list(tmp_path.glob("modules/**/evil.py"))
