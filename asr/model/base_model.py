"""Checkpoints from anywhere: fetched from the model hub, all of it, checked, and loaded, all of it."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import httpx2
import torch
from huggingface_hub import logging as hub_logging
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
from transformers import (
    GenerationConfig,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)

from asr.model import checks, generation, vocabulary, whisper

# Not all that a repository has: pickled copies, and copies in another precision.
FILES = ["model.safetensors", "model-*-of-*.safetensors", "*.json", "*.txt", "*.jinja"]
START_AND_END = ("decoder_start_token_id", "eos_token_id", "pad_token_id", "bos_token_id")
WAYS_ON = """\
  It has to be a Whisper checkpoint on the model hub (a private one needs `hf auth login` or HF_TOKEN)
  or a folder with config.json, model.safetensors and the processor's files
  (dvc exp run -S pretrained.name=/path/to/it -S pretrained.revision=null).
  Without either, `make sample` runs the whole pipeline on a model that comes with it."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files agree."""

    folder: Path
    where: str
    tokenizer: WhisperTokenizer
    settings: GenerationConfig  # clean ones


def fetch(name: str, revision: str | None, where: str) -> Path:
    """Bring a checkpoint's files, all of one commit, to the hub's cache; return their folder there.

    Raises
    ------
    FileNotFoundError: not on the hub, or gated.
    ConnectionError: the hub cannot be reached, is in trouble, or a transfer broke off; run again.
    """
    hub_logging.set_verbosity_error()  # its warnings hold signed addresses
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


def check(folder: Path, where: str, keep: Collection[str] = ()) -> Checkpoint:
    """Check a checkpoint from anywhere, by its files alone: no weight is loaded, and no code of it is run.

    Parameters
    ----------
    where: what it is called in messages
    keep: settings to generate with that are its own business; the others that decide texts are set aside

    Raises
    ------
    FileNotFoundError: no weights in safetensors, or another file is missing.
    ValueError: no multilingual Whisper, damaged, an adapter alone, or its files contradict each other; names
        all contradictions.
    """
    try:
        files = checks.weight_files(folder)
        config = checks.read_config(folder)
        problems = [*checks.check_weights(config, files), *checks.check_extractor(config, folder)]
        with checks.reading("tokenizer.json, tokenizer_config.json or another file of the tokenizer"):
            tokenizer = vocabulary.read_tokenizer(folder)
        said = generation.read(folder)
        with checks.reading("generation_config.json"):
            problems += generation.check(said, config, tokenizer)
            if not problems:
                settings, aside = generation.clean(said, config, tokenizer, keep)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{where} cannot be used: {error}") from error
    except ValueError as error:
        raise ValueError(f"{where} cannot be used: {error}") from error
    if problems:
        raise ValueError("\n  ".join([f"{where} cannot be used:", *problems]))
    if aside:
        logger.info("%s: generation settings that are set aside: %.500r", where, aside)
    return Checkpoint(folder, where, tokenizer, settings)


def load(
    checkpoint: Checkpoint, dtype: torch.dtype | str = "auto"
) -> tuple[WhisperForConditionalGeneration, WhisperProcessor]:
    """Load a checkpoint that has been checked; its weights as they are stored, or in another type.

    Raises
    ------
    ValueError: weights are not finite.
    """
    settings = checkpoint.settings
    # Training takes these ids from the configuration. Where they are missing, WhisperConfig's own are wrong.
    ids = {name: getattr(settings, name) for name in START_AND_END}
    model = whisper.load_model(checkpoint.folder, dtype=dtype, generation_config=settings, **ids)
    if broken := [name for name, weight in model.named_parameters() if not weight.isfinite().all()]:
        raise ValueError(
            f"{checkpoint.where} cannot be used: {len(broken)} weights hold NaN or infinity, such as"
            f" {broken[0]}: take an earlier checkpoint of that training"
        )
    return model, WhisperProcessor(whisper.read_extractor(checkpoint.folder), checkpoint.tokenizer)


def _trouble(error: BaseException | None) -> str:
    """Find what kept the hub from giving a file."""
    while error:
        if isinstance(error, HfHubHTTPError):
            return f"the hub says {error.response.status_code}"
        if isinstance(error, httpx2.TransportError):
            return f"the hub cannot be reached, or the transfer broke off ({type(error).__name__})"
        error = error.__cause__ or error.__context__
    return "it is not in the hub's cache, or not all of it, and the network is off (HF_HUB_OFFLINE)"
