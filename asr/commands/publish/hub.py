"""The Hugging Face hub: which files are published, what prevents it, and the upload."""

import fnmatch
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import CommitOperationAdd, HfApi, constants
from huggingface_hub.errors import (
    BadRequestError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from asr.commands.card.model_card import FILE as CARD
from asr.commands.card.model_card import plain
from asr.commands.card.record import MODEL, Record
from asr.language_model import FILE as LANGUAGE_MODEL
from asr.runtime.secrets import redacted

# The files that transformers writes of a model, and its language model. No optimizer, no checkpoint and no
# file of a corpus is sent.
FILES = (
    "config.json", "generation_config.json", "model.safetensors", "model-*-of-*.safetensors",
    "model.safetensors.index.json", "processor_config.json", "preprocessor_config.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "normalizer.json", "vocab.json",
    "merges.txt", LANGUAGE_MODEL,
)  # fmt: skip
TOKENS = "https://huggingface.co/settings/tokens"
AGAIN = "Run it again: what has arrived is not sent again"


@dataclass(frozen=True)
class Upload:
    """What goes to the hub, and where."""

    name: str  # of the repository: owner/name
    files: list[Path]
    card: str
    public: bool
    tag: str | None


def choose(model: Path) -> tuple[list[Path], list[Path]]:
    """Split the files in a model's folder, without the card, into those to publish and all others."""
    files = sorted(path for path in model.rglob("*") if path.is_file() and path != model / CARD)
    chosen = [p for p in files if p.parent == model and any(fnmatch.fnmatch(p.name, name) for name in FILES)]
    if not any(path.suffix == ".safetensors" for path in chosen):
        raise FileNotFoundError(f"no weights in {model}: run `dvc repro`, or `dvc pull {MODEL}`")
    return chosen, [path for path in files if path not in chosen]


def obstacles(run: Record, licence: str | None) -> list[str]:
    """List what prevents publishing a run, and what to do about it."""
    found = []
    if not run.commit:
        found.append("dvc.lock is not committed, so nobody could reproduce the model: git add, git commit")
    elif run.uncommitted:
        shown = ", ".join(run.uncommitted[:5]) + (", …" if len(run.uncommitted) > 5 else "")
        found.append(f"the run's record or code has uncommitted changes ({shown}): git commit")
    if licence is None:
        found.append(
            f"the model has no licence: give the one of its base, {run.params.pretrained.name}, in the hub's"
            " terms, such as --license apache-2.0"
        )
    return found


def show(upload: Upload, others: list[Path]) -> None:
    """Print what is to be published and where, and the files that stay."""
    print(f"to      {constants.ENDPOINT}/{upload.name}, {'for everyone' if upload.public else 'private'}")
    if upload.tag:
        print(f"tag     {upload.tag}")
    sizes = {CARD: len(upload.card.encode()), **{path.name: path.stat().st_size for path in upload.files}}
    for file, size in sizes.items():
        print(f"file    {size:>13,}  {file}")
    print(f"in all  {sum(sizes.values()):>13,}  bytes")
    for path in others:
        print(f"stays   {path.stat().st_size:>13,}  {path.name}")


def push(upload: Upload, message: str, token: str) -> str:
    """Upload card and files as one commit; returns its address.

    The hub keeps the files of an interrupted upload, so they are not sent again.

    Raises
    ------
    PermissionError: the token is not accepted, or may not write there.
    ConnectionError: the hub cannot be reached or is in trouble, or a transfer broke off.
    FileExistsError: the tag exists.
    ValueError: the repository exists and is not as public or private as requested, or the card is refused.
    """
    api, name, tag = HfApi(token=token), upload.name, upload.tag
    with _explained(name):
        api.create_repo(name, private=not upload.public, exist_ok=True)
        is_private = api.model_info(name).private
        tags = {ref.name for ref in api.list_repo_refs(name).tags} if tag else set()
    if is_private == upload.public:
        found, wanted = ("private", "leave out --public") if is_private else ("public", "give --public")
        raise ValueError(f"{name} exists and is {found}: {wanted}, or change that in its settings")
    if tag in tags:
        raise FileExistsError(f"{name} has a tag {tag} already: give another --tag")
    added = [CommitOperationAdd(CARD, upload.card.encode())]
    added += [CommitOperationAdd(path.name, path) for path in upload.files]
    with _explained(name):
        commit = api.create_commit(name, added, commit_message=message)
        if tag:
            api.create_tag(name, tag=tag, revision=commit.oid, tag_message=message)
    return str(commit.commit_url)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Replace the errors of the hub's client by errors that say what to do."""
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise ConnectionError("HF_HUB_OFFLINE is set: unset it to publish") from error
    except (HfHubHTTPError, httpx2.TransportError, RuntimeError, ValueError) as error:
        raise _meaning(name, error) from error


def _meaning(name: str, error: Exception) -> Exception:
    """Return an error that says what to do about an error of the hub's client."""
    cause: BaseException | None = error
    while cause and not isinstance(cause, (HfHubHTTPError, httpx2.TransportError)):
        cause = cause.__cause__ or cause.__context__
    if not isinstance(cause, HfHubHTTPError):
        what = f"{type(cause or error).__name__}: {redacted(plain(cause or error))[:300]}"
        return ConnectionError(f"{name}: no connection to the hub, or it broke off ({what}). {AGAIN}")
    status, says = cause.response.status_code, redacted(plain(cause.server_message or ""))[:300]
    says = f"the hub says {status}" + (f", {says}" if says else "")
    if isinstance(cause, BadRequestError):
        return ValueError(f"{name}: {says}. The hub refuses the card or a file; nothing was published")
    if status == 401 and not isinstance(cause, RepositoryNotFoundError):
        return PermissionError(
            f"{name}: {says}. The hub does not accept the token in HF_TOKEN; {TOKENS} makes one"
        )
    if status in (401, 403, 404):
        owner = name.split("/")[0]
        return PermissionError(
            f"{name}: {says}. {owner} has to be you, or an organisation that you may write for. The token in"
            f" HF_TOKEN needs the role write, or write access to {owner}: {TOKENS}"
        )
    return ConnectionError(f"{name}: {says}. {AGAIN}")
