"""Turn every clip of a corpus into log-mel features: data/raw/NAME/ to data/features/NAME/.

Every row of the corpus comes out as one row, also the broken ones, under their problem, and even those
that take their process along; which rows are used is the filter's decision. Features are stored without
padding and in float16, a twelfth of what the usual 30 s float32 takes for a clip of five seconds.

Run by `dvc repro`, or alone: python -m stages.featurize NAME
"""

import hashlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from transformers import WhisperFeatureExtractor

from asr.audio.decode import decode, resample
from asr.audio.log_mel import FRAMES_PER_SECOND, SAMPLE_RATE, log_mel
from asr.params import load_params
from asr.runtime.errors import report_errors
from asr.runtime.workers import Died, in_order, n_workers
from asr.tables.features import FEATURES
from asr.tables.shards import read_columns, read_shards, write_shards

RAW, PRETRAINED, OUT = Path("data/raw"), Path("data/pretrained"), Path("data/features")
SILENT = 2 * 2**-15  # between the lowest and the highest sample: the last bit of 16
WARNINGS = 20  # of clips that cannot be used; all of them are in metrics/dropped.csv
logger = logging.getLogger("featurize")


def featurize(raw: Dataset, extractor: WhisperFeatureExtractor) -> Iterator[dict]:
    """Featurize a corpus on all cores, in its order; yields rows of `FEATURES`."""
    rows = in_order(_featurize_row, len(raw), _start_worker, (raw, extractor.mel_filters))
    for index, row in enumerate(rows):
        if isinstance(row, Died):
            yield unusable(raw[index], "decoder_died", str(row))
        else:
            yield row


def featurize_clip(clip: dict, mel_filters: np.ndarray) -> dict:
    """Featurize one clip.

    Parameters
    ----------
    clip: a row of `RAW_FEATURES`
    mel_filters: shape = (201, n_mels)

    Returns
    -------
    A row of `FEATURES`
    """
    if clip["problem"]:
        return unusable(clip, clip["problem"], clip["detail"])
    if not clip["audio"]:
        return unusable(clip, "no_audio")
    oddities: dict[str, None] = {}  # each once, in their order
    try:
        samples, rate = decode(clip["audio"], lambda what: oddities.update({what: None}))
    except ValueError as error:
        return unusable(clip, "undecodable", str(error))
    except OverflowError as error:
        return unusable(clip, "too_large", str(error))
    except EOFError as error:
        return unusable(clip, "cut_off", str(error))
    if len(samples) < rate / FRAMES_PER_SECOND:
        return unusable(clip, "undecodable", f"{len(samples)} samples, less than a frame")
    if np.ptp(samples) <= SILENT:
        return unusable(clip, "silent", f"{len(samples) / rate:.1f} s")
    samples = resample(samples, rate)
    features = log_mel(samples, mel_filters).astype(np.float16)
    return {
        **_metadata(clip),
        "detail": "; ".join(oddities),
        "duration_s": len(samples) / SAMPLE_RATE,
        "sound": hashlib.blake2b(features.tobytes(), digest_size=8).hexdigest(),
        "features": features.reshape(-1),
    }


def unusable(clip: dict, problem: str, detail: str = "") -> dict:
    """Return the row of a clip that has no features."""
    found = {"problem": problem, "detail": detail}
    return {**_metadata(clip), **found, "duration_s": 0.0, "sound": "", "features": []}


def _metadata(clip: dict) -> dict:
    return {name: value for name, value in clip.items() if name != "audio"}


def _start_worker(raw: Dataset, mel_filters: np.ndarray) -> None:
    global _raw, _mel_filters  # once a worker, not once a row
    torch.set_num_threads(1)
    _raw, _mel_filters = raw.with_format("arrow"), mel_filters.astype(np.float32)


def _featurize_row(index: int) -> dict:
    return featurize_clip(_raw[index : index + 1].to_pylist()[0], _mel_filters)


def main(name: str) -> None:
    params = load_params()
    extractor = WhisperFeatureExtractor.from_pretrained(PRETRAINED, trust_remote_code=False)
    wanted, heard = params.featurize.sampling_rate, extractor.sampling_rate
    if wanted != heard:
        raise ValueError(
            f"featurize.sampling_rate is {wanted}, but the model in {PRETRAINED} hears {heard} Hz:"
            f" set it to {heard}"
        )
    raw = read_shards(RAW / name)
    written = write_shards(OUT / name, featurize(raw, extractor), FEATURES)
    assert written == len(raw), f"{len(raw)} clips in, {written} rows out"
    table = read_columns(OUT / name, ["id", "duration_s", "problem", "detail"]).to_pandas()
    for row in table[table.problem != ""].head(WARNINGS).itertuples():
        logger.warning("%r: %s %s", row.id, row.problem, row.detail)
    odd = table[(table.problem == "") & (table.detail != "")]
    for detail, ids in odd.groupby("detail").id:
        logger.warning("%d clips, such as %r: %s", len(ids), ids.iloc[0], detail)
    logger.info(
        "%d clips, %.2f h, %d not usable, %d workers of 1 thread",
        len(table),
        table.duration_s.sum() / 3600,
        (table.problem != "").sum(),
        n_workers(),
    )


if __name__ == "__main__":
    with report_errors("featurize"):
        main(*sys.argv[1:])
