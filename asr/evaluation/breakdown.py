"""Where the errors are: word error rates of parts of the test set, and hypotheses that ran away."""

from collections import Counter
from collections.abc import Iterable
from functools import cache

import numpy as np
import pandas as pd

from asr.evaluation.transcripts import MODELS, Transcript
from asr.scoring.text import normalize
from asr.tables.corpus import corpus_of

# Lower edges; a part reaches up to the next one, the last is open. Fixed, so that commits compare.
DURATION_S = (0, 2, 4, 6, 8, 10)
WORDS = (0, 3, 6, 9, 12, 15)
TIMES_SEEN = (0, 1, 5, 20, 100)

LOOP = 40  # `repetition` of a text that loops: a word five times in a row, 14 characters thrice, 40 twice
AS_OFTEN = 4  # times the reference's `repetition`: twice as often as was said


def wer_by_parts(
    table: pd.DataFrame, transcripts: list[Transcript], training_sentences: Iterable[str]
) -> dict[str, pd.DataFrame]:
    """Compute the WER by length, by how often the words were trained on, and by speaker.

    Parameters
    ----------
    table: as asr/evaluation/utterance_table.py has it
    transcripts: of either model, in the table's order

    Returns
    -------
    Tables as `wer_by` has them, by the names of their files in metrics/parts/
    """
    seen = times_seen(table.reference, training_sentences)
    known = table[table.speaker != ""]
    return {
        "duration": wer_by(table, lower_edges(table.duration_s, DURATION_S), "from_s"),
        "words": wer_by(table, lower_edges(table.reference_words, WORDS), "from_words"),
        "times_seen": wer_by(table, lower_edges(seen, TIMES_SEEN), "from_times_seen"),
        "trait": wer_by_trait(table, transcripts),
        "speaker": wer_by(known, known.speaker, "speaker"),
    }


def lower_edges(values: Iterable[float], edges: tuple[int, ...]) -> np.ndarray:
    """Replace each value by the edge of the part that it falls in; int64, shape = (n_values,)."""
    return np.array(edges)[np.digitize(np.asarray(values), edges) - 1]


def times_seen(references: Iterable[str], training_sentences: Iterable[str]) -> list[int]:
    """Count how often each sentence's rarest word stands in the training sentences; 0 without a word."""
    seen = Counter(word for sentence in training_sentences for word in normalize(sentence).split())
    return [min((seen[word] for word in normalize(text).split()), default=0) for text in references]


def wer_by(table: pd.DataFrame, part: pd.Series | np.ndarray, name: str) -> pd.DataFrame:
    """Compute the WER of each part of the test set.

    Parameters
    ----------
    table: as asr/evaluation/utterance_table.py has it
    part: for each row of the table, which part it belongs to

    Returns
    -------
    A row per part that has a reference word, ordered: the part, under `name`; utterances, speakers
    (known ones), reference_words; wer_pretrained and wer_finetuned in percent, 2 decimals
    """
    errors = [f"errors_{model}" for model in MODELS]
    groups = table.assign(**{name: part, "speaker": table.speaker.replace("", None)}).groupby(name)
    rows = groups[["reference_words", *errors]].sum()
    rows.insert(0, "utterances", groups.size())
    rows.insert(1, "speakers", groups.speaker.nunique())
    rows = rows[rows.reference_words > 0]
    for model in MODELS:
        rows[f"wer_{model}"] = (100 * rows.pop(f"errors_{model}") / rows.reference_words).round(2)
    return rows.reset_index()


def wer_by_trait(table: pd.DataFrame, transcripts: list[Transcript]) -> pd.DataFrame:
    """Compute the WER by corpus, if there are several, and by gender, age and accent, as far as known.

    Parameters
    ----------
    transcripts: of either model, in the table's order

    Returns
    -------
    As `wer_by`, behind the columns trait and group; speakers without a trait are the group "unknown".
    A trait of which nothing is known has no rows.
    """
    parts = []
    known = {trait: [getattr(heard, trait) for heard in transcripts] for trait in ("gender", "age", "accent")}
    corpora = [corpus_of(transcript.id) for transcript in transcripts]
    if len(set(corpora)) > 1:
        known = {"corpus": corpora} | known
    for trait, groups in known.items():
        if any(groups):
            rows = wer_by(table, np.array([group or "unknown" for group in groups]), "group")
            rows.insert(0, "trait", trait)
            parts.append(rows)
    if not parts:
        parts = [wer_by(table.iloc[:0], np.array([], dtype=str), "group")]
        parts[0].insert(0, "trait", "")
    return pd.concat(parts, ignore_index=True)


def runaways(table: pd.DataFrame, transcripts: list[Transcript], model: str) -> dict[str, float | int]:
    """Count hypotheses that got out of hand, and compare their length with that of the references.

    Parameters
    ----------
    table: as asr/evaluation/utterance_table.py has it
    transcripts: of this model, in the table's order

    Returns
    -------
    looping_hypotheses: repeat themselves, as `looping` tells
    wer_without_loops: percent, of the other clips; there is no such key if these have no reference word
    limit_hits: were cut at `transcribe.max_new_tokens` ids, or ended by asr/model/loops.py
    length_ratio: characters of all hypotheses per character of the references, once `normalize`d
    """
    loops = looping(table, model)
    rest = table[~loops]
    found = {"looping_hypotheses": int(loops.sum())}
    if rest.reference_words.sum():
        found["wer_without_loops"] = float(100 * rest[f"errors_{model}"].sum() / rest.reference_words.sum())
    hypotheses = sum(len(normalize(transcript.hypothesis)) for transcript in transcripts)
    return found | {
        "limit_hits": sum(transcript.hit_limit for transcript in transcripts),
        "length_ratio": hypotheses / sum(len(normalize(transcript.reference)) for transcript in transcripts),
    }


def looping(table: pd.DataFrame, model: str) -> pd.Series:
    """Tell of each clip whether a model's hypothesis repeats itself, and the reference does not.

    Parameters
    ----------
    table: as asr/evaluation/utterance_table.py has it
    """
    said = table.reference.map(repetition)
    return table[f"hypothesis_{model}"].map(repetition) >= (AS_OFTEN * said).clip(lower=LOOP)


@cache
def repetition(text: str) -> float:
    """Measure how much of a text, once `normalize`d, only repeats what stands right before it.

    Returns
    -------
    The largest product of the characters that are copied and the times that they are copied: of "la la la la"
    (3 characters, copied three times) 9 · 3. Nothing counts that is not copied whole once.

    The length of what is repeated has no limit. Compression ratios, which Whisper's own decoding looks at,
    depend on the length of the text and on the bytes of its script.
    """
    characters = np.frombuffer(f"{normalize(text)} ".encode("utf-32-le"), dtype=np.uint32)
    best = 0.0
    for period in range(1, len(characters) // 2 + 1):
        same = characters[period:] == characters[:-period]
        if np.count_nonzero(same) < period:
            continue
        ends = np.flatnonzero(np.diff(same, prepend=False, append=False))
        copied = (ends[1::2] - ends[::2]).max()
        if copied >= period:
            best = max(best, copied**2 / period)
    return best
