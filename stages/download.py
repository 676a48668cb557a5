"""Bring a corpus in from the source that `download.source` names, to data/raw/.

Clips keep their own encoding and all come out as rows, those without audio too: what is unusable is
found out by featurize and dropped, under its reason, by filter. With filter.add_validated, what the
corpus has beyond its three splits comes too. data/raw/ appears when the corpus is complete, not before.

Run by `dvc repro`, or alone: python -m stages.download
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from asr.params import Download, load_params
from asr.runtime.errors import report_errors
from asr.tables.corpus import ADDED, RAW_FEATURES, SPLITS, Clip
from asr.tables.shards import write_shards

OUT = Path("data/raw")
# Said to whoever brings a corpus in; docs/licences.md has the sources.
TERMS = {
    "archive": "Common Voice is CC0; who downloads it agrees not to identify its speakers",
    "mdc": "Mozilla Data Collective's terms forbid to host a dataset again: keep your DVC remote private",
    "hub": "the dataset's page on the hub says under which licence it is, and what you may publish",
    "folder": "the speakers have to have consented, also to what you publish of their recordings",
}
logger = logging.getLogger("download")


def download(params: Download, validated: bool) -> Iterator[Clip]:
    """Read all clips of the chosen source, in an order that is the same on every run.

    Parameters
    ----------
    validated: whether to bring in clips beyond train, validation and test too
    """
    # Each is imported when it is chosen: the packages that the others need may be missing.
    match params.source:
        case "archive":
            from asr.sources import archive

            return archive.clips(
                params.archive, params.archive_sha256, params.locale, params.test_fraction, validated
            )
        case "mdc":
            from asr.sources import mdc

            return mdc.clips(params.mdc.dataset, params.locale, params.test_fraction, validated)
        case "hub":
            from asr.sources import hub

            return hub.clips(params.hub, validated)
        case "folder":
            from asr.sources import folder

            return folder.clips(params.folder, validated)
        case "sample" if validated:
            raise ValueError(
                "filter.add_validated is true, but the synthetic corpus has no clip beyond its splits: set it"
                " to false, and download.sample.train_clips to as many as you like"
            )
        case "sample":
            from asr.sources import sample

            return sample.clips(params.sample)


def check(clips: Iterable[Clip], validated: bool) -> Iterator[Clip]:
    """Hand clips on; log counts after the last.

    Raises
    ------
    ValueError: an id comes twice; or, after the last clip, train or test has none, or there should be
        validated ones and are none.
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
    for split in [split for split in SPLITS if rows[split] or split not in ADDED]:
        known = len(speakers[split] - {""})
        logger.info("%s: %d clips, %d speakers, %.1f MB", split, rows[split], known, size[split] / 1e6)
    own = {"train": rows["train"] + rows["validation"], "test": rows["test"]}
    empty = [split for split, n in own.items() if not n]
    if empty:
        raise ValueError(
            f"the corpus has no clip in {' and '.join(empty)}, of {rows.total()}: it takes both; look at the"
            " source's tables and at the splits in `download` of params.yaml"
        )
    if validated and not rows["validated"]:
        raise ValueError(
            "filter.add_validated is true, but the corpus has no clip beyond train, validation and test:"
            " set it to false"
        )


def main() -> None:
    params = load_params()
    validated = params.filter.add_validated
    if params.download.source in TERMS:
        logger.info("%s (docs/licences.md)", TERMS[params.download.source])
    clips = check(download(params.download, validated), validated)
    write_shards(OUT, (asdict(clip) for clip in clips), RAW_FEATURES)


if __name__ == "__main__":
    with report_errors("download"):
        main()
