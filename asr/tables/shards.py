"""Tables on disk: a folder of Arrow files, written as a stream, read memory-mapped.

A folder of such folders is read as one table, in the order of their names: what holds all corpora.

`datasets.save_to_disk` would do, but puts a fingerprint beside the data that changes with a comment
in the code; these files hold the rows and nothing else, so equal rows give equal DVC hashes.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from datasets import Dataset

SHARD_BYTES = 256 * 2**20
BATCH_ROWS = 64  # rows of a record batch: what is held in memory while writing
BATCH_BYTES = 128 * 2**20  # or fewer rows, if they are as large as this; Arrow takes 2 GiB at most


def write_shards(folder: str | Path, rows: Iterable[dict], schema: pa.Schema) -> int:
    """Write rows to `folder/00000.arrow`, `00001.arrow`, …; returns how many.

    They replace the folder all together and at the end: until then, and if the rows break off with an
    error, they are in `folder.part` beside it.

    Raises
    ------
    ValueError: there is no row.
    """
    folder = Path(folder)
    part = folder.with_name(folder.name + ".part")
    if part.exists():
        shutil.rmtree(part)  # of a run that was killed
    part.mkdir(parents=True)
    written = _write(part, rows, schema)
    if not written:
        part.rmdir()
        raise ValueError(f"no rows to write to {folder}")
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)
    return written


def _write(folder: Path, rows: Iterable[dict], schema: pa.Schema) -> int:
    shard, written, in_shard, in_batch, writer, batch = 0, 0, 0, 0, None, []

    def flush() -> None:
        nonlocal shard, in_shard, in_batch, writer
        if writer is None:
            writer = pa.ipc.new_stream(folder / f"{shard:05}.arrow", schema)
        table = pa.RecordBatch.from_pylist(batch, schema=schema)
        writer.write_batch(table)
        in_shard += table.nbytes
        batch.clear()
        in_batch = 0
        if in_shard >= SHARD_BYTES:
            writer.close()
            shard, in_shard, writer = shard + 1, 0, None

    for row in rows:
        batch.append(row)
        written += 1
        in_batch += sum(_n_bytes(value) for value in row.values())
        if len(batch) == BATCH_ROWS or in_batch >= BATCH_BYTES:
            flush()
    if batch:
        flush()
    if writer is not None:
        writer.close()
    return written


def _n_bytes(value: object) -> int:
    return value.nbytes if isinstance(value, np.ndarray) else len(value) if isinstance(value, bytes) else 0


def read_shards(folder: str | Path) -> "Dataset":
    """Open what `write_shards` wrote, memory-mapped, in the order written.

    Raises
    ------
    FileNotFoundError: the folder holds no shard.
    """
    from datasets import Dataset, concatenate_datasets  # not above: `read_columns` does without

    return concatenate_datasets([Dataset.from_file(str(file)) for file in _shards(folder)])


def read_columns(folder: str | Path, columns: list[str]) -> pa.Table:
    """Open some columns of what `write_shards` wrote, memory-mapped, in the order written.

    Raises
    ------
    FileNotFoundError: the folder holds no shard.
    """
    shards = [pa.ipc.open_stream(pa.memory_map(str(file))).read_all() for file in _shards(folder)]
    return pa.concat_tables(shards).select(columns)


def _shards(folder: str | Path) -> list[Path]:
    files = sorted(Path(folder).rglob("*.arrow"))
    if not files:
        raise FileNotFoundError(f"no .arrow files in {folder}: run `dvc repro` or `dvc pull`")
    return files
