"""What has to be true of a Whisper checkpoint, whoever made it, before any of its weights is loaded.

A check returns a line for each contradiction, so that all of a checkpoint's faults are named at once.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from asr.audio.log_mel import HOP_LENGTH, N_FFT, POSITIONS_PER_SECOND, SAMPLE_RATE

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = {"F64", "F32", "F16", "BF16"}
LARGEST = 2**31  # of any size in config.json
FIRST = 3  # weights in a message


def read_json(file: Path) -> dict:
    """Read a JSON file that has to hold an object.

    Raises
    ------
    FileNotFoundError: there is no such file.
    ValueError: it is no JSON, or holds something else.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not valid JSON ({error})") from error
    if not isinstance(found, dict):
        raise ValueError(f"{file} holds a JSON {type(found).__name__}, expected an object")
    return found


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Name what cannot be read. The libraries that read it raise whatever their code trips over."""
    try:
        yield
    except (MemoryError, OSError):
        raise
    except Exception as error:
        first = (str(error).strip() or "no message").splitlines()[0]
        raise ValueError(f"{what} cannot be read ({type(error).__name__}: {first})") from error


def weight_files(folder: Path) -> list[Path]:
    """List a checkpoint's weight files in the order of their names: safetensors only, all in its folder.

    Raises
    ------
    FileNotFoundError: there are none, or one that the index names is missing.
    ValueError: it is an adapter, or the index names something else.
    """
    if (folder / "adapter_config.json").exists():
        raise ValueError(
            f"{folder} holds an adapter (adapter_config.json), which is not a whole model: merge it first"
            " (peft's `merge_and_unload`, then `save_pretrained`), and take the folder of the merged model"
        )
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if not (folder / INDEX).exists():
        raise FileNotFoundError(
            f"no {WEIGHTS} and no {INDEX} in {folder}. Pickled weights (pytorch_model.bin) are not loaded,"
            " because they can run code. If you trust them, convert them: `model.save_pretrained` of"
            f" transformers writes {WEIGHTS}"
        )
    weight_map = read_json(folder / INDEX).get("weight_map")
    names = list(weight_map.values()) if isinstance(weight_map, dict) else [weight_map]
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise ValueError(
                f"{folder / INDEX} names {name!r}: weights are loaded only from .safetensors files of this"
                " folder, because pickled ones can run code"
            )
    files = [folder / name for name in sorted(set(names))]
    if lacking := [file.name for file in files if not file.exists()]:
        raise FileNotFoundError(f"{folder} lacks {lacking}, named in {INDEX}: copy the folder again")
    return files


def read_config(folder: Path) -> WhisperConfig:
    """Read a checkpoint's configuration.

    Raises
    ------
    FileNotFoundError: there is none.
    ValueError: it is not a Whisper's, is a quantized one's, or describes no model.
    """
    file = folder / "config.json"
    described = read_json(file)
    if described.get("model_type") != "whisper":
        raise ValueError(f"it is a model of type {described.get('model_type')!r}, expected a Whisper")
    if described.get("quantization_config"):
        raise ValueError(f"{file} says that it is quantized: take the checkpoint that it was made from")
    with reading(str(file)):
        config = WhisperConfig.from_dict(described)
        sizes = [config.d_model, config.vocab_size, config.num_mel_bins, config.max_source_positions]
        sizes += [config.max_target_positions, config.encoder_layers, config.decoder_layers]
        if not all(type(size) is int and 0 < size <= LARGEST for size in sizes):
            raise ValueError(f"a size is not a whole number from 1 to {LARGEST}")
    return config


def check_weights(config: WhisperConfig, files: list[Path]) -> list[str]:
    """Compare the weights that a configuration describes with those in the files, by the files' headers.

    Raises
    ------
    ValueError: a file is damaged, or no model can be built of the configuration.
    """
    stored = {}
    for file in files:
        try:
            with safe_open(file, "pt") as weights:
                for name in weights.keys():  # noqa: SIM118, it is no dict
                    part = weights.get_slice(name)
                    stored[name.removeprefix("model.")] = part.get_dtype(), list(part.get_shape())
        except SafetensorError as error:
            raise ValueError(
                f"{file} is damaged ({error}): copy it again, or run `dvc pull`. If it is in the hub's cache,"
                " remove its folder there and run again"
            ) from error
    n_layers = max(config.encoder_layers, config.decoder_layers)
    if n_layers > len(stored):  # building them takes long, even without weights
        return [f"config.json describes {n_layers} layers, but there are {len(stored)} weights"]
    with reading("config.json"), torch.device("meta"):
        wanted = WhisperForConditionalGeneration(config).state_dict()
    if config.tie_word_embeddings:
        del wanted["proj_out.weight"]  # the embeddings once more; most files leave it out
    wanted = {name.removeprefix("model."): list(weight.shape) for name, weight in wanted.items()}
    missing = sorted(wanted.keys() - stored.keys())
    common = sorted(wanted.keys() & stored.keys())
    other = [name for name in common if stored[name][1] != wanted[name]]
    types = sorted({stored[name][0] for name in common} - FLOATS)
    problems = [
        f"the shape of {name} is {stored[name][1]} in the file, but {wanted[name]} by config.json"
        for name in other[:FIRST]
    ]
    if len(other) > FIRST:
        problems.append(f"so it is with {len(other) - FIRST} more weights")
    if missing:
        problems.append(f"{len(missing)} weights are missing, such as {missing[0]}: take a whole checkpoint")
    if types:
        problems.append(f"weights are stored as {', '.join(types)}: take a checkpoint that is not quantized")
    return problems


def check_extractor(config: WhisperConfig, folder: Path) -> list[str]:
    """Compare what the feature extractor computes with what the model and asr/audio/log_mel.py do.

    Raises
    ------
    FileNotFoundError: its file is missing.
    ValueError: its file cannot be read.
    """
    names = ("preprocessor_config.json", "processor_config.json")
    if not any((folder / name).exists() for name in names):
        raise FileNotFoundError(
            f"no {' and no '.join(names)} in {folder}: copy it from the model that this one was made from"
        )
    with reading(" or ".join(names)):
        said = WhisperFeatureExtractor.get_feature_extractor_dict(folder, local_files_only=True)[0]
    window_s = config.max_source_positions / POSITIONS_PER_SECOND
    wanted = {
        "feature_size": (80, config.num_mel_bins, "num_mel_bins of config.json is"),
        "chunk_length": (30, window_s, "max_source_positions of config.json makes it"),
        "sampling_rate": (SAMPLE_RATE, SAMPLE_RATE, "Whisper's is"),
        "hop_length": (HOP_LENGTH, HOP_LENGTH, "Whisper's is"),
        "n_fft": (N_FFT, N_FFT, "Whisper's is"),
    }
    return [
        f"{name} of the feature extractor is {said.get(name, default)}, but {why} {value:g}"
        for name, (default, value, why) in wanted.items()
        if said.get(name, default) != value
    ]
