"""A dataset repository on the model hub, in a form that needs no script (parquet, most often)."""

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePath

from datasets import Audio, Dataset, load_dataset
from datasets import config as datasets_config
from datasets.exceptions import DatasetGenerationError
from huggingface_hub.constants import HF_HUB_CACHE

from asr.corpus import Clip
from asr.params import HubSource


def clips(params: HubSource, validated: bool) -> Iterator[Clip]:
    """Load the splits and yield their clips in the repository's order, audio as it is stored there.

    With `validated`, that split comes last, less the recordings that another split has.

    Raises
    ------
    FileNotFoundError: no such repository, revision or audio, or one that is gated; says what to do.
    ConnectionError: the hub cannot be reached.
    ValueError: no such configuration, split or column, no split named for `validated`, or the repository
        needs a script.
    """
    splits = {name: split for name, split in params.splits.model_dump().items() if split is not None}
    if validated and "validated" not in splits:
        raise ValueError(
            "filter.add_validated is true, but download.hub.splits.validated is null: name the repository's"
            " split there, or set filter.add_validated to false"
        )
    if not validated:
        splits.pop("validated", None)
    loaded = {name: _load(params, split) for name, split in splits.items()}
    return _clips(params, loaded)


def _load(params: HubSource, split: str) -> Dataset:
    where = f"download.hub.dataset {params.dataset!r} (config {params.config}, split {split!r})"
    try:
        dataset = load_dataset(params.dataset, params.config, revision=params.revision, split=split)
    except ConnectionError as error:
        raise ConnectionError(
            f"{where}: the hub cannot be reached, and the dataset is not in its cache. With a network, run"
            " again; without one, use download.source=archive or folder, or `make sample`"
        ) from error
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{where} cannot be loaded.\n  {_first_line(error)}\n"
            "  Check owner/name and revision. A gated one: accept its terms on its page, then `hf auth login`"
            " or HF_TOKEN.\n"
            "  (Common Voice has left the hub: download.source=archive or mdc. No corpus: `make sample`.)"
        ) from error
    except DatasetGenerationError as error:
        if not isinstance(error.__cause__, ImportError):
            raise ValueError(f"{where}: {_first_line(error.__cause__ or error)}") from error
        raise ValueError(
            f"{where} is a folder of audio files, which `datasets` does not read without torchcodec. Read the"
            f" files themselves: `hf download --repo-type dataset {params.dataset} --local-dir corpora/hub`,"
            " then download.source=folder with its metadata.csv as the table"
        ) from error
    except RuntimeError as error:
        if "scripts are no longer supported" not in str(error):
            raise
        raise ValueError(
            f"{where} needs a script of its own, which is not run here: look for a copy in parquet, or use"
            " download.source=archive, mdc or folder"
        ) from error
    except ValueError as error:  # unknown configuration or split; the message lists those there are
        raise ValueError(f"{where}: {_first_line(error)}") from error
    wanted = [column for column in params.columns.model_dump().values() if column is not None]
    missing = [column for column in wanted if column not in dataset.column_names]
    if missing:
        raise ValueError(
            f"{where}: no column {', '.join(missing)} among {', '.join(dataset.column_names)}:"
            " set download.hub.columns"
        )
    # Undecoded: the bytes come through as they are, and nothing has to be installed to decode them.
    return dataset.select_columns(wanted).cast_column(params.columns.audio, Audio(decode=False))


def _clips(params: HubSource, loaded: dict[str, Dataset]) -> Iterator[Clip]:
    columns, ids, recordings, with_audio = params.columns, set(), set(), 0
    for split, dataset in loaded.items():
        for index, row in enumerate(dataset):
            audio = row[columns.audio] or {"bytes": None, "path": None}
            data = _audio_bytes(audio, params.dataset)
            with_audio += bool(data)
            # Known by its bytes: a repository may give one recording two names, or two of them one.
            digest = hashlib.sha256(data).digest()
            if split != "validated":
                recordings.add(digest)
            elif data and digest in recordings:
                continue
            name = PurePath(audio["path"] or "").name
            # The same file name in two splits, "0.wav" perhaps, is no name for a clip.
            clip_id = name if name and name not in ids else f"{split}-{index:08}"
            ids.add(clip_id)
            speaker = row[columns.speaker] if columns.speaker else None
            yield Clip(
                id=clip_id,
                split=split,
                speaker="" if speaker is None else str(speaker),
                sentence=row[columns.sentence] or "",
                gender="",
                age="",
                accent="",
                audio=data,
            )
    if not with_audio:
        raise FileNotFoundError(
            f"download.hub.dataset {params.dataset!r}: no row of column {columns.audio!r} has audio: does it"
            " hold links only? Set download.hub.columns, or get the files and use download.source=folder"
        )


def _audio_bytes(audio: dict, dataset: str) -> bytes:
    """Take an audio cell's bytes, or read its file, if that is a file of the dataset and no other."""
    if audio["bytes"]:
        return audio["bytes"]
    if not audio["path"]:
        return b""
    roots = (HF_HUB_CACHE, datasets_config.HF_DATASETS_CACHE, dataset)
    file = Path(audio["path"]).resolve()
    inside = any(file.is_relative_to(Path(root).resolve()) for root in roots)
    return file.read_bytes() if inside and file.is_file() else b""


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
