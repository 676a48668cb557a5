"""From rows to what the model takes: padded features, and labels that carry no loss on padding."""

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence

from asr.audio import pad
from asr.features import log_mel_of, with_arrays
from asr.shards import read_shards

NO_LOSS = -100  # the label that PyTorch's cross entropy leaves out


def read_rows(features, filtered_csv) -> Dataset:
    """Open the rows of data/features/ that one file of data/filtered/ names, in its order."""
    rows = pd.read_csv(filtered_csv, dtype={"id": str}, keep_default_na=False)
    dataset = read_shards(features).select(rows["row"].to_numpy())
    assert dataset["id"][:] == list(rows["id"]), f"{filtered_csv} is not of {features}: run `dvc repro`"
    return with_arrays(dataset)


class Collator:
    """Stack rows into a batch.

    The notebook's collator compares the first label with `bos_token_id`, which in Whisper is not the
    start token: it never strips, and trains with a doubled start. Here `featurize` stores labels
    without the start token; the model puts the one before them. The end of text is also the padding id,
    so padding is masked by length, never by id.
    """

    def __init__(self, n_mels: int, frames: int) -> None:
        self.n_mels = n_mels
        self.frames = frames  # the model's window

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        """Return input_features, float32 (batch, n_mels, frames), and labels, int64 (batch, longest)."""
        features = np.stack([pad(log_mel_of(row, self.n_mels), self.frames) for row in rows])
        labels = [torch.tensor(row["labels"], dtype=torch.int64) for row in rows]
        return {
            "input_features": torch.from_numpy(features).float(),
            "labels": pad_sequence(labels, batch_first=True, padding_value=NO_LOSS),
        }
