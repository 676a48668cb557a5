"""A recipe folder for tests: the sample's, cut down until every stage takes seconds."""

import copy
import os
import shutil
import subprocess
from pathlib import Path

import yaml
from pydantic import TypeAdapter

from asr.params import Corpus, FolderColumns

REPOSITORY = Path(__file__).parent.parent

CORPORA = {  # one of each source
    "archive": {
        "path": "cv.tar.gz", "locale": "dv", "sha256": None, "test_fraction": 0.1, "add_validated": False,
    },
    "mdc": {
        "path": "params.yaml", "locale": "dv", "dataset": "cmq", "test_fraction": 0.1, "add_validated": False,
    },
    "hub": {
        "path": "params.yaml", "locale": None, "dataset": "owner/name", "config": None, "revision": None,
        "splits": {"train": "train", "validation": "validation", "test": "test", "validated": None},
        "columns": {"audio": "audio", "sentence": "sentence", "speaker": "client_id"},
    },
    "folder": {
        "path": "own", "locale": None, "table": None, "tiers": None, "test_fraction": 0.1,
        "columns": dict.fromkeys(FolderColumns.model_fields),
    },
    "sample": {
        "path": "../asr/synthesis", "locale": "dv", "train_clips": 40, "train_voices": 10, "test_clips": 6,
        "test_voices": 3, "bad_clips": 1, "seed": 5,
    },
}  # fmt: skip


def corpus(source: str, **changes: object) -> dict:
    """Return a corpus as params.yaml has it."""
    return copy.deepcopy({"source": source, "use": "both"} | CORPORA[source] | changes)


def checked_corpus(source: str, **changes: object) -> Corpus:
    """Return a corpus as stages have it."""
    return TypeAdapter(Corpus).validate_python(corpus(source, **changes))


SMALL = {
    "corpora": {"sample": corpus("sample")},
    "pretrained.name": str(REPOSITORY / "sample/base"),
    "pretrained.revision": None,
    "model.extend_tokenizer": 0,
    "filter.validation_fraction": 0.2,
    "train.max_steps": 4,
    "train.eval_steps": 2,
    "train.save_steps": 2,
    "train.logging_steps": 1,
    "train.warmup_steps": 1,
    "train.learning_rate": 1.0e-4,  # so that the model stays sure of what it writes, whatever the rounding
    "train.per_device_train_batch_size": 4,
    "train.padding": "max_length",
    "train.full_window_fraction": 0.0,
    "train.generation_max_length": 24,
    "transcribe.max_new_tokens": 20,
    "transcribe.language_model.path": "../asr/__init__.py",  # no text, and never changed
}  # fmt: skip


def changed(params: dict, changes: dict) -> dict:
    """Change parameters in place, named as for `dvc exp run -S`; returns them."""
    for name, value in changes.items():
        *sections, key = name.split(".")
        tree = params
        for section in sections:
            tree = tree[section]
        tree[key] = copy.deepcopy(value)  # or a later change would be one of SMALL
    return params


class Recipe:
    """A folder like sample/, beside links to this repository's asr/ and stages/."""

    def __init__(self, root: Path, changes: dict) -> None:
        self.folder, self.python = root / "recipe", "python"
        self.folder.mkdir()
        for code in ("asr", "stages"):
            (root / code).symlink_to(REPOSITORY / code)
        for name in ("dvc.yaml", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
            (self.folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(REPOSITORY / "sample" / name, self.folder / name)
        (self.folder / ".dvc/config.local").write_text("[core]\nno_scm = true\n")  # there is no git here
        self.params = yaml.safe_load((REPOSITORY / "sample/params.yaml").read_text())
        self.set(SMALL | changes)

    def set(self, changes: dict) -> None:
        """Change parameters, named as for `dvc exp run -S`."""
        (self.folder / "params.yaml").write_text(yaml.safe_dump(changed(self.params, changes)))

    def reload(self) -> None:
        """Take the parameters from the file again."""
        self.params = yaml.safe_load((self.folder / "params.yaml").read_text())

    def share(self, finished: "Recipe") -> None:
        """Take over what another recipe's stages wrote, up to the filter."""
        (self.folder / "data").mkdir()
        for name in ("raw", "pretrained", "features", "filtered", "tokenizer"):
            (self.folder / "data" / name).symlink_to(finished.folder / "data" / name)

    def start(self, stage: str, *args: str, **environment: str) -> subprocess.Popen:
        """Start a stage as dvc.yaml does, of the first corpus; `python` is the fork server's."""
        if stage in ("download", "featurize") and not args:
            args = (next(iter(self.params["corpora"])),)
        return subprocess.Popen(
            [self.python, "-m", f"stages.{stage}", *args],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": "..", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, stage: str, *args: str) -> str:
        """Run a stage that has to succeed; returns what it printed."""
        process = self.start(stage, *args)
        output = process.communicate()[0]
        assert process.returncode == 0, output
        return output

    def fail(self, stage: str, *args: str) -> str:
        """Run a stage that has to end with an error message, not a traceback; returns what it printed."""
        process = self.start(stage, *args)
        output = process.communicate()[0]
        assert process.returncode == 1, output
        assert "Traceback" not in output, output
        return output
