"""The table between `featurize` and everything after it: one row a clip, features without padding.

There are no label ids in it: which tokens there are is known after `filter` only.
"""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from datasets import Dataset

PROBLEMS = (  # why a row has no features
    "no_audio",  # the corpus lacks the file, or it has no bytes
    "outside_folder",  # the table names a file that is not in the corpus' folder; it is not read
    "too_large",  # more bytes or more seconds than a clip may have
    "undecodable",  # no audio, or in a format that is not known here, or samples that are no numbers
    "cut_off",  # the file says that it is longer than it is
    "silent",  # all samples are the same, but for the last of 16 bits
    "decoder_died",  # the process that decoded it crashed or would not end
)
FEATURES = pa.schema(
    {
        "id": pa.string(),
        "split": pa.string(),
        "speaker": pa.string(),
        "gender": pa.string(),
        "age": pa.string(),
        "accent": pa.string(),
        "sentence": pa.string(),
        "duration_s": pa.float32(),
        "problem": pa.string(),  # one of PROBLEMS, or ""
        "detail": pa.string(),  # what was found, for the reader
        "sound": pa.string(),  # a hash of the features: the same recording has the same; "" without any
        "features": pa.list_(pa.float16()),  # log-mel, shape = (n_mels, n_frames), row by row
    }
)
METADATA = [name for name in FEATURES.names if name != "features"]


def log_mel_of(row: dict, n_mels: int) -> np.ndarray:
    """Return a row's log-mel features: float16, shape = (n_mels, n_frames)."""
    return np.asarray(row["features"], dtype=np.float16).reshape(n_mels, -1)


def with_arrays(dataset: "Dataset") -> "Dataset":
    """Let a dataset's features come out as NumPy arrays, straight from the mapped file."""
    return dataset.with_format("numpy", columns=["features"])
