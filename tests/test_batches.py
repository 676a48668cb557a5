import numpy as np
import torch
from transformers.models.whisper.modeling_whisper import shift_tokens_right

from asr.batches import NO_LOSS, Collator, read_rows
from asr.whisper import load_model, load_processor
from tests.recipes import REPOSITORY


def row(n_frames, labels):
    features = np.random.default_rng(n_frames).standard_normal((80, n_frames)).astype(np.float16)
    return {"features": features.reshape(-1), "labels": np.array(labels)}


def test_a_batch_is_padded_to_the_window_and_masked_by_length():
    rows = [row(120, [7, 9, 264]), row(300, [7, 264, 264, 5, 264])]
    batch = Collator(80, 300)(rows)
    assert batch["input_features"].shape == (2, 80, 300) and batch["input_features"].dtype == torch.float32
    assert batch["labels"].tolist() == [[7, 9, 264, NO_LOSS, NO_LOSS], [7, 264, 264, 5, 264]]
    np.testing.assert_array_equal(
        batch["input_features"][0, :, :120], rows[0]["features"].reshape(80, 120).astype(np.float32)
    )
    assert batch["input_features"][0, :, 120:].unique().numel() == 1


def test_the_decoder_sees_exactly_one_start_token(finished):
    base = REPOSITORY / "sample/base"
    tokenizer = load_processor(base, "sinhalese", "transcribe").tokenizer
    rows = read_rows(finished.folder / "data/features", finished.folder / "data/filtered/train.csv")
    batch = Collator(80, 300)([rows[0], rows[1]])
    config = load_model(base).config
    decoder_inputs = shift_tokens_right(batch["labels"], config.pad_token_id, config.decoder_start_token_id)
    start = tokenizer.convert_tokens_to_ids("<|startoftranscript|>")
    assert (decoder_inputs[:, 0] == start).all() and (decoder_inputs == start).sum() == 2
    prompt = ["<|si|>", "<|transcribe|>", "<|notimestamps|>"]
    assert tokenizer.convert_ids_to_tokens(decoder_inputs[0, 1:4]) == prompt
