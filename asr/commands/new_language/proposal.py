"""A recipe for another language, and the findings about the language, its corpus and the tokenizer."""

import argparse
import hashlib
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path

import httpx2
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from langcodes.data_dicts import ALL_SCRIPTS
from transformers import WhisperProcessor

from asr.audio.log_mel import POSITIONS_PER_SECOND
from asr.commands.new_language import database, findings, recipe, relatives, spelling
from asr.commands.new_language.relatives import Candidate
from asr.commands.new_language.survey import survey
from asr.model.whisper import load_processor
from asr.params import read_yaml
from asr.runtime.errors import CODE
from asr.sources.mdc import CORPORA

PROCESSOR = ["*.json", "*.txt"]  # a checkpoint's files without its weights
NEWEST = "yue"  # the only language that large-v3 and large-v3-turbo have and the others lack
HEAD = """\
{title}, written by `asr new-language`; README.md beside it has the findings.
Every key is required, unknown keys are refused. `dvc exp run -S train.max_steps=4000` changes one here
and runs; `git restore params.yaml` takes it back."""
logger = logging.getLogger("new-language")


def read_lines(path: Path) -> list[str]:
    """Read a text with a sentence on each line.

    Raises
    ------
    FileNotFoundError: no such file.
    ValueError: not UTF-8, or empty.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"--text: {path} is not UTF-8 ({error.reason}): save it as UTF-8") from error
    if not lines:
        raise ValueError(f"--text: {path} is empty")
    return lines


def find_archive(locale: str) -> Path | None:
    """Find the locale's release in corpora/; None unless there is exactly one."""
    suffixes = ("tar", "tar.gz", "zip")
    names = (f"{kind}-corpus-*-{locale}.{suffix}" for kind in ("cv", "sps") for suffix in suffixes)
    found = [path for name in names for path in (CODE / CORPORA).glob(name) if path.is_file()]
    return found[0] if len(found) == 1 else None


def find_processor(model: str, revision: str | None, folder: Path | None) -> tuple[Path | None, str | None]:
    """Return the folder of a checkpoint's processor, and its commit on the hub; None for what is unknown."""
    if folder and not folder.is_dir():
        raise FileNotFoundError(f"--tokenizer: no folder {folder.absolute()}")
    if folder or Path(model).is_dir():
        return folder or Path(model), None
    try:
        files = Path(snapshot_download(model, revision=revision, allow_patterns=PROCESSOR))
        return files, files.name  # the hub's cache names a folder by its commit
    except (OSError, HFValidationError, httpx2.TransportError) as error:  # the hub's errors are OSErrors
        logger.warning("no tokenizer of %s: %s", model, str(error).splitlines()[0])
        return None, None


def usable(ranked: Iterable[Candidate], model: str, processor: WhisperProcessor | None) -> list[Candidate]:
    """Keep the languages that the checkpoint has a token for."""
    if processor and Path(model).is_dir():
        tokens = processor.tokenizer.get_vocab()
        return [one for one in ranked if f"<|{one.code}|>" in tokens]
    return [one for one in ranked if one.code != NEWEST or "large-v3" in model]


def parameters(args: argparse.Namespace, folder: Path, commit: str | None, token: str, why: str) -> dict:
    """Return the parameters that differ from the root's recipe, with a comment; None keeps the root's."""
    model = Path(args.model)
    weights, config = model / "model.safetensors", model / "config.json"
    shorter = {}
    if config.exists():
        positions = json.loads(config.read_text(encoding="utf-8")).get("max_source_positions", 1500)
        own_s = positions // POSITIONS_PER_SECOND
        if own_s < read_yaml((CODE / "params.yaml").read_text(encoding="utf-8"))["model"]["audio_window_s"]:
            shorter["model.audio_window_s"] = (own_s, "as the pretrained model was built")
    return shorter | {
        "pretrained.name": (_seen_from(folder, model) if model.is_dir() else args.model, None),
        "pretrained.revision": (_sha256(weights) if weights.exists() else commit, None),
        "model.language": (token, why),
    }


def corpus(args: argparse.Namespace, folder: Path) -> tuple[str, recipe.Block]:
    """Return the corpus' name, and its keys with their values and comments."""
    if args.mdc:
        anchor = _seen_from(folder, CODE / CORPORA / "README.md")
        source = {
            "source": ("mdc", "Mozilla Data Collective"),
            "path": (anchor, "of what is there, nothing here can be watched"),
            "dataset": (args.mdc, "id or slug"),
        }
    else:
        archive = args.archive or CODE / CORPORA / f"cv-corpus-{args.locale}.tar.gz"
        source = {
            "source": ("archive", "a Common Voice release"),
            "path": (_seen_from(folder, archive), None if args.archive else "to be set"),
            "sha256": (_sha256(archive) if args.archive else None, "null: not checked"),
        }
    return "cv", source | {
        "use": ("both", "train | test | both"),
        "locale": (args.locale, None),
        "test_fraction": (0.1, "of the speakers, where a release has no test split"),
        "add_validated": (False, "true: train on validated.tsv too, less what validation and test share"),
    }


def write(args: argparse.Namespace, folder: Path) -> str:
    """Write the recipe into a new folder; returns the findings, its README.md."""
    if folder.exists():
        raise FileExistsError(f"{folder} exists: give another --out")
    transformers.utils.logging.set_verbosity_error()  # about long sentences, which are counted
    language = database.find(args.locale)
    if not language.family:
        logger.warning("nothing is known about %s: is it spelt as on Common Voice?", args.locale)
    release = survey(args.archive, args.locale) if args.archive else None
    sentences = release.sentences if release else read_lines(args.text) if args.text else []
    script = spelling.script(sentences, ALL_SCRIPTS) or language.script

    pinned = read_yaml((CODE / "params.yaml").read_text(encoding="utf-8"))["pretrained"]
    revision = pinned["revision"] if args.model == pinned["name"] else None
    files, commit = find_processor(args.model, revision, args.tokenizer)
    processor = load_processor(files, "english", "transcribe") if files else None
    ranked = usable(relatives.nearest(args.locale, script), args.model, processor)
    token = relatives.token(args.language) if args.language else ranked[0].token
    why = next((one.reason() for one in ranked if one.token == token), None)
    if why is None:
        raise ValueError(f"--language: {args.model} has no token for {token}; large-v3 has: --size large-v3")

    cost = spelling.cost(processor.tokenizer, sentences) if processor and sentences else None
    changes = parameters(args, folder, commit or revision, token, why)
    title = f"{language.name} ({args.locale})"
    recipe.write(CODE, folder, changes, dict([corpus(args, folder)]), HEAD.format(title=title))
    text = findings.page(title, {
        "Language token": findings.of_language(language, ranked, token),
        "Tokenizer": _of_tokenizer(args.archive or args.text, cost),
        "Normalisers": findings.of_normalisers(spelling.treatment(sentences)),
        "Corpus": findings.of_corpus(release) if release else [],
        "Next": _next(folder, args, changes),
    })  # fmt: skip
    (folder / "README.md").write_text(text, encoding="utf-8")
    return text


def _of_tokenizer(source: Path | None, cost: spelling.Cost | None) -> list[str]:
    if not source:
        return ["Not checked: there is no text. Give --archive, or --text with a sentence on each line."]
    if not cost:
        return ["Not checked: the hub gave no tokenizer. Give --tokenizer FOLDER, such as data/pretrained."]
    return [f"Checked on {source}, sentences: {cost.sentences:,}.", *findings.of_tokenizer(cost)]


def _next(folder: Path, args: argparse.Namespace, changes: dict) -> list[str]:
    lines = []
    if not args.archive and not args.mdc:
        lines = ["Set `corpora.cv.path` in params.yaml to the corpus (docs/corpora.md).", ""]
    if changes["pretrained.revision"][0] is None:
        lines = ["`pretrained.revision` is null. A commit from the model's page pins the model.", "", *lines]
    return [
        *lines,
        f"    cd {os.path.relpath(folder)}",
        "    dvc repro filter    # metrics/filter.json: hours, speakers, clips that were dropped and why",
        "    dvc repro",
    ]


def _seen_from(folder: Path, path: Path) -> str:
    """Return a path as the recipe's stages need it: relative within the repository, else absolute."""
    path, root = path.resolve(), CODE.resolve()
    return os.path.relpath(path, folder.resolve()) if root in path.parents else str(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
