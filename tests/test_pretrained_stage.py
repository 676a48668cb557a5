"""Checkpoints come from anywhere: nothing in them is run. What else the stage does: tests/test_stages.py."""

import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from asr.model import whisper
from asr.params import Model, Pretrained
from stages.pretrained import pretrained
from tests.recipes import REPOSITORY


def load(folder, revision=None, **changes):
    model = {
        "language": "sinhalese", "task": "transcribe", "audio_window_s": 3, "extend_tokenizer": 0,
        "keep_tags": False,
    }  # fmt: skip
    return pretrained(Pretrained(name=str(folder), revision=revision), Model(**model | changes))


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
    model, _ = load(folder)
    assert model.num_parameters() > 0 and not mark.exists()
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="no model.safetensors.*pytorch_model.bin.*not loaded"):
        load(folder)
    with pytest.raises(OSError):
        whisper.load_model(folder)
    assert not mark.exists()


def test_a_checkpoint_s_own_code_is_not_run(folder, tmp_path, monkeypatch):
    mark = tmp_path / "mark"
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(mark)!r})\nclass Evil: pass\n")
    names = {
        "config.json": {
            "AutoConfig": "evil.Evil",
            "AutoModelForSpeechSeq2Seq": "evil.Evil",
            "AutoFeatureExtractor": "evil.Evil",
            "AutoTokenizer": ["evil.Evil", "evil.Evil"],
        },
        "processor_config.json": {"AutoProcessor": "evil.Evil", "AutoFeatureExtractor": "evil.Evil"},
        "tokenizer_config.json": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]},
        "generation_config.json": {"AutoModel": "evil.Evil"},
    }
    for name, auto_map in names.items():
        settings = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(settings | {"auto_map": auto_map}))
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # to transformers' question
    model, processor = load(folder)
    assert type(model).__module__.startswith("transformers.models.whisper")
    whisper.save(model, processor, tmp_path / "stored")
    whisper.load_model(tmp_path / "stored")
    whisper.load_processor(tmp_path / "stored", "sinhalese", "transcribe")
    assert not mark.exists() and not list(tmp_path.glob("modules/**/evil.py"))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"language": "sinhaleze"}, "no language 'sinhaleze'.*did you mean sinhalese"),
        ({"language": "dhivehi"}, "no language 'dhivehi'.*nearest relative among afrikaans, .* yoruba"),
        ({"audio_window_s": 30}, "set model.audio_window_s to 3 or less"),
    ],
)
def test_what_the_checkpoint_cannot_do_is_refused_before_anything_is_computed(folder, changes, message):
    with pytest.raises(ValueError, match=message):
        load(folder, **changes)


def test_a_language_that_this_model_lacks_is_refused_though_whisper_has_it(folder):
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace("<|yue|>", "<|xxxx|>"))
    settings = json.loads((folder / "generation_config.json").read_text())
    del settings["lang_to_id"]["<|yue|>"]
    (folder / "generation_config.json").write_text(json.dumps(settings))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["extra_special_tokens"].remove("<|yue|>")
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="no language 'cantonese'.*take the nearest relative"):
        load(folder, language="cantonese")


def shard(folder):
    """Divide a checkpoint's weights among files; returns the sha256 of `cat model-*`."""
    whisper.load_model(folder).save_pretrained(folder, max_shard_size="2MB")
    (folder / "model.safetensors").unlink()
    parts = sorted(folder.glob("model-*.safetensors"))
    assert len(parts) > 1
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()


def test_revision_is_checked_of_sharded_weights_too(folder):
    sha256 = shard(folder)
    load(folder, sha256)
    last = max(folder.glob("model-*.safetensors"))
    last.write_bytes(last.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=f"says {sha256}: restore the weights"):
        load(folder, sha256)


def test_an_index_names_no_pickle_and_no_file_outside_of_its_folder(folder, tmp_path):
    shard(folder)
    index = folder / "model.safetensors.index.json"
    before = index.read_text()
    shutil.copy(folder / "model-00001-of-00003.safetensors", tmp_path / "out.safetensors")
    for name in ("pytorch_model.bin", "../out.safetensors", str(tmp_path / "out.safetensors"), None, 1):
        map = json.loads(before)
        map["weight_map"]["model.decoder.embed_tokens.weight"] = name
        index.write_text(json.dumps(map))
        with pytest.raises(ValueError, match="loaded only from .safetensors files of this folder"):
            load(folder)
    index.write_text(before.replace("00001", "00009"))
    with pytest.raises(FileNotFoundError, match="00009-of-00003.*named in model.safetensors.index.json"):
        load(folder)
