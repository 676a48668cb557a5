"""A dataset repository on the Hugging Face hub that needs no script: parquet, or a folder of audio."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

import httpx2
from datasets import Audio, Dataset, DatasetBuilder, load_dataset_builder
from datasets import config as datasets_config
from datasets.exceptions import DatasetNotFoundError, DatasetsError
from datasets.packaged_modules.folder_based_builder.folder_based_builder import FolderBasedBuilder
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError

from asr.params import Hub
from asr.tables.corpus import Clip


def clips(params: Hub) -> Iterator[Clip]:
    """Yield the clips of the splits in the repository's order, the audio as it is stored.

    Those of `splits.validated` come last, without the recordings that are in another split.

    Raises
    ------
    FileNotFoundError: no such repository, revision or audio, or a gated repository; says what to do.
    ConnectionError: the hub cannot be reached or fails, or a transfer broke off in every try.
    ValueError: no such configuration, split or column, data that cannot be read, or a repository that needs a
        script.
    """
    splits = {name: split for name, split in params.splits.model_dump().items() if split is not None}
    where = f"dataset {params.dataset!r} (config {params.config}, revision {params.revision})"
    with _explained(where):
        builder = load_dataset_builder(params.dataset, params.config, revision=params.revision)
    check_revision(builder, params)
    if isinstance(builder, FolderBasedBuilder):
        builder.BASE_FEATURE = StoredAudio
    with _explained(where):
        builder.download_and_prepare()
    loaded = {name: _load(builder, params, split, where) for name, split in splits.items()}
    return _clips(params, loaded)


def check_revision(builder: DatasetBuilder, params: Hub) -> None:
    """Raise a ConnectionError unless a dataset is of the commit that was asked for.

    If the hub refuses or cannot be reached, `datasets` takes what is in its cache, of any commit.
    """
    commit = params.revision or ""
    if re.fullmatch("[0-9a-f]{40}", commit) and builder.hash != commit and not Path(params.dataset).exists():
        raise ConnectionError(
            f"dataset {params.dataset!r}: the hub does not give revision {commit}, and the cache"
            f" has {builder.hash} only: look above for the reason, and run again"
        )


@dataclass
class StoredAudio(Audio):
    """The audio of a folder of files, undecoded. `Audio` itself needs torchcodec even for that."""

    decode: bool = False

    def encode_example(self, value: str | dict) -> dict:
        """Return path and bytes as they are, without decoding."""
        return {"bytes": None, "path": value} if isinstance(value, str) else value


def _load(builder: DatasetBuilder, params: Hub, split: str, where: str) -> Dataset:
    where = f"{where}, split {split!r}"
    with _explained(where):
        dataset = builder.as_dataset(split=split)
    wanted = [column for column in params.columns.model_dump().values() if column is not None]
    missing = [column for column in wanted if column not in dataset.column_names]
    if missing:
        raise ValueError(
            f"{where}: no column {', '.join(missing)} among {', '.join(dataset.column_names)}: set columns"
        )
    text = dataset.features[params.columns.sentence]
    if getattr(text, "dtype", "") not in ("string", "large_string"):
        raise ValueError(f"{where}: column {params.columns.sentence} holds {text}, no sentences")
    try:
        # Undecoded: the bytes come through as they are, and nothing has to be installed to decode them.
        return dataset.select_columns(wanted).cast_column(params.columns.audio, Audio(decode=False))
    except (TypeError, ValueError, NotImplementedError) as error:
        found = dataset.features[params.columns.audio]
        raise ValueError(f"{where}: column {params.columns.audio} holds {found}, no audio") from error


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """Turn the errors of `datasets` into ours, which say what was asked for and what to do."""
    try:
        yield
    except (ConnectionError, httpx2.TransportError, HfHubHTTPError) as error:
        raise ConnectionError(_no_connection(where, error)) from error
    except FileNotFoundError as error:
        if _refusal(error) and not isinstance(error, DatasetNotFoundError):
            raise ConnectionError(_no_connection(where, error)) from error
        raise FileNotFoundError(
            f"{where} cannot be loaded.\n  {_first_line(error)}\n"
            "  Check owner/name and revision. A gated one: accept its terms on its page, then `hf auth login`"
            " or HF_TOKEN.\n"
            "  (Common Voice has left the hub: source: archive or mdc. No corpus: `make sample`.)"
        ) from error
    except DatasetsError as error:  # tables that cannot be read, or other rows than the repository says
        raise ValueError(f"{where}: {_first_line(error.__cause__ or error)}") from error
    except RuntimeError as error:
        if "scripts are no longer supported" not in str(error):
            raise
        raise ValueError(
            f"{where} needs a script of its own, which is not run here: look for a copy in parquet, or use"
            " source: archive, mdc or folder"
        ) from error
    except ValueError as error:  # unknown configuration or split: the message lists those there are
        raise ValueError(f"{where}: {_first_line(error)}") from error


def _no_connection(where: str, error: BaseException) -> str:
    refusal = _refusal(error)
    if refusal and refusal.response.status_code == 401:
        return f"{where}: the hub does not accept the token: `hf auth login` anew, or another HF_TOKEN"
    if refusal:
        what = f"the hub says {refusal.response.status_code}"
    elif isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        what = "the hub cannot be reached"
    elif isinstance(error, httpx2.TransportError):
        what = f"the transfer broke off ({type(error).__name__})"
    else:
        what = "the hub cannot be reached, and the dataset is not in its cache"
    return (
        f"{where}: {what}. With a network, run again, it goes on from there; without one, use"
        " source: archive or folder, or `make sample`"
    )


def _refusal(error: BaseException | None) -> HfHubHTTPError | None:
    """Return the hub's own error among the causes of an error, if there is one."""
    while error and not isinstance(error, HfHubHTTPError):
        error = error.__cause__ or error.__context__
    return error


def _clips(params: Hub, loaded: dict[str, Dataset]) -> Iterator[Clip]:
    columns, ids, recordings, with_audio = params.columns, set(), set(), 0
    for split, dataset in loaded.items():
        for index, row in enumerate(dataset):
            audio = row[columns.audio] or {"bytes": None, "path": None}
            data = _audio_bytes(audio, params.dataset)
            with_audio += bool(data)
            # Compared by bytes: a repository may have one recording under two names, or two under one.
            digest = hashlib.sha256(data).digest()
            if split != "validated":
                recordings.add(digest)
            elif data and digest in recordings:
                continue
            name = PurePath(audio["path"] or "").name
            # Not a file name that an earlier clip has, such as "0.wav" in each split.
            clip_id = name if name and name not in ids else f"{split}-{index:08}"
            ids.add(clip_id)
            speaker = row[columns.speaker] if columns.speaker else None
            yield Clip(
                id=clip_id,
                split=split,
                speaker="" if speaker is None else str(speaker),
                sentence=row[columns.sentence] or "",
                audio=data,
            )
    if not with_audio:
        raise FileNotFoundError(
            f"dataset {params.dataset!r}: no row of column {columns.audio!r} has audio: does it"
            " hold links only? Set columns, or get the files and use source: folder"
        )


def _audio_bytes(audio: dict, dataset: str) -> bytes:
    """Return an audio cell's bytes, or read its file, if that is one of the dataset's own files."""
    if audio["bytes"]:
        return audio["bytes"]
    if not audio["path"]:
        return b""
    roots = (constants.HF_HUB_CACHE, datasets_config.HF_DATASETS_CACHE, dataset)
    file = Path(audio["path"]).resolve()
    inside = any(file.is_relative_to(Path(root).resolve()) for root in roots)
    return file.read_bytes() if inside and file.is_file() else b""


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
