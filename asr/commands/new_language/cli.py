"""Write a recipe for another language: asr new-language ckb --archive corpora/cv-corpus-….tar.gz

Proposes the nearest language token that Whisper has, fills in corpus and checkpoint, and says what a word
costs in the tokenizer's ids and whether the normalisers keep the script's marks: on the corpus' own sentences
where they are at hand. The folder gets a dvc.yaml, a params.yaml, and what was found as README.md.
"""

import argparse
import hashlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path

import httpx2
import transformers
import yaml
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from langcodes.data_dicts import ALL_SCRIPTS
from transformers import WhisperProcessor

from asr.commands.new_language import database, findings, recipe, relatives, spelling
from asr.commands.new_language.alphabets import alphabet
from asr.commands.new_language.relatives import Candidate
from asr.commands.new_language.survey import survey
from asr.model.whisper import load_processor
from asr.runtime.errors import CODE
from asr.sources.archive import CORPORA

SIZES = ("tiny", "base", "small", "medium", "large-v3", "large-v3-turbo")
PROCESSOR = ["*.json", "*.txt"]  # all of a checkpoint but its weights
NEWEST = "yue"  # the one token that only large-v3 and its turbo have
SAMPLE = "Google Fonts' sample of the language"
HEAD = """\
{title}, written by `asr new-language`; README.md beside it has what that found.
Every key is required; stages refuse unknown ones. Change one for a single run with
`dvc exp run -S train.max_steps=4000`."""
logger = logging.getLogger("new-language")


def read_lines(path: Path) -> list[str]:
    """Read a text, a sentence a line.

    Raises
    ------
    FileNotFoundError: no such file.
    ValueError: not UTF-8, or nothing in it.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"--text: {path} is not UTF-8 ({error.reason}): save it as UTF-8") from error
    if not lines:
        raise ValueError(f"--text: {path} has no line")
    return lines


def find_archive(locale: str) -> Path | None:
    """Find a release of the locale in corpora/, if there is just one."""
    names = (f"cv-corpus-*-{locale}.{suffix}" for suffix in ("tar", "tar.gz", "zip"))
    found = [path for name in names for path in (CODE / CORPORA).glob(name) if path.is_file()]
    return found[0] if len(found) == 1 else None


def find_processor(model: str, revision: str | None, folder: Path | None) -> tuple[Path | None, str | None]:
    """Find the files of a checkpoint's processor, and the commit they are of, where the hub has them.

    Without a network, data/pretrained/ of the root's recipe has the same: all multilingual Whispers share
    their tokenizer, but for one language of large-v3. None where that is not there either.
    """
    if folder and not folder.is_dir():
        raise FileNotFoundError(f"--tokenizer: no folder {folder.absolute()}")
    if folder or Path(model).is_dir():
        return folder or Path(model), None
    try:
        files = Path(snapshot_download(model, revision=revision, allow_patterns=PROCESSOR))
        return files, files.name  # the hub's cache names a folder by its commit
    except (OSError, HFValidationError, httpx2.TransportError) as error:  # the hub's errors are OSErrors
        logger.warning("no tokenizer of %s: %s", model, str(error).splitlines()[0])
        files = CODE / "data/pretrained"
        return (files if (files / "tokenizer.json").exists() else None), None


def usable(ranked: Iterable[Candidate], model: str, processor: WhisperProcessor | None) -> list[Candidate]:
    """Leave out languages that the checkpoint has no token for."""
    if processor and Path(model).is_dir():
        tokens = processor.tokenizer.get_vocab()
        return [one for one in ranked if f"<|{one.code}|>" in tokens]
    return [one for one in ranked if one.code != NEWEST or "large-v3" in model]


def parameters(args: argparse.Namespace, folder: Path, commit: str | None, token: str, why: str) -> dict:
    """List the parameters that differ from the root's recipe, each with a comment, None to keep its own."""
    model, archive = Path(args.model), args.archive
    weights = model / "model.safetensors"
    return {
        "download.source": ("mdc" if args.mdc else "archive", None),
        "download.locale": (args.locale, None),
        "download.archive": (
            _seen_from(folder, archive or CODE / CORPORA / f"cv-corpus-{args.locale}.tar.gz"),
            None if archive else "to be set: path of a Common Voice release",
        ),
        "download.archive_sha256": (_sha256(archive) if archive else None, "null: not checked"),
        "download.mdc.dataset": (args.mdc or "to-be-set", "id or slug on Mozilla Data Collective"),
        "pretrained.name": (_seen_from(folder, model) if model.is_dir() else args.model, None),
        "pretrained.revision": (_sha256(weights) if weights.exists() else commit, None),
        "model.language": (token, why),
    }


def write(args: argparse.Namespace, folder: Path) -> str:
    """Write the recipe and return what was found."""
    if folder.exists():
        raise FileExistsError(f"{folder} is there already, and is left as it is: give another --out")
    language = database.find(args.locale)
    if not language.family:
        logger.warning("of %s nothing is known: is it what Common Voice calls the language?", args.locale)
    release = survey(args.archive, args.locale) if args.archive else None
    sentences = release.sentences if release else read_lines(args.text) if args.text else []
    script = spelling.script(sentences, ALL_SCRIPTS) or language.script
    letters = alphabet(language.code, script)
    source = args.archive or args.text or (SAMPLE if letters.sentences else None)
    sentences = sentences or list(letters.sentences)

    pinned = yaml.safe_load((CODE / "params.yaml").read_text(encoding="utf-8"))["pretrained"]
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
    recipe.write(CODE, folder, changes, HEAD.format(title=title))
    text = findings.page(title, {
        "Language token": findings.of_language(language, script, ranked, token),
        "Tokenizer": _of_tokenizer(source, processor, sentences, cost),
        "Normalisers": findings.of_normalisers(
            spelling.treatment(sentences), spelling.treatment(letters.letters), letters
        ),
        "Corpus": findings.of_corpus(release, cost.ids if cost else 0) if release else [],
        "Next": _next(folder, args, changes),
    })  # fmt: skip
    (folder / "README.md").write_text(text, encoding="utf-8")
    return text


def _of_tokenizer(
    source: object, processor: WhisperProcessor | None, sentences: list[str], cost: spelling.Cost | None
) -> list[str]:
    if not sentences:
        return ["Not checked: there is no text. Give --archive, or --text with a sentence a line."]
    if not processor:
        return ["Not checked: there is no tokenizer, for the hub gave none. Give --tokenizer FOLDER."]
    many = cost.ids_per_word > findings.MANY_IDS
    extended = spelling.cost_extended(processor, sentences, spelling.TO_TRY) if many else None
    size = processor.tokenizer.vocab_size
    text = f"Checked on {source}, sentences: {len(sentences):,}."
    return [text, *findings.of_tokenizer(cost, extended, size)]


def _next(folder: Path, args: argparse.Namespace, changes: dict) -> list[str]:
    lines = []
    if not args.archive and not args.mdc:
        lines = ["`download.archive` in params.yaml has to be set (README, Where the corpus comes from).", ""]
    if changes["pretrained.revision"][0] is None:
        lines = ["`pretrained.revision` is null: a commit from the model's page pins it.", "", *lines]
    return [
        *lines,
        f"    cd {os.path.relpath(folder)}",
        "    dvc repro filter    # then metrics/filter.json: hours, speakers, what was dropped and why",
        "    dvc repro",
    ]


def _seen_from(folder: Path, path: Path) -> str:
    """Write a path as the recipe's stages have to: relative within the repository, absolute outside of it."""
    path, root = path.resolve(), CODE.resolve()
    return os.path.relpath(path, folder.resolve()) if root in path.parents else str(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="asr new-language", description=__doc__.splitlines()[0])
    parser.add_argument("locale", help="as Common Voice has it: ckb, zh-HK; with --renew, a recipe's folder")
    corpus = parser.add_mutually_exclusive_group()
    corpus.add_argument("--archive", type=Path, help="a Common Voice release (default: in corpora/, if any)")
    corpus.add_argument("--mdc", metavar="DATASET", help="id or slug on Mozilla Data Collective")
    parser.add_argument("--text", type=Path, help="sentences to check with, a line each, without archive")
    parser.add_argument("--language", help="the token to use instead of the nearest")
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--size", choices=SIZES, default="small", help="of openai/whisper (default: small)")
    model.add_argument("--model", help="another checkpoint: a name on the hub, or a folder")
    parser.add_argument("--tokenizer", type=Path, help="a folder with Whisper's tokenizer, offline")
    parser.add_argument("--out", type=Path, help="folder (default: recipes/LOCALE in the repository)")
    parser.add_argument("--renew", action="store_true", help="write a recipe's dvc.yaml anew, no more")
    args = parser.parse_args(argv)
    args.model = args.model or f"openai/whisper-{args.size}"
    return args


def main(argv: list[str]) -> None:
    args = _parse(argv)
    if args.renew:
        file = Path(args.locale) / "dvc.yaml"
        if not file.exists():
            raise FileNotFoundError(f"--renew: no {file.absolute()}: give a recipe's folder")
        file.write_text(recipe.located(CODE, file.parent), encoding="utf-8")
        return print(f"{file} follows the root's again; `dvc status` says what that changed")
    if not args.archive and not args.text and not args.mdc:
        args.archive = find_archive(args.locale)
    transformers.utils.logging.set_verbosity_error()  # of sentences that are too long, which we count
    print(write(args, args.out or CODE / "recipes" / args.locale), end="")
