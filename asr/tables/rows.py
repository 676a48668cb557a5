"""The rows of one table that another one names."""

from pathlib import Path

import pandas as pd
from datasets import Dataset

from asr.tables.shards import read_shards


def read_rows(folder: str | Path, filtered_csv: str | Path) -> Dataset:
    """Open the rows of data/features/ or data/raw/ that one file of data/filtered/ names, in its order."""
    rows = pd.read_csv(filtered_csv, dtype={"id": str}, keep_default_na=False)
    dataset = read_shards(folder).select(rows["row"].to_numpy())
    assert dataset["id"][:] == list(rows["id"]), f"{filtered_csv} is not of {folder}: run `dvc repro`"
    return dataset
