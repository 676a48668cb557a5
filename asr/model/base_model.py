"""The checkpoint that training starts from: fetched from the model hub, all of it, and loaded, all of it."""

from pathlib import Path

import httpx2
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError
from transformers import PretrainedConfig, WhisperForConditionalGeneration, WhisperProcessor

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
# Not all that a repository has: pickled copies, and copies in another precision.
FILES = [*WEIGHTS, "model-*-of-*.safetensors", "*.json", "*.txt", "*.jinja"]
WAYS_ON = """\
  It has to be a Whisper checkpoint on the model hub (a private one needs `hf auth login` or HF_TOKEN)
  or a folder with config.json, model.safetensors and the processor's files
  (dvc exp run -S pretrained.name=/path/to/it -S pretrained.revision=null).
  Without either, `make sample` runs the whole pipeline on a model that comes with it."""


def fetch(name: str, revision: str | None, where: str) -> Path:
    """Bring a checkpoint's files, all of one commit, to the hub's cache; return their folder there.

    Raises
    ------
    FileNotFoundError: not on the hub, or gated.
    ConnectionError: the hub cannot be reached, is in trouble, or a transfer broke off; run again.
    """
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=FILES))
    except GatedRepoError as error:
        raise FileNotFoundError(
            f"{where} is gated: accept its terms on its page, then `hf auth login`, or set HF_TOKEN to a"
            " token of the account that has"
        ) from error
    except RevisionNotFoundError as error:
        raise FileNotFoundError(
            f"{where}: there is no such revision: take a commit, branch or tag from the model's page"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise FileNotFoundError(
            f"{where} cannot be loaded: no such folder, and no such model that the hub would show.\n{WAYS_ON}"
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, httpx2.TransportError) as error:
        raise ConnectionError(
            f"{where} cannot be loaded: {_trouble(error)}. With a network, run again, it goes on from there."
            f"\n{WAYS_ON}"
        ) from error


def load(folder: Path, where: str) -> tuple[WhisperForConditionalGeneration, WhisperProcessor]:
    """Load a folder's checkpoint and processor; no weight that is missing is made up.

    Raises
    ------
    FileNotFoundError: no weights in safetensors, or another file is missing.
    ValueError: no Whisper, damaged, or some weights are missing.
    """
    if not any((folder / name).exists() for name in WEIGHTS):
        raise FileNotFoundError(
            f"{where}: no {' and no '.join(WEIGHTS)} in {folder}. Pickled weights (pytorch_model.bin) are not"
            " loaded, for they can run code. If you trust them, convert them: `model.save_pretrained` of"
            f" transformers writes model.safetensors.\n{WAYS_ON}"
        )
    try:
        kind = PretrainedConfig.get_config_dict(folder, local_files_only=True)[0].get("model_type")
        if kind != "whisper":
            raise ValueError(f"{where} is a model of type {kind}: it has to be a Whisper")
        model, found = WhisperForConditionalGeneration.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
        processor = WhisperProcessor.from_pretrained(folder, local_files_only=True)
    except OSError as error:
        raise FileNotFoundError(f"{where} cannot be loaded: {_first_line(error)}.\n{WAYS_ON}") from error
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(
            f"{where}: the weights in {folder} are damaged, or of another model ({_first_line(error)}): if"
            " that is the hub's cache, remove the folder and run again"
        ) from error
    missing = sorted(found["missing_keys"])
    if missing:  # transformers has filled them with random numbers
        raise ValueError(
            f"{where}: {len(missing)} weights are missing, such as {missing[0]}: take a whole checkpoint"
        )
    return model, processor


def _trouble(error: BaseException | None) -> str:
    """Find what kept the hub from giving a file."""
    while error:
        if isinstance(error, HfHubHTTPError):
            return f"the hub says {error.response.status_code}"
        if isinstance(error, httpx2.TransportError):
            return f"the hub cannot be reached, or the transfer broke off ({type(error).__name__})"
        error = error.__cause__ or error.__context__
    return "it is not in the hub's cache, or not all of it, and the network is off (HF_HUB_OFFLINE)"


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
