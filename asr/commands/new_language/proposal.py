"""A recipe for another language, and the findings about the language, its corpus and the tokenizer."""

import argparse
import json
import logging
import math
import os
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import httpx2
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from transformers import WhisperProcessor

from asr.audio.log_mel import POSITIONS_PER_SECOND
from asr.commands.check import layout
from asr.commands.check.examination import examine
from asr.commands.check.faults import faults
from asr.commands.check.reading import read
from asr.commands.check.transcripts import by_script
from asr.commands.new_language import database, findings, recipe, relatives, spelling
from asr.commands.new_language.corpus import block, read_lines, readable, seen_from, sha256
from asr.commands.new_language.relatives import Candidate
from asr.model.whisper import load_processor
from asr.params import load_params, read_yaml
from asr.runtime.errors import CODE
from asr.scoring.text import without_tags
from asr.sources.mdc import CORPORA

PROCESSOR = ["*.json", "*.txt"]  # a checkpoint's files without its weights
NEWEST = "yue"  # the only language that large-v3 and large-v3-turbo have and the others lack
# The learning rate by a model's width, and widths by size: a twentieth of the rate in pretraining (Radford et
# al. 2022: 1.5e-3, 1e-3, 5e-4, 2.5e-4, 1.75e-4), which was best for whisper-base: docs/experiments.md.
RATES = {384: 7.5e-5, 512: 5.0e-5, 768: 2.5e-5, 1024: 1.25e-5, 1280: 8.75e-6}
# How often a training hears a clip: of ten minutes, with label smoothing, 16 times was better than 8 times
# (docs/experiments.md). Fewer than 100 steps were not tried.
PASSES, LEAST_STEPS = 16, 100
WIDTHS = {"tiny": 384, "base": 512, "small": 768, "medium": 1024, "large": 1280}
HEAD = """\
{title}, written by `asr new-language`; README.md beside it has the findings. What is not about the language
and its corpus is as the last commit has it in the root's params.yaml, without changes that are not committed.
Every key is required, unknown keys are refused. `dvc exp run -S train.max_steps=4000` changes one here
and runs; `git restore params.yaml` takes it back."""
logger = logging.getLogger("new-language")


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


def parameters(
    args: argparse.Namespace,
    folder: Path,
    described: Path | None,
    commit: str | None,
    token: str,
    why: str,
    n_clips: int | None,
) -> dict:
    """Return the parameters that differ from the root's recipe, with a comment; None keeps the root's.

    Parameters
    ----------
    described: a folder with the checkpoint's config.json, if there is one
    commit: of the checkpoint on the hub
    n_clips: for training, if they are known
    """
    model, own = Path(args.model), {}
    root = read_yaml(recipe.committed(CODE, "params.yaml"))
    named = next((width for size, width in WIDTHS.items() if f"whisper-{size}" in model.name), None)
    config = {"d_model": named}
    if described and (described / "config.json").exists():
        config = json.loads((described / "config.json").read_text(encoding="utf-8"))
    own_s = config.get("max_source_positions", 1500) // POSITIONS_PER_SECOND
    if own_s < root["model"]["audio_window_s"]:
        own["model.audio_window_s"] = (own_s, "as the pretrained model was built")
    rate = RATES.get(config.get("d_model"))
    if rate and rate != root["train"]["learning_rate"]:
        own["train.learning_rate"] = (rate, "for a model of this size: docs/training.md")
    if n_clips:
        own |= shorter(n_clips, root["train"])
    weights = model / "model.safetensors"
    return own | {
        "pretrained.name": (seen_from(folder, model) if model.is_dir() else args.model, None),
        "pretrained.revision": (sha256(weights) if weights.exists() else commit, None),
        "model.language": (token, why),
        "transcribe.language_model.path": (
            seen_from(folder, args.text or CODE / CORPORA / "README.md"),
            None,
        ),
    }


def shorter(n_clips: int, train: dict) -> dict:
    """Return the steps for so few training clips that the root's would be more than PASSES over them.

    Validation is at the end only, and a tenth of the steps warm up, as in the root's recipe.
    """
    batch = train["per_device_train_batch_size"] * train["gradient_accumulation_steps"]
    steps = max(10 * math.ceil(PASSES * n_clips / batch / 10), LEAST_STEPS)
    if steps >= train["max_steps"]:
        return {}
    return {
        "train.max_steps": (steps, f"for {n_clips} training clips: docs/training.md"),
        "train.warmup_steps": (steps // 10, None),
        "train.eval_steps": (steps, None),
        "train.save_steps": (steps, None),
    }


def write(args: argparse.Namespace, folder: Path) -> str:
    """Write the recipe into a new folder; returns the findings, its README.md."""
    if folder.exists():
        raise FileExistsError(f"{folder} exists: give another --out")
    transformers.utils.logging.set_verbosity_error()  # about long sentences, which are counted
    language = database.find(args.locale)
    if not language.family:
        logger.warning("no relatives of %s are known", args.locale)
    name, corpus = "mine" if args.folder else "cv", readable(args)
    if corpus:
        rows, log = read({name: corpus})
        sentences = [*filter(None, rows.sentence.map(without_tags).str.strip())]
    else:
        sentences = read_lines(args.text) if args.text else []
    script = next(iter(by_script(Counter(chain.from_iterable(sentences)))), language.script)

    pinned = read_yaml(recipe.committed(CODE, "params.yaml"))["pretrained"]
    revision = pinned["revision"] if args.model == pinned["name"] else None
    files, commit = find_processor(args.model, revision, args.tokenizer)
    processor = load_processor(files, "english", "transcribe") if files else None
    ranked = usable(relatives.nearest(args.locale, script), args.model, processor)
    token = relatives.token(args.language) if args.language else ranked[0].token
    why = next((one.reason() for one in ranked if one.token == token), None)
    if why is None:
        raise ValueError(f"--language: {args.model} has no token for {token}; large-v3 has: --size large-v3")

    cost = spelling.cost(processor.tokenizer, sentences) if processor and sentences else None
    described = Path(args.model) if Path(args.model).is_dir() else files if commit else None
    n_clips = int((rows.split != "test").sum()) if corpus else None
    changes = parameters(args, folder, described, commit or revision, token, why, n_clips)
    title = f"{language.name} ({args.locale})"
    recipe.write(CODE, folder, changes, {name: block(args, folder, corpus)}, HEAD.format(title=title))
    limits = load_params(folder / "params.yaml")
    examined = corpus and examine(rows, log, {name: corpus}, limits.filter, limits.model.audio_window_s)
    text = layout.page(title, {
        "Language token": findings.of_language(language, ranked, token),
        "Tokenizer": _of_tokenizer(args.archive or args.folder or args.text, cost),
        "Normalisers": findings.of_normalisers(spelling.treatment(sentences)),
        "Corpus": _of_corpus(examined) if examined else [],
        "Next": _next(folder, args, changes),
    })  # fmt: skip
    (folder / "README.md").write_text(text, encoding="utf-8")
    return text


def _of_tokenizer(source: Path | None, cost: spelling.Cost | None) -> list[str]:
    if not source:
        return [
            "Not checked: there is no text. Give --archive, --folder, or --text with a sentence on each line."
        ]
    if not cost:
        return ["Not checked: the hub gave no tokenizer. Give --tokenizer FOLDER, such as data/pretrained."]
    return [f"Checked on {source}, sentences: {cost.sentences:,}.", *findings.of_tokenizer(cost)]


def _of_corpus(examined: dict) -> list[str]:
    """Lay out the clips, how the corpus was read, and what to look at; `asr check` has all of it."""
    found = [*examined["log"], *faults(examined)]
    return [
        layout.clips(examined, "github"),
        "",
        *layout.lengths(examined["window"]),
        "",
        *(f"- {line}" for line in found),
    ]


def _next(folder: Path, args: argparse.Namespace, changes: dict) -> list[str]:
    lines = []
    if not args.archive and not args.folder and not args.mdc:
        lines = ["Set `corpora.cv.path` in params.yaml to the corpus (docs/corpora.md).", ""]
    if changes["pretrained.revision"][0] is None:
        lines = ["`pretrained.revision` is null. A commit from the model's page pins the model.", "", *lines]
    return [
        *lines,
        f"    cd {os.path.relpath(folder)}",
        "    dvc repro filter    # metrics/filter.json: hours, speakers, clips that were dropped and why",
        "    dvc repro",
    ]
