"""Bring a corpus in from the source that `download.source` names, to data/raw/.

Clips keep their own encoding and all come out as rows, those without audio too: what is unusable is
found out by featurize and dropped, under its reason, by filter. data/raw/ appears when the corpus is
complete, not before.

Run by `dvc repro`, or alone: python -m stages.download
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from asr.corpus import RAW_FEATURES, SPLITS, Clip
from asr.params import Download, load_params
from asr.shards import write_shards
from asr.sources import archive, folder, hub, mdc, sample
from asr.stage import report_errors

OUT = Path("data/raw")
logger = logging.getLogger("download")


def download(params: Download) -> Iterator[Clip]:
    """Read all clips of the chosen source, in an order that is the same on every run."""
    match params.source:
        case "archive":
            return archive.clips(params.archive, params.archive_sha256, params.locale)
        case "mdc":
            return mdc.clips(params.mdc.dataset, params.locale)
        case "hub":
            return hub.clips(params.hub)
        case "folder":
            return folder.clips(params.folder)
        case "sample":
            return sample.clips(params.sample)


def check(clips: Iterable[Clip]) -> Iterator[Clip]:
    """Hand clips on; log counts after the last.

    Raises
    ------
    ValueError: an id comes twice; or, after the last clip, train or test has none.
    """
    ids, speakers = set(), {split: set() for split in SPLITS}
    rows, size = Counter(), Counter()
    for clip in clips:
        if clip.id in ids:
            raise ValueError(f"clip {clip.id!r} comes twice (again in {clip.split}); ids have to be unique")
        ids.add(clip.id)
        rows[clip.split] += 1
        size[clip.split] += len(clip.audio)
        speakers[clip.split].add(clip.speaker)
        yield clip
    for split in SPLITS:
        known = len(speakers[split] - {""})
        logger.info("%s: %d clips, %d speakers, %.1f MB", split, rows[split], known, size[split] / 1e6)
    empty = [split for split in ("train", "test") if not rows[split]]
    if empty:
        raise ValueError(
            f"the corpus has no clip in {' and '.join(empty)}, of {rows.total()}: it takes both; look at the"
            " source's tables and at the splits in `download` of params.yaml"
        )


def main() -> None:
    params = load_params()
    write_shards(OUT, (asdict(clip) for clip in check(download(params.download))), RAW_FEATURES)


if __name__ == "__main__":
    with report_errors("download"):
        main()
