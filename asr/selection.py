"""Which rows are trained on, selected with, and tested on, and why the others are not."""

import math
import random

import pandas as pd

from asr.text import normalize

# In the order in which they are looked for; a row is dropped under the first that holds.
REASONS = (
    "no_audio",  # the corpus lacks the file, or it has no bytes
    "undecodable",
    "empty_sentence",  # nothing but punctuation
    "too_long",  # max_duration_s and more
    "over_window",  # longer than the model's window: it would be cut
    "too_many_labels",  # more ids than the decoder has positions
    "speaker_in_test",
    "sentence_in_test",
    "sentence_in_validation",
)


def select_rows(
    rows: pd.DataFrame,
    max_duration_s: float,
    window_s: float,
    max_labels: int,
    validation_fraction: float,
    seed: int,
) -> pd.DataFrame:
    """Give every row a role, or a reason why it has none.

    The corpus' train and validation rows are one pool, as in the notebook. What shares a speaker or a
    sentence with test leaves it. Then whole speakers are held out for choosing the checkpoint, and
    what shares a sentence with theirs leaves training. Test rows are only dropped if they are broken:
    a long one is transcribed in pieces.

    Parameters
    ----------
    rows: columns split, speaker, sentence, duration_s, problem, n_labels

    Returns
    -------
    The same rows with two more columns: `role`, "train", "validation", "test" or "", and `reason`, "" or
    one of REASONS.

    Raises
    ------
    ValueError: nothing is left for one of the three roles.
    """
    rows = rows.assign(role="", reason="", key=rows.sentence.map(normalize))
    is_test = rows.split == "test"

    def drop(reason: str, where: pd.Series) -> None:
        rows.loc[where & (rows.reason == ""), "reason"] = reason

    drop("no_audio", rows.problem == "no_audio")
    drop("undecodable", rows.problem == "undecodable")
    drop("empty_sentence", rows.key == "")
    drop("too_long", ~is_test & (rows.duration_s >= max_duration_s))
    drop("over_window", ~is_test & (rows.duration_s > window_s))
    drop("too_many_labels", ~is_test & (rows.n_labels > max_labels))
    test = rows[is_test & (rows.reason == "")]
    if knows_speakers(rows):
        drop("speaker_in_test", ~is_test & rows.speaker.isin(set(test.speaker) - {""}))
    drop("sentence_in_test", ~is_test & rows.key.isin(set(test.key)))

    pool = rows[~is_test & (rows.reason == "")]
    held_out = pool.index.isin(hold_out(pool, validation_fraction, seed))
    validation = pool[held_out]
    drop(
        "sentence_in_validation", rows.index.isin(pool.index[~held_out]) & rows.key.isin(set(validation.key))
    )

    rows.loc[test.index, "role"] = "test"
    rows.loc[validation.index, "role"] = "validation"
    rows.loc[pool.index[~held_out], "role"] = "train"
    rows.loc[rows.reason != "", "role"] = ""
    for role in ("train", "validation", "test"):
        if not (rows.role == role).any():
            counts = rows.reason.value_counts().drop("", errors="ignore").to_dict()
            raise ValueError(
                f"no {role} rows are left of {len(rows)}; dropped: {counts}; see filter.* in params.yaml"
            )
    return rows.drop(columns="key")


def knows_speakers(rows: pd.DataFrame) -> bool:
    """Tell whether a corpus can be divided by speaker: it names at least two."""
    return rows.speaker[rows.speaker != ""].nunique() > 1


def hold_out(pool: pd.DataFrame, fraction: float, seed: int) -> pd.Index:
    """Choose whole speakers, in random order, up to a fraction of the rows; returns their index.

    A speaker too large for what is left is passed over, so one voice never makes up the whole; where
    that passes over all of them, the smallest is taken. Rows without a speaker stay in training. A
    corpus of one speaker is divided by sentence instead.
    """
    group = pool.speaker if knows_speakers(pool) else pool.key
    sizes = group[group != ""].value_counts()
    names = sorted(sizes.index)
    random.Random(seed).shuffle(names)
    room = math.ceil(fraction * len(pool))
    chosen = []
    for name in names:
        if sizes[name] <= room:
            chosen.append(name)
            room -= sizes[name]
    if not chosen and len(names) > 1:
        chosen = [min(names, key=lambda name: sizes[name])]
    return pool.index[group.isin(chosen)]
