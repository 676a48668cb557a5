"""Turn every clip into log-mel features: data/raw/ to data/features/.

Every row of the corpus comes out as one row, also the broken ones, under their problem; which rows are
used is the filter's decision. Features are stored without padding and in float16, a twelfth of what
the usual 30 s float32 takes for a clip of five seconds.

Run by `dvc repro`, or alone: python -m stages.featurize
"""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from transformers import WhisperFeatureExtractor

from asr import audio
from asr.features import FEATURES
from asr.params import load_params
from asr.shards import read_shards, write_shards
from asr.stage import report_errors

RAW, PRETRAINED, OUT = Path("data/raw"), Path("data/pretrained"), Path("data/features")
ROWS_A_TASK = 16  # read and handed over together
ROWS_AT_ONCE = 64 * ROWS_A_TASK  # given to the workers before their results are written: bounds the memory
logger = logging.getLogger("featurize")


def featurize(raw: Dataset, extractor: WhisperFeatureExtractor) -> Iterator[dict]:
    """Featurize a corpus on all cores, in its order; yields rows of `FEATURES`."""
    with ProcessPoolExecutor(initializer=_start_worker, initargs=(raw, extractor.mel_filters)) as pool:
        for first in range(0, len(raw), ROWS_AT_ONCE):
            end = min(first + ROWS_AT_ONCE, len(raw))
            for rows in pool.map(_featurize_rows, range(first, end, ROWS_A_TASK)):
                yield from rows


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
    row = {name: value for name, value in clip.items() if name != "audio"}
    row |= {"duration_s": 0.0, "problem": "", "features": []}
    if not clip["audio"]:
        return {**row, "problem": "no_audio"}
    try:
        samples, rate = audio.decode(clip["audio"])
    except ValueError as error:
        logger.warning("%s: %s", clip["id"], error)
        return {**row, "problem": "undecodable"}
    samples = audio.resample(samples, rate)
    features = audio.log_mel(samples, mel_filters).astype(np.float16)
    return {**row, "duration_s": len(samples) / audio.SAMPLE_RATE, "features": features.reshape(-1)}


def _start_worker(raw: Dataset, mel_filters: np.ndarray) -> None:
    global _raw, _mel_filters  # once a worker, not once a row
    torch.set_num_threads(1)
    _raw, _mel_filters = raw.with_format("arrow"), mel_filters.astype(np.float32)


def _featurize_rows(first: int) -> list[dict]:
    clips = _raw[first : first + ROWS_A_TASK].to_pylist()
    return [featurize_clip(clip, _mel_filters) for clip in clips]


def check_sampling_rate(extractor: WhisperFeatureExtractor, sampling_rate: int) -> None:
    """Refuse a sampling rate that the pretrained model was not made for."""
    expected = extractor.sampling_rate
    if sampling_rate != expected:
        raise ValueError(
            f"featurize.sampling_rate is {sampling_rate}, but the model in {PRETRAINED} hears {expected} Hz:"
            f" set it to {expected}"
        )


def main() -> None:
    params = load_params()
    extractor = WhisperFeatureExtractor.from_pretrained(PRETRAINED)
    check_sampling_rate(extractor, params.featurize.sampling_rate)
    raw = read_shards(RAW)
    written = write_shards(OUT, featurize(raw, extractor), FEATURES)
    assert written == len(raw), f"{len(raw)} clips in, {written} rows out"
    table = read_shards(OUT).select_columns(["duration_s", "problem"]).to_pandas()
    logger.info(
        "%d clips, %.2f h, %d not usable, %d workers",
        len(table),
        table.duration_s.sum() / 3600,
        (table.problem != "").sum(),
        os.cpu_count() or 1,
    )


if __name__ == "__main__":
    with report_errors("featurize"):
        main()
