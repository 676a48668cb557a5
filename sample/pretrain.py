"""Pretrain the sample's base model: a micro Whisper that knows Sinhala letters and no Dhivehi.

It is to the sample what `openai/whisper-small` is to the real recipe: a model that has listened to
many voices speak another language. It hears invented words, spoken by eSpeak NG's Sinhala voice, and
writes them in Sinhala script; Thaana is to its byte-level tokenizer what it is to Whisper's, two
ids a letter that it has never used.

The result is committed under `sample/base/`, with this command and its figures in
`sample/base/README.md`; nobody has to run it again:

    .venv/bin/python sample/pretrain.py sample/base
"""

import argparse
import json
import random
import time
from itertools import product
from pathlib import Path

import jiwer
import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
    get_cosine_schedule_with_warmup,
)
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from asr.audio.log_mel import FRAMES_PER_SECOND, POSITIONS_PER_SECOND, SAMPLE_RATE, log_mel, pad
from asr.synthesis.phrases import invented_phrase
from asr.synthesis.voices import TEST_VARIANTS, TRAINING_VARIANTS, draw_voice, speak

AUDIO_WINDOW_S = 3
WIDTH = 128
LAYERS = 2  # in the encoder, and again in the decoder
MERGES = 8  # so few that a Sinhala letter costs two ids, as a Thaana letter will
# Tokens of another script, as Whisper has thousands; model.extend_tokenizer gives their ids to new ones.
FOREIGN = [*product("ab", "cdefghijklmn")]
SPECIAL_TOKENS = (
    "<|startoftranscript|>",
    *(f"<|{code}|>" for code in LANGUAGES),  # Whisper's order: its tokenizer counts on it
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)

N_CLIPS = 20_000
N_TEST_CLIPS = 200
BATCH_SIZE = 16
LEARNING_RATE = 1.5e-3
WARMUP_STEPS = 300
SEED = 13


def make_tokenizer() -> WhisperTokenizer:
    """Train a byte-level BPE of a few merges on invented Sinhala words, with Whisper's special tokens."""
    rng = random.Random(SEED)
    trained = Tokenizer(BPE())
    trained.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trained.train_from_iterator(
        (invented_phrase(rng) for _ in range(2_000)),
        BpeTrainer(vocab_size=256 + MERGES, initial_alphabet=ByteLevel.alphabet(), show_progress=False),
    )
    model = json.loads(trained.to_str())["model"]
    ids = {"".join(pair): id for id, pair in enumerate(FOREIGN, len(model["vocab"]))}
    tokenizer = WhisperTokenizer(
        vocab=model["vocab"] | ids,
        merges=[*map(tuple, model["merges"]), *FOREIGN],
        pad_token="<|endoftext|>",
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL_TOKENS)})
    tokenizer.set_prefix_tokens(language="sinhalese", task="transcribe")
    return tokenizer


def make_model(tokenizer: WhisperTokenizer) -> WhisperForConditionalGeneration:
    """Build the untrained model: Whisper's architecture at width 128 and a three second window."""
    token = tokenizer.convert_tokens_to_ids
    end = tokenizer.eos_token_id
    start = token("<|startoftranscript|>")
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=len(tokenizer),
            d_model=WIDTH,
            encoder_layers=LAYERS,
            decoder_layers=LAYERS,
            encoder_attention_heads=WIDTH // 32,
            decoder_attention_heads=WIDTH // 32,
            encoder_ffn_dim=4 * WIDTH,
            decoder_ffn_dim=4 * WIDTH,
            max_source_positions=AUDIO_WINDOW_S * POSITIONS_PER_SECOND,
            dropout=0.0,
            pad_token_id=end,
            bos_token_id=end,
            eos_token_id=end,
            decoder_start_token_id=start,
            suppress_tokens=None,
            begin_suppress_tokens=None,
        )
    )
    model.generation_config = GenerationConfig(
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
        max_length=model.config.max_target_positions,
        return_timestamps=False,
        is_multilingual=True,
        no_timestamps_token_id=token("<|notimestamps|>"),
        prev_sot_token_id=token("<|startofprev|>"),
        lang_to_id={f"<|{code}|>": token(f"<|{code}|>") for code in LANGUAGES},
        task_to_id={task: token(f"<|{task}|>") for task in ("transcribe", "translate")},
    )
    return model


def make_clips(count: int, variants: tuple[str, ...], seed: int, mel_filters: np.ndarray):
    """Speak invented phrases, each in a voice of its own; returns [(features float16, text)]."""
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    clips = []
    while len(clips) < count:
        text = invented_phrase(rng)
        samples = speak(text, draw_voice(rng, variants), noise, SAMPLE_RATE)
        if len(samples) <= AUDIO_WINDOW_S * SAMPLE_RATE:
            clips.append((log_mel(samples, mel_filters).astype(np.float16), text))
    return clips


def collate(clips, tokenizer):
    """Stack clips: float32 features (batch, 80, frames); int64 labels (batch, length), -100 = no loss."""
    frames = AUDIO_WINDOW_S * FRAMES_PER_SECOND
    features = torch.from_numpy(np.stack([pad(f, frames) for f, _ in clips])).float()
    ids = [torch.tensor(tokenizer(text).input_ids[1:]) for _, text in clips]  # the model adds the start
    return features, torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=-100)


def train(model, tokenizer, clips, steps: int) -> None:
    """Run AdamW over shuffled batches, warm-up then cosine."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, WARMUP_STEPS, steps)
    rng, began, losses = random.Random(SEED), time.monotonic(), []
    model.train()
    for step in range(1, steps + 1):
        features, labels = collate(rng.sample(clips, BATCH_SIZE), tokenizer)
        loss = model(input_features=features, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step % 100 == 0:
            mean = sum(losses[-100:]) / 100
            print(f"step {step}  loss {mean:.3f}  {time.monotonic() - began:.0f} s", flush=True)


@torch.no_grad()
def word_error_rate(model, tokenizer, clips) -> float:
    """Transcribe clips greedily; returns WER in percent."""
    model.eval()
    hypotheses = []
    for first in range(0, len(clips), 50):
        features, _ = collate(clips[first : first + 50], tokenizer)
        ids = model.generate(features, language="sinhalese", task="transcribe", max_new_tokens=200)
        hypotheses += tokenizer.batch_decode(ids, skip_special_tokens=True)
    return 100 * jiwer.wer([text for _, text in clips], hypotheses)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for the checkpoint")
    parser.add_argument("--steps", type=int, default=5_000)
    args = parser.parse_args()

    torch.manual_seed(SEED)
    extractor = WhisperFeatureExtractor(chunk_length=AUDIO_WINDOW_S)
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    print(f"{model.num_parameters():,} parameters, {len(tokenizer)} ids", flush=True)
    clips = make_clips(N_CLIPS, TRAINING_VARIANTS, SEED, extractor.mel_filters)
    seconds = sum(f.shape[1] for f, _ in clips) / FRAMES_PER_SECOND
    print(f"{len(clips):,} clips, {seconds / 3600:.1f} h", flush=True)
    train(model, tokenizer, clips, args.steps)
    test = make_clips(N_TEST_CLIPS, TEST_VARIANTS, SEED + 1, extractor.mel_filters)
    wer = word_error_rate(model, tokenizer, test)
    print(f"WER on {len(test)} invented phrases in voices not trained on: {wer:.1f} %")
    model.save_pretrained(args.out)
    WhisperProcessor(extractor, tokenizer).save_pretrained(args.out)


if __name__ == "__main__":
    main()
