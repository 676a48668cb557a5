"""The committed table of utterances: what both models made of each clip of the test set.

It is small and it is text, so it lives in git: `git diff` shows which sentences changed, and
`asr compare` reads it from any two commits.
"""

import hashlib
from io import StringIO

import pandas as pd
import regex

from asr.evaluation.error_counts import score_utterances
from asr.evaluation.transcripts import MODELS, Transcript
from asr.scoring.text import normalize, orthographic

TEXT_COLUMNS = ["id", "speaker", "reference", *(f"hypothesis_{model}" for model in MODELS)]
PER_REFERENCE = ["reference_words", "reference_chars"]
PER_MODEL = ["errors", "substitutions", "deletions", "insertions", "char_errors"]
COLUMNS = [
    *("id", "speaker", "duration_s", "reference", *(f"hypothesis_{model}" for model in MODELS)),
    *PER_REFERENCE,
    *(f"{count}_{model}" for model in MODELS for count in PER_MODEL),
]


def pseudonym(speaker: str) -> str:
    """Shorten a corpus' speaker id to 8 hexadecimal digits (BLAKE2s); unknown stays unknown."""
    return hashlib.blake2s(speaker.encode(), digest_size=4).hexdigest() if speaker else ""


def utterance_table(transcripts: dict[str, list[Transcript]]) -> pd.DataFrame:
    """Lay the transcripts of both models side by side and count each utterance's errors.

    Parameters
    ----------
    transcripts: for each of MODELS, the same clips in the same order

    Returns
    -------
    COLUMNS, a row per clip in that order: durations in seconds with 3 decimals, texts on one line each,
    counts as asr/evaluation/error_counts.py has them, with the model's name behind those that depend on it
    """
    clips = transcripts["pretrained"]
    table = pd.DataFrame(
        {
            "id": [clip.id for clip in clips],
            "speaker": [pseudonym(clip.speaker) for clip in clips],
            "duration_s": [round(clip.duration_s, 3) for clip in clips],
            "reference": [orthographic(clip.reference) for clip in clips],
        }
    )
    for model in MODELS:
        hypotheses = [transcript.hypothesis for transcript in transcripts[model]]
        table[f"hypothesis_{model}"] = [orthographic(hypothesis) for hypothesis in hypotheses]
        counts = score_utterances([clip.reference for clip in clips], hypotheses)
        table[PER_REFERENCE] = counts[PER_REFERENCE]
        table[[f"{count}_{model}" for count in PER_MODEL]] = counts[PER_MODEL]
    return table[COLUMNS]


def from_csv(text: str, where: str) -> pd.DataFrame:
    """Read what `to_csv` of asr/tables/csv_text.py wrote.

    Texts stay texts: "null" is a word and "12345678" may be a speaker.

    Parameters
    ----------
    where: file or revision, for messages

    Raises
    ------
    ValueError: columns are missing, as in a table of another version.
    """
    table = pd.read_csv(StringIO(text), keep_default_na=False, dtype=dict.fromkeys(TEXT_COLUMNS, "str"))
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise ValueError(
            f"{where}: expected the columns {', '.join(COLUMNS)}; {', '.join(missing)} missing."
            " It was written by another version of the project: check it out and run `dvc repro evaluate`"
        )
    return table


def has_marks(table: pd.DataFrame) -> bool:
    """Tell whether references are spelled with marks, which Whisper's own normaliser strikes out."""
    return any(regex.search(r"\p{M}", normalize(reference)) for reference in table.reference)
