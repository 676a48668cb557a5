"""Publish a run's model and card on the Hugging Face hub: asr publish OWNER/NAME

Without --yes it is a dry run, which touches no network: it shows what would go where. With --yes it makes one
commit there, in a private repository unless --public is given. The token comes from HF_TOKEN.
"""

import argparse
import fnmatch
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from huggingface_hub import CommitOperationAdd, HfApi, constants
from huggingface_hub.errors import (
    BadRequestError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from asr.commands.publish import card, provenance, record
from asr.commands.publish.card import CARD
from asr.commands.publish.record import MODEL, Record
from asr.runtime.secrets import redacted

# What transformers writes of a model, and nothing else: no optimizer, no checkpoint, nothing of a corpus.
FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
    "processor_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "normalizer.json",
    "vocab.json",
    "merges.txt",
)
TOKENS = "https://huggingface.co/settings/tokens"
logger = logging.getLogger("publish")


def choose(model: Path) -> tuple[list[Path], list[Path]]:
    """Split a model's folder into the files that are published, the card aside, and all others."""
    files = sorted(path for path in model.rglob("*") if path.is_file() and path != model / CARD)
    chosen = [p for p in files if p.parent == model and any(fnmatch.fnmatch(p.name, name) for name in FILES)]
    if not any(path.suffix == ".safetensors" for path in chosen):
        raise FileNotFoundError(f"no weights in {model}: run `dvc repro`, or `dvc pull {MODEL}`")
    return chosen, [path for path in files if path not in chosen]


def obstacles(run: Record, licence: str | None) -> list[str]:
    """List what keeps a run from being published, and what to do about it."""
    found = []
    if not run.commit:
        found.append("dvc.lock is in no commit, so nobody could make the model again: git add, git commit")
    elif run.uncommitted:
        shown = ", ".join(run.uncommitted[:5]) + (", …" if len(run.uncommitted) > 5 else "")
        found.append(f"the run's record or code has changes that are in no commit ({shown}): git commit")
    if licence is None:
        found.append(
            f"nobody has said under which licence: that of {run.params.pretrained.name} decides; give it as"
            " the hub names it, such as --license apache-2.0"
        )
    return found


def show(name: str, files: list[Path], others: list[Path], text: str, public: bool, tag: str | None) -> None:
    """Print what would be published, and where."""
    print(f"to      {constants.ENDPOINT}/{name}, {'for everyone' if public else 'private'}")
    if tag:
        print(f"tag     {tag}")
    sizes = {CARD: len(text.encode()), **{path.name: path.stat().st_size for path in files}}
    for file, size in sizes.items():
        print(f"file    {size:>13,}  {file}")
    print(f"in all  {sum(sizes.values()):>13,}  bytes")
    for path in others:
        print(f"stays   {path.stat().st_size:>13,}  {path.name}")


def push(
    name: str, files: list[Path], text: str, message: str, token: str, public: bool, tag: str | None
) -> str:
    """Upload card and files as one commit; returns its address.

    What the hub has already, of this or of a broken-off try, is not sent again.

    Raises
    ------
    PermissionError: the token is not accepted, or may not write there.
    ConnectionError: the hub cannot be reached, is in trouble, or a transfer broke off; run again.
    FileExistsError: the tag is taken.
    ValueError: the repository is there, and open or private as was not asked for; the hub refuses the card.
    """
    api = HfApi(token=token)
    with _explained(name):
        api.create_repo(name, private=not public, exist_ok=True)
        is_private = api.model_info(name).private
        tags = {ref.name for ref in api.list_repo_refs(name).tags} if tag else set()
    if is_private == public:
        found, wanted = ("private", "leave --public out") if public else ("open to everyone", "give --public")
        raise ValueError(f"{name} is there already, and {found}: {wanted}, or change that in its settings")
    if tag in tags:
        raise FileExistsError(f"{name} has a tag {tag} already, and tags are not moved: give another")
    added = [CommitOperationAdd(CARD, text.encode())]
    added += [CommitOperationAdd(path.name, path) for path in files]
    with _explained(name):
        commit = api.create_commit(name, added, commit_message=message)
        if tag:
            api.create_tag(name, tag=tag, revision=commit.oid, tag_message=message)
    return str(commit.commit_url)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Say of what the hub's client raises what went wrong and what to do."""
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise ConnectionError("HF_HUB_OFFLINE is set: unset it to publish") from error
    except (HfHubHTTPError, httpx2.TransportError, RuntimeError, ValueError) as error:
        raise _meaning(name, error) from error


def _meaning(name: str, error: Exception) -> Exception:
    """Turn what the hub's client raises into an error that says what to do."""
    again = "Run again: what has arrived is not sent again"
    cause: BaseException | None = error
    while cause and not isinstance(cause, (HfHubHTTPError, httpx2.TransportError)):
        cause = cause.__cause__ or cause.__context__
    if not isinstance(cause, HfHubHTTPError):
        what = f"{type(cause or error).__name__}: {redacted(card.plain(cause or error))[:300]}"
        return ConnectionError(
            f"{name}: the hub cannot be reached, or the transfer broke off ({what}). {again}"
        )
    status, says = cause.response.status_code, redacted(card.plain(cause.server_message or ""))[:300]
    says = f"the hub says {status}" + (f", {says}" if says else "")
    if isinstance(cause, BadRequestError):
        return ValueError(f"{name}: {says}: it refuses what it was sent, and nothing is published")
    if status == 401 and not isinstance(cause, RepositoryNotFoundError):
        return PermissionError(
            f"{name}: {says}: it does not accept the token in HF_TOKEN. {TOKENS} makes one"
        )
    if status in (401, 403, 404):
        owner = name.split("/")[0]
        return PermissionError(
            f"{name}: {says}. Is {owner} you, or an organisation that you may write for? The token in"
            f" HF_TOKEN needs the role write, or write access to {owner}: {TOKENS}"
        )
    return ConnectionError(f"{name}: {says}. {again}")


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="asr publish", description=__doc__.splitlines()[0])
    parser.add_argument("name", metavar="OWNER/NAME", help="the model's repository on the hub")
    parser.add_argument("--yes", action="store_true", help="do it; without, nothing leaves this machine")
    parser.add_argument("--public", action="store_true", help="for everyone; default: private")
    parser.add_argument("--tag", help="of the hub's commit, such as v1.0.0")
    card.arguments(parser)
    args = parser.parse_args(argv)
    card.check_name(args.name)
    token = os.environ.get("HF_TOKEN", "").strip()
    if args.yes and not token:
        raise PermissionError(f"no HF_TOKEN in the environment: {TOKENS} makes one that may write")
    run = record.read(args.recipe)
    card.require_one_run(args.recipe)
    text = card.text(run, args.language, args.license, args.name)
    files, others = choose(args.recipe / MODEL)
    show(args.name, files, others, text, args.public, args.tag)
    base = provenance.base_of(run.params, run.recipe)
    found = obstacles(run, provenance.licence_of(base, args.license))
    if not args.yes:
        print(f"\n{text}")
        for obstacle in found:
            logger.warning("in the way: %s", obstacle)
        logger.info("a dry run: nothing was sent. With --yes it is")
        return
    if found:
        raise ValueError("\n  ".join(["not published:", *found]))
    where = f"{run.subfolder}dvc.lock of commit {run.commit}"
    logger.info("%s", push(args.name, files, text, f"Model of {where}", token, args.public, args.tag))
