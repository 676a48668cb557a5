"""What can be known of corpora before a model is trained: sizes, faults, and how much a test can tell."""

import math
from pathlib import Path

import pandas as pd

from asr.audio.log_mel import SAMPLE_RATE
from asr.commands.check import settings, transcripts
from asr.commands.check.reading import place, read, without_row
from asr.evaluation.bootstrap import CONFIDENCE, WIDEST, student_quantile, units
from asr.params import Corpus, Filter, load_params, require_paths
from asr.scoring.text import normalize
from asr.selection import select_rows, warnings
from asr.tables.features import PROBLEMS

SOME = 5  # clips that are named
LONGEST_WINDOW_S = 30  # Whisper's
WER = 0.3  # for which the interval is foretold
ENOUGH = 5.0  # points to either side; `evaluate` warns of more
# How much more alike the words of one speaker are recognised than those of several: the largest of three that
# were measured, docs/metrics.md.
ALIKE = 0.03


def of_recipe() -> dict:
    """Read and examine all corpora of the recipe in the current folder."""
    params = load_params()
    require_paths(params.corpora)
    return examine(*read(params.corpora), params.corpora, params.filter, params.model.audio_window_s)


def of_path(path: Path, locale: str | None) -> dict:
    """Read and examine what lies at a path, with the root's settings."""
    corpus = settings.of_path(path, locale)
    corpora = {Path(corpus.path).resolve().name: corpus}
    return examine(*read(corpora), corpora, *settings.of_root())


def examine(
    rows: pd.DataFrame, log: list[str], corpora: dict[str, Corpus], limits: Filter, window_s: int
) -> dict:
    """Return what can be said of corpora, as JSON has it.

    Parameters
    ----------
    rows, log: as `reading.read` returns them
    """
    unlisted = {name: without_row(of, {*rows["name"][rows.corpus == name]}) for name, of in corpora.items()}
    rows = rows.assign(key=rows.sentence.map(normalize))
    try:
        given = limits.model_dump(exclude={"max_bad_fraction"})
        chosen = select_rows(rows.drop(columns="key"), window_s=window_s, **given)
        dropped = chosen.reason[chosen.reason != ""].value_counts().to_dict()
        doubts = warnings(chosen)
    except ValueError as error:
        dropped, doubts = {}, [f"`filter` would end: {error}"]
    usable = rows[rows.problem == ""]
    if len(rows) - len(usable) > limits.max_bad_fraction * len(rows):
        bad = f"{len(rows) - len(usable)} of {len(rows)} clips cannot be used"
        doubts.append(f"`filter` would end: {bad}, and filter.max_bad_fraction is {limits.max_bad_fraction}")
    by_corpus = dict([*rows.groupby("corpus", sort=False)])
    return {
        "log": log,
        "all": _sizes(rows),
        "corpora": {name: _sizes(of) for name, of in by_corpus.items()},
        "window": _window(usable, window_s),
        "characters_per_s": _speaking_rate(usable),
        "dropped": dropped,
        "leaks": _leaks(rows),
        "problems": _problems(rows, corpora),
        "without_row": {
            name: {"recordings": len(found), "some": found[:SOME]}
            for name, found in unlisted.items()
            if found
        },
        "same_audio": _same_audio(rows),
        "sentences": _sentences(rows),
        "transcripts": transcripts.examine(rows.set_index("id").sentence),
        "test": {
            "wer": WER,
            "all": _test(rows),
            "corpora": {name: _test(of) for name, of in by_corpus.items()},
        },
        "sound": _kinds(usable),
        "warnings": doubts,
    }


def _sizes(rows: pd.DataFrame) -> dict:
    splits = {split: of for split, of in rows.groupby("split", sort=False)}
    return {
        split: {
            "clips": len(of),
            "hours": round(float(of.duration_s.sum()) / 3600, 4),
            "speakers": of.speaker[of.speaker != ""].nunique(),
            "sentences": of.key[of.key != ""].nunique(),
        }
        for split, of in (splits | {"all": rows}).items()
    }


def _window(rows: pd.DataFrame, window_s: int) -> dict:
    """List the longest clips, and the windows that all of them, and 99 % of them, fit into."""
    longest = rows.nlargest(SOME, "duration_s")
    return {
        "longest": dict(zip(longest.id, longest.duration_s.round(2), strict=True)),
        "audio_window_s": window_s,
        "fits_all_s": _fitting(rows.duration_s.max()),
        "fits_99_percent_s": _fitting(rows.duration_s.quantile(0.99)),
    }


def _fitting(seconds: float) -> int:
    return 1 if math.isnan(seconds) else min(max(1, math.ceil(seconds)), LONGEST_WINDOW_S)


def _speaking_rate(rows: pd.DataFrame) -> dict:
    """List the clips with most characters a second, which may have another clip's text or be cut."""
    rates = (rows.key.str.len() / rows.duration_s).set_axis(rows.id)
    median = 0.0 if rates.empty else round(float(rates.median()), 1)
    return {"median": median, "highest": rates.nlargest(SOME).round(1).to_dict()}


def _leaks(rows: pd.DataFrame) -> dict:
    """Count what test and the other splits have in common."""
    test, others = rows[rows.split == "test"], rows[rows.split != "test"]
    return {
        "speakers": len({*test.speaker} & {*others.speaker} - {""}),
        "sentences": len({*test.key} & {*others.key} - {""}),
    }


def _problems(rows: pd.DataFrame, corpora: dict[str, Corpus]) -> dict:
    found = {}
    for problem in PROBLEMS:
        of = rows[rows.problem == problem]
        if len(of):
            first = of.iloc[0]
            found[problem] = {"clips": len(of), "some": list(of.id[:SOME]), "detail": first.detail}
            if problem == "no_audio":
                found[problem]["tried"] = place(corpora[first.corpus]) + first["name"]
    return found


def _same_audio(rows: pd.DataFrame) -> dict:
    """Find clips with the very same bytes."""
    again = rows[(rows["sound"] != 0) & rows.duplicated("sound", keep=False)]
    groups = [of for _, of in again.groupby("sound", sort=False)]
    return {
        "recordings": len(groups),
        "clips": len(again),
        "some": [list(of.id[:2]) for of in groups[:SOME]],
        "in_test_and_elsewhere": sum({"test"} < {*of.split} for of in groups),
        "with_several_texts": sum(of.key.nunique() > 1 for of in groups),
    }


def _sentences(rows: pd.DataFrame) -> dict:
    """Count the sentences that several clips speak."""
    spoken = (
        rows[rows.key != ""]
        .groupby("key", sort=False)
        .agg(clips=("id", "size"), speakers=("speaker", "nunique"), text=("sentence", "first"))
    )
    most = spoken[spoken.clips > 1].nlargest(SOME, "clips")
    return {
        "spoken_once": int((spoken.clips == 1).sum()),
        "spoken_again": int((spoken.clips > 1).sum()),
        "most": [
            {"sentence": row.text, "clips": row.clips, "speakers": row.speakers} for row in most.itertuples()
        ],
        "without_words": int((rows.key == "").sum()),
    }


def _test(rows: pd.DataFrame) -> dict | None:
    """Foretell the 95 % interval of a WER of `WER`; None without test clips.

    A word is wrong or not, and words of one speaker are alike, so the variance is that of as many independent
    words times the design effect (Kish, Survey Sampling, 1965), 1 + ALIKE (words of a speaker - 1). Student's
    quantile and the effective number of speakers are those of `bootstrap.interval`.
    """
    test = rows[(rows.split == "test") & (rows.problem == "") & (rows.key != "")]
    if test.empty:
        return None
    weights = test.key.str.split().str.len().groupby(units(test)).sum()
    words, speakers = int(weights.sum()), float(weights.sum() ** 2 / (weights**2).sum())
    points = WIDEST
    if speakers > 1:
        effect = 1 + ALIKE * (words / speakers - 1)
        quantile = student_quantile((1 + CONFIDENCE) / 2, speakers - 1)
        points = min(100 * quantile * math.sqrt(WER * (1 - WER) * effect / words), WIDEST)
    named = test.speaker[test.speaker != ""].nunique()
    return {"clips": len(test), "words": words, "speakers": named, "points": round(points, 1)}


def _kinds(rows: pd.DataFrame) -> list[dict]:
    kinds = rows.groupby(["format", "rate", "channels"]).duration_s.agg(["size", "sum"])
    return [
        {
            "format": kind, "rate": int(rate), "channels": int(channels), "clips": int(size),
            "hours": round(hours / 3600, 4), "resampled": bool(rate != SAMPLE_RATE),
        }
        for (kind, rate, channels), (size, hours) in kinds.sort_values("size", ascending=False).iterrows()
    ]  # fmt: skip
