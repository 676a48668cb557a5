"""Transcripts of the test set by another system, scored by the same rules."""

import logging
from pathlib import Path, PurePosixPath

import pandas as pd

from asr.evaluation.error_counts import score_utterances

# Columns by their usual names. Whoever transcribes a manifest of NeMo gets pred_text.
IDS = ("id", "path", "file", "filename", "file_name", "audio", "audio_filepath", "utterance_id", "utt_id")
TEXTS = ("hypothesis", "pred_text", "prediction", "text", "transcript", "transcription", "sentence")
SHOWN = 3  # ids in a message
logger = logging.getLogger("compare")


def read_hypotheses(file: Path, utterances: pd.DataFrame) -> pd.DataFrame:
    """Put somebody's transcripts in the place of the fine-tuned model's, and count their errors.

    A clip is found by its id in metrics/utterances.csv or by its file name, with or without the suffix.

    Parameters
    ----------
    file: .csv, .tsv or .jsonl, in UTF-8, with a column of IDS and one of TEXTS
    utterances: as asr/evaluation/utterance_table.py has it

    Raises
    ------
    FileNotFoundError: no such file.
    ValueError: no such columns, a clip has no transcript, or two that differ.
    """
    table = _read(file)
    columns = {column.strip().lower(): column for column in map(str, table.columns)}
    ids, texts = (next((columns[name] for name in names if name in columns), None) for names in (IDS, TEXTS))
    if ids is None or texts is None:
        wanted = f"one of {', '.join(IDS)} and one of {', '.join(TEXTS)}"
        raise ValueError(f"{file}: its columns are {', '.join(columns)}, and should have {wanted}")
    given: dict[str, set[str]] = {}
    for name, text in zip(table[ids], table[texts], strict=True):
        for key in {name, _stem(name)}:
            given.setdefault(key, set()).add(text)
    found = [given.get(id) or given.get(_stem(id), set()) for id in utterances.id]
    for wrong, what in ((0, "no transcript"), (2, "several transcripts that differ")):
        some = [id for id, texts in zip(utterances.id, found, strict=True) if min(len(texts), 2) == wrong]
        if some:
            named = ", ".join(some[:SHOWN]) + ", …" * (len(some) > SHOWN)
            raise ValueError(f"{file}: {len(some)} of {len(utterances)} test clips have {what}: {named}")
    logger.info("%s: %d rows, for %d test clips", file, len(table), len(utterances))
    hypotheses = [next(iter(texts)) for texts in found]
    counts = score_utterances(utterances.reference, hypotheses).add_suffix("_finetuned")
    lengths = {name: counts.pop(f"{name}_finetuned") for name in ("reference_words", "reference_chars")}
    assert all((lengths[name].to_numpy() == utterances[name].to_numpy()).all() for name in lengths)
    scored = utterances.reset_index(drop=True).assign(hypothesis_finetuned=hypotheses)
    return scored.assign(**{name: counts[name] for name in counts})


def _read(file: Path) -> pd.DataFrame:
    try:
        if file.suffix.lower() == ".jsonl":
            return pd.read_json(file, lines=True, dtype=False).fillna("").astype(str)
        mark = "\t" if file.suffix.lower() == ".tsv" else ","
        return pd.read_csv(file, sep=mark, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(f"{file} is no table in UTF-8: {error}") from error


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem
