"""ONNX: three graphs, named as optimum names them, made by transformers' exporter.

`encoder_model.onnx` takes features, `decoder_model.onnx` the prompt, and `decoder_with_past_model.onnx` one
id with the keys and values of all earlier ids.
"""

import io
import json
import logging
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from tokenizers import Tokenizer
from torch.nn.functional import gelu
from transformers import (
    DynamicCache,
    EncoderDecoderCache,
    WhisperForConditionalGeneration,
)
from transformers.exporters import OnnxConfig, OnnxExporter
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from asr.audio.log_mel import log_mel, own_frames, pad
from asr.model import base_model, whisper
from asr.model.search import MAX_NEW_TOKENS

ENCODER, DECODER, WITH_PAST = (f"{n}_model.onnx" for n in ("encoder", "decoder", "decoder_with_past"))
COPIED = ("tokenizer.json", "tokenizer_config.json")
VARIES = torch.export.Dim.AUTO  # the batch size, the frames up to the window, the number of ids


class Encoder(torch.nn.Module):
    """From features, shape = (batch, n_mels, n_frames), to states, shape = (batch, n_frames / 2, width).

    It computes what the model's own encoder does, which takes no other length than the window.
    """

    def __init__(self, model: WhisperForConditionalGeneration) -> None:
        super().__init__()
        self.encoder = model.model.encoder

    def forward(self, input_features: torch.Tensor) -> dict:
        convolved = gelu(self.encoder.conv2(gelu(self.encoder.conv1(input_features))))
        states = convolved.transpose(1, 2) + self.encoder.embed_positions.weight[: convolved.shape[2]]
        for layer in self.encoder.layers:
            states = layer(states, None)
        return {"last_hidden_state": self.encoder.layer_norm(states)}


class Decoder(torch.nn.Module):
    """From ids to logits, keys and values. The graph joins the keys of nested dictionaries with dots."""

    def __init__(self, model: WhisperForConditionalGeneration) -> None:
        super().__init__()
        self.decoder, self.proj_out = model.model.decoder, model.proj_out

    def forward(
        self,
        input_ids: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        past_key_values: dict | None = None,
    ) -> dict:
        cache = None
        if past_key_values is not None:
            layers = past_key_values.values()
            cache = EncoderDecoderCache(
                DynamicCache([tuple(layer["decoder"].values()) for layer in layers]),
                DynamicCache([tuple(layer["encoder"].values()) for layer in layers]),
            )
            # The cache has its keys, so its values are not read; but None would switch cross-attention off.
            encoder_hidden_states = past_key_values["0"]["encoder"]["key"]
        output = self.decoder(
            input_ids, encoder_hidden_states=encoder_hidden_states, past_key_values=cache, use_cache=True
        )
        caches = {"decoder": output.past_key_values.self_attention_cache}
        if past_key_values is None:
            caches["encoder"] = output.past_key_values.cross_attention_cache
        present = {
            str(i): {
                name: {"key": cache.layers[i].keys, "value": cache.layers[i].values}
                for name, cache in caches.items()
            }
            for i in range(len(self.decoder.layers))
        }
        return {"logits": self.proj_out(output.last_hidden_state), "present": present}


def convert(model: Path, out: Path, language: str, task: str, padding: str) -> None:
    """Export a model in float32, with its configuration, tokenizer and feature extractor."""
    out.mkdir(parents=True)
    loaded = base_model.load(base_model.check(model, str(model)), torch.float32)[0].eval()
    write_graphs(loaded, out)
    for name in COPIED:
        (out / name).write_bytes((model / name).read_bytes())
    config = json.loads((model / "config.json").read_text(encoding="utf-8")) | {"padding": padding}
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    whisper.read_extractor(model).save_pretrained(out)
    whisper.set_language(loaded, language, task)
    loaded.generation_config.save_pretrained(out)


def write_graphs(model: WhisperForConditionalGeneration, out: Path) -> None:
    """Write the three graphs, with a model's weights."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # warnings about packages that are not needed
    config, exporter = model.config, OnnxExporter()

    def export(module: torch.nn.Module, name: str, inputs: dict, shapes: dict) -> dict:
        with torch.no_grad():
            outputs = module(**inputs)
        with redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):  # torch.onnx's steps
            program, _ = exporter.export_program(module, inputs, OnnxConfig(dynamic_shapes=shapes))
        exporter.save_program(program, out / name)
        return outputs

    # Sizes of 2, because the exporter takes a size of 1 for fixed.
    features = torch.zeros(2, config.num_mel_bins, whisper.window_frames(model))
    axes = {"input_features": {0: VARIES, 2: VARIES}}
    hidden = export(Encoder(model), ENCODER, {"input_features": features}, axes)
    prompt = {
        "input_ids": torch.full((2, 4), config.decoder_start_token_id),
        "encoder_hidden_states": hidden["last_hidden_state"],
    }
    shapes = {"input_ids": {0: VARIES, 1: VARIES}, "encoder_hidden_states": {0: VARIES, 1: VARIES}}
    past = export(Decoder(model), DECODER, prompt, shapes)["present"]
    varying = {"decoder": {0: VARIES, 2: VARIES}, "encoder": {0: VARIES, 2: VARIES}}
    shapes = {
        "input_ids": {0: VARIES},
        "past_key_values": {
            layer: {name: dict.fromkeys(("key", "value"), axes) for name, axes in varying.items()}
            for layer in past
        },
    }
    step = {"input_ids": prompt["input_ids"][:, :1], "past_key_values": past}
    export(Decoder(model), WITH_PAST, step, shapes)


def load(folder: Path) -> tuple[Callable[[np.ndarray], str], str]:
    """Load an export in ONNX Runtime; returns a function from samples to text, and the compute type."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    encoder, decoder, with_past = (
        onnxruntime.InferenceSession(folder / name, options, providers=["CPUExecutionProvider"])
        for name in (ENCODER, DECODER, WITH_PAST)
    )
    extractor = whisper.read_extractor(folder)
    window, config = extractor.nb_max_frames, json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    settings = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    prompt = _prompt(settings)

    def hear(samples: np.ndarray) -> str:
        features = log_mel(samples, extractor.mel_filters)
        own_length = config.get("padding") == "longest"
        features = pad(features, own_frames(features.shape[1], window) if own_length else window)
        (hidden,) = encoder.run(None, {"input_features": features[None]})
        ids, past = [], {}
        found = _run(decoder, {"input_ids": np.array([prompt]), "encoder_hidden_states": hidden})
        while len(ids) < MAX_NEW_TOKENS:
            logits = found.pop("logits")[0, -1]
            logits[settings.get("suppress_tokens") or []] = -np.inf
            if not ids:
                logits[settings.get("begin_suppress_tokens") or []] = -np.inf
            ids.append(int(logits.argmax()))
            if ids[-1] == settings["eos_token_id"]:
                break
            past |= {name.replace("present", "past_key_values"): value for name, value in found.items()}
            found = _run(with_past, {"input_ids": np.array([ids[-1:]]), **past})
        return tokenizer.decode(ids, skip_special_tokens=True).strip()

    return hear, "float32"


def _run(session: onnxruntime.InferenceSession, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def _prompt(settings: dict) -> list[int]:
    """Return the first ids of a transcript: start, language, task, no timestamps."""
    language = settings["language"].lower()
    return [
        settings["decoder_start_token_id"],
        settings["lang_to_id"][f"<|{TO_LANGUAGE_CODE.get(language, language)}|>"],
        settings["task_to_id"][settings["task"]],
        settings["no_timestamps_token_id"],
    ]
