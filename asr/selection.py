"""Which rows are trained on, selected with, and tested on, and why the others are not."""

import math
import random
from itertools import chain

import pandas as pd

from asr.scoring.pace import most_characters_per_s
from asr.scoring.text import normalize
from asr.tables.corpus import ADDED, corpus_of
from asr.tables.features import PROBLEMS

ROLES = ("train", "validation", "test")
# In the order in which they are looked for; a row is dropped under the first that holds.
REASONS = (
    *PROBLEMS,
    "empty_sentence",  # nothing but punctuation and tags
    "too_long",  # max_duration_s and more
    "over_window",  # longer than the model's window: it would be cut
    "too_fast",  # more characters a second than max_characters_per_s: the text says more than the clip
    "other_text",  # more characters a second than anybody speaks, and the same sound has a text that fits
    "speaker_in_test",
    "sentence_in_test",
    "speaker_in_validation",
    "sentence_in_validation",
    "speaker_unknown",  # of an added row: may be anyone's, one of test's too
    "too_many_labels",  # more ids than the decoder has positions
)
# Of these a corpus may have thousands, and it is not the clips that are at fault.
LEAKS = tuple(reason for reason in REASONS if reason.startswith(("speaker_", "sentence_")))
FEW_VALIDATION_CLIPS, FEW_TEST_CLIPS = 30, 100
MUCH = 0.1  # of the rows that the corpus has for training
SOME = 0.01  # of a role's clips
LEAVE_OUT = "their texts say more than their sound, and filter.max_characters_per_s: auto leaves them out"
TOO_FAST = {
    "train": LEAVE_OUT,
    "validation": LEAVE_OUT,
    "test": "mend their texts, which have words that nobody speaks in the clip",
}


def select_rows(
    rows: pd.DataFrame,
    max_duration_s: float,
    max_characters_per_s: float | str | None,
    window_s: float,
    validation_fraction: float,
    seed: int,
) -> pd.DataFrame:
    """Give every row a role, or a reason why it has none.

    A corpus' train and validation rows are one pool, as in the notebook. What shares a speaker or a
    sentence with test leaves it. Then whole speakers of each corpus are held out for choosing the
    checkpoint, and what shares a sentence with theirs leaves training. Sentences are compared over all
    corpora. Test rows are only dropped if they are broken: a long one is transcribed in pieces, and
    the errors of one whose text says more than its sound are the corpus', whatever the model.

    Rows of the splits ADDED are added to training last, and change neither validation nor test: runs
    with and without them can be compared. No speaker and no sentence of validation or test comes in
    with them, not even in a corpus of one speaker; with unassigned rows, none of the corpus' own
    validation split either. Where validation or test names a speaker, an added row that names none is
    refused: it may be theirs, and no release vouches that it is not, as it does for the train split. In
    a corpus that names none at all, sentences have to do. Speakers of different corpora are different.

    Parameters
    ----------
    rows: columns id, split, speaker, sentence, duration_s, sound, problem; every index once
    max_characters_per_s: "auto": asr/scoring/pace.py, by the median of each corpus; None: no limit

    Returns
    -------
    The same rows with more columns: `role`, one of ROLES or "", `reason`, "" or one of REASONS,
    `characters_per_s`, of the normalised text, and `too_fast`: whether that is more than anybody speaks.

    Raises
    ------
    ValueError: nothing is left for one of the three roles.
    """
    rows = rows.assign(role="", reason="", key=rows.sentence.map(normalize))
    rows["characters_per_s"] = rows.key.str.len() / rows.duration_s
    is_test, is_added = rows.split == "test", rows.split.isin(ADDED)
    is_own = ~is_test & ~is_added  # the corpus' own train and validation

    def drop(reason: str, where: pd.Series) -> None:
        rows.loc[where & (rows.reason == ""), "reason"] = reason

    for problem in PROBLEMS:
        drop(problem, rows.problem == problem)
    drop("empty_sentence", rows.key == "")
    drop("too_long", ~is_test & (rows.duration_s >= max_duration_s))
    drop("over_window", ~is_test & (rows.duration_s > window_s))
    corpora = rows.id.map(corpus_of)
    usual = rows.characters_per_s.where(~is_added & (rows.reason == "")).groupby(corpora).transform("median")
    spoken = most_characters_per_s(usual)
    rows["too_fast"] = rows.characters_per_s > spoken
    if max_characters_per_s is not None:
        limit = spoken if max_characters_per_s == "auto" else max_characters_per_s
        drop("too_fast", ~is_test & (rows.characters_per_s > limit))
    for of, among in ((is_own, ~is_added), (is_added, True)):
        fitting = rows.sound[among & (rows.reason == "") & ~rows.too_fast]
        drop("other_text", of & rows.too_fast & rows.sound.isin(set(fitting)))
    test = rows[is_test & (rows.reason == "")]
    known = rows.groupby(corpora)[["split", "speaker"]].apply(knows_speakers)
    drop("speaker_in_test", ~is_test & (corpora.map(known) | is_added) & rows.speaker.isin(_named(test)))
    drop("sentence_in_test", ~is_test & rows.key.isin(set(test.key)))

    pool = rows[is_own & (rows.reason == "")]
    held_out = [hold_out(of, validation_fraction, seed) for _, of in pool.groupby(corpora)]
    validation = pool[pool.index.isin(list(chain(*held_out)))]
    is_held_out = rows.index.isin(validation.index)
    drop("speaker_in_validation", is_added & rows.speaker.isin(_named(validation)))
    drop("sentence_in_validation", ~is_test & ~is_held_out & rows.key.isin(set(validation.key)))
    own, is_unassigned = pool[pool.split == "validation"], rows.split == "unassigned"
    drop("speaker_in_validation", is_unassigned & rows.speaker.isin(_named(own)))
    drop("sentence_in_validation", is_unassigned & rows.key.isin(set(own.key)))
    named = corpora[(rows.index.isin(test.index) | is_held_out) & (rows.speaker != "")]
    drop("speaker_unknown", is_added & (rows.speaker == "") & corpora.isin(named))

    rows.loc[~is_test & ~is_held_out, "role"] = "train"
    rows.loc[validation.index, "role"] = "validation"
    rows.loc[test.index, "role"] = "test"
    rows.loc[rows.reason != "", "role"] = ""
    _require_roles(rows)
    return rows.drop(columns="key")


def drop_long_labels(rows: pd.DataFrame, max_labels: int) -> pd.DataFrame:
    """Take the role from rows of train and validation that have more label ids than the decoder positions.

    Apart from `select_rows`, because a tokenizer may be learned from the rows that it chose for train.

    Parameters
    ----------
    rows: as `select_rows` returns them, and a column n_labels

    Raises
    ------
    ValueError: nothing is left for one of the roles.
    """
    too_many = rows.role.isin(["train", "validation"]) & (rows.n_labels > max_labels)
    rows = rows.assign(
        role=rows.role.mask(too_many, ""), reason=rows.reason.mask(too_many, "too_many_labels")
    )
    _require_roles(rows)
    return rows


def held_out_by(rows: pd.DataFrame) -> str:
    """Tell what validation does not share with train: "speaker" (and sentence), or only "sentence"."""
    train, validation = (set(rows.speaker[rows.role == role]) - {""} for role in ("train", "validation"))
    return "speaker" if validation and not validation & train else "sentence"


def warnings(rows: pd.DataFrame) -> list[str]:
    """Say what makes the figures of a run weak before it is trained: small sets, wrong texts, clips lost.

    Parameters
    ----------
    rows: as `drop_long_labels` returns them
    """
    found, size = [], rows.role.value_counts()
    if size["validation"] < FEW_VALIDATION_CLIPS:
        found.append(
            f"the checkpoint is chosen on {size['validation']} validation clips, which is little more than"
            " chance: raise filter.validation_fraction"
        )
    if held_out_by(rows) == "sentence":
        found.append(
            "fewer than two named speakers of a corpus are left to train on: its validation is held out by"
            " sentence, and may share its speakers with train"
        )
    if size["test"] < FEW_TEST_CLIPS:
        found.append(
            f"the test set has {size['test']} clips: few of them decide the error rates, and only a large"
            " difference between two models can be told from chance"
        )
    fast = rows[rows.too_fast].role.value_counts()
    for role, advice in TOO_FAST.items():
        if fast.get(role, 0) > SOME * size[role]:
            found.append(
                f"{fast[role]} of the {size[role]} {role} clips have more characters a second than anybody"
                f" speaks: {advice}"
            )
    own = rows[rows.split.isin(["train", "validation"])]
    lost = own.reason[own.reason != ""]
    if len(lost) > MUCH * len(own):
        reasons = ", ".join(f"{reason} {clips}" for reason, clips in lost.value_counts().items())
        found.append(
            f"{len(lost)} of the corpus' {len(own)} clips to train on ({len(lost) / len(own):.0%}) are"
            f" dropped: {reasons}"
        )
    return found


def knows_speakers(rows: pd.DataFrame) -> bool:
    """Tell whether a corpus can be divided by speaker: its own splits name at least two."""
    return len(_named(rows[~rows.split.isin(ADDED)])) > 1


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


def _named(rows: pd.DataFrame) -> set[str]:
    return set(rows.speaker) - {""}


def _require_roles(rows: pd.DataFrame) -> None:
    for role in ROLES:
        if not (rows.role == role).any():
            counts = rows.reason.value_counts().drop("", errors="ignore").to_dict()
            raise ValueError(
                f"no {role} rows are left of {len(rows)}; dropped: {counts}; see filter.* in params.yaml"
            )
