"""The table between `featurize` and everything after it: one row a clip, features without padding.

There are no label ids in it: which tokens there are is known after `filter` only.
"""

import numpy as np
from datasets import Dataset, Features, List, Value

FEATURES = Features(
    {
        "id": Value("string"),
        "split": Value("string"),
        "speaker": Value("string"),
        "gender": Value("string"),
        "age": Value("string"),
        "accent": Value("string"),
        "sentence": Value("string"),
        "duration_s": Value("float32"),
        "problem": Value("string"),  # why there are no features: "no_audio", "undecodable"; else ""
        "features": List(Value("float16")),  # log-mel, shape = (n_mels, n_frames), row by row
    }
)
METADATA = [name for name in FEATURES if name != "features"]


def log_mel_of(row: dict, n_mels: int) -> np.ndarray:
    """Return a row's log-mel features: float16, shape = (n_mels, n_frames)."""
    return np.asarray(row["features"], dtype=np.float16).reshape(n_mels, -1)


def with_arrays(dataset: Dataset) -> Dataset:
    """Let a dataset's features come out as NumPy arrays, straight from the mapped file."""
    return dataset.with_format("numpy", columns=["features"])
