"""What other programs hear in a recording with a checkpoint's weights, greedily, by their defaults otherwise.

    python -m benchmarks.others faster-whisper-int8 /path/to/whisper-base recording.wav italian

prints the text. The package of the program has to be installed.
"""

import re
import sys
import tempfile
from pathlib import Path

import soundfile
import torch
from transformers import pipeline
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from asr.audio.log_mel import SAMPLE_RATE
from asr.model import whisper as ours

NAMES = {  # of weights: transformers' and OpenAI's
    r"^model\.": "",
    r"layers\.": "blocks.",
    r"encoder_attn_layer_norm": "cross_attn_ln",
    r"self_attn_layer_norm": "attn_ln",
    r"final_layer_norm": "mlp_ln",
    r"encoder_attn": "cross_attn",
    r"self_attn": "attn",
    r"q_proj": "query",
    r"k_proj": "key",
    r"v_proj": "value",
    r"out_proj": "out",
    r"fc1": "mlp.0",
    r"fc2": "mlp.2",
    r"encoder\.layer_norm": "encoder.ln_post",
    r"decoder\.layer_norm": "decoder.ln",
    r"encoder\.embed_positions\.weight": "encoder.positional_embedding",
    r"decoder\.embed_positions\.weight": "decoder.positional_embedding",
    r"embed_tokens": "token_embedding",
}


def transformers_pipeline(model: Path, recording: Path, language: str, folder: str) -> str:
    """Hear pieces of 30 s that overlap, eight at a time."""
    hears = pipeline("automatic-speech-recognition", str(model), chunk_length_s=30, batch_size=8)
    samples, _ = soundfile.read(recording, dtype="float32")
    sound = {"raw": samples, "sampling_rate": SAMPLE_RATE}
    return hears(sound, generate_kwargs={"language": language, "task": "transcribe"})["text"]


def openai_whisper(model: Path, recording: Path, language: str, folder: str) -> str:
    import whisper

    loaded = ours.load_model(model)
    weights = {}
    for name, weight in loaded.state_dict().items():
        for pattern, theirs in NAMES.items():
            name = re.sub(pattern, theirs, name)
        if name != "proj_out.weight":  # the embeddings again
            weights[name] = weight
    config = loaded.config
    sizes = {
        "n_mels": config.num_mel_bins, "n_vocab": config.vocab_size,
        "n_audio_ctx": config.max_source_positions, "n_audio_state": config.d_model,
        "n_audio_head": config.encoder_attention_heads, "n_audio_layer": config.encoder_layers,
        "n_text_ctx": config.max_target_positions, "n_text_state": config.d_model,
        "n_text_head": config.decoder_attention_heads, "n_text_layer": config.decoder_layers,
    }  # fmt: skip
    torch.save({"dims": sizes, "model_state_dict": weights}, f"{folder}/model.pt")
    samples, _ = soundfile.read(recording, dtype="float32")
    return whisper.load_model(f"{folder}/model.pt", device="cpu").transcribe(
        samples, language=language, fp16=False
    )["text"]


def faster_whisper(model: Path, recording: Path, language: str, folder: str, compute_type: str) -> str:
    from faster_whisper import WhisperModel

    from asr.commands.export.ctranslate2 import convert

    convert(model, Path(folder), language, "transcribe", "float16")
    hears = WhisperModel(folder, device="cpu", compute_type=compute_type, cpu_threads=torch.get_num_threads())
    parts, _ = hears.transcribe(str(recording), language=TO_LANGUAGE_CODE[language], beam_size=1)
    return " ".join(part.text for part in parts)


PROGRAMS = {
    "transformers-pipeline": transformers_pipeline,
    "openai-whisper": openai_whisper,
    "faster-whisper-float32": lambda *args: faster_whisper(*args, "float32"),
    "faster-whisper-int8": lambda *args: faster_whisper(*args, "int8"),
}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        print(PROGRAMS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], scratch))
