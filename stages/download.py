"""Bring a corpus of `corpora` in params.yaml in, to data/raw/NAME/.

Clips keep their own encoding and all come out as rows, those without audio too: what is unusable is
found out by featurize and dropped, under its reason, by filter. Clips that the corpus' `use` does not want,
such as the test clips of one for training only, are left out. Ids and speakers begin with the corpus' name,
so that they are apart from those of other corpora. data/raw/NAME/ appears when the corpus is complete.

Run by `dvc repro`, or alone: python -m stages.download NAME
"""

import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from asr.params import Corpus, load_params, require_paths
from asr.runtime.errors import report_errors
from asr.tables.corpus import RAW_FEATURES, SPLITS, Clip, id_in
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


def download(name: str, corpus: Corpus) -> Iterator[Clip]:
    """Read the clips of a corpus that its `use` wants, in an order that is the same on every run."""
    left_out = 0
    for clip in clips_of(corpus):
        if corpus.use in ("both", "test" if clip.split == "test" else "train"):
            yield replace(clip, id=id_in(name, clip.id), speaker=clip.speaker and id_in(name, clip.speaker))
        else:
            left_out += 1
    if left_out:
        logger.info("use is %s: %d other clips are left out", corpus.use, left_out)


def clips_of(corpus: Corpus) -> Iterator[Clip]:
    """Read all clips of a corpus."""
    # Each source is imported when it is chosen: the packages that the others need may be missing.
    match corpus.source:
        case "archive":
            from asr.sources import archive as source
        case "mdc":
            from asr.sources import mdc as source
        case "hub":
            from asr.sources import hub as source
        case "folder":
            from asr.sources import folder as source
        case "sample":
            from asr.sources import sample as source
    return source.clips(corpus)


def check(clips: Iterable[Clip], corpus: Corpus) -> Iterator[Clip]:
    """Hand clips on; log counts after the last.

    Raises
    ------
    ValueError: an id comes twice; or, after the last clip, train or test has none, though `use` wants it, or
        there should be validated ones and are none.
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
    for split in [split for split in SPLITS if rows[split]]:
        known = len(speakers[split] - {""})
        logger.info("%s: %d clips, %d speakers, %.1f MB", split, rows[split], known, size[split] / 1e6)
    own = {"train": rows.total() - rows["test"], "test": rows["test"]}
    empty = [split for split, n in own.items() if not n and corpus.use in (split, "both")]
    if empty:
        raise ValueError(
            f"the corpus has no clip in {' and '.join(empty)}, of {rows.total()}, and use is {corpus.use}:"
            " look at its tables and at its splits, or set use to train or test"
        )
    if getattr(corpus, "add_validated", False) and not rows["validated"]:
        raise ValueError(
            "add_validated is true, but the corpus has no clip beyond train, validation and test: set it to"
            " false"
        )


def main(name: str) -> None:
    params = load_params()
    if name not in params.corpora:
        raise ValueError(f"no corpus {name!r} among corpora, which are {', '.join(params.corpora)}")
    corpus = params.corpora[name]
    require_paths({name: corpus})
    logger.info("corpus %s, source %s", name, corpus.source)
    if corpus.source in TERMS:
        logger.info("%s (docs/licences.md)", TERMS[corpus.source])
    clips = check(download(name, corpus), corpus)
    write_shards(OUT / name, (asdict(clip) for clip in clips), RAW_FEATURES)


if __name__ == "__main__":
    with report_errors("download"):
        main(*sys.argv[1:])
