"""A corpus as the stages see it: clips with their own bytes and metadata."""

from dataclasses import dataclass

import pyarrow as pa

# What a corpus has beyond its three splits. Nobody has seen to it that it shares no speaker or sentence with
# them. "unassigned" clips of Common Voice's spontaneous speech always come, those of validated.tsv if wanted.
ADDED = ("unassigned", "validated")
SPLITS = ("train", "validation", "test", *ADDED)
# Of an encoded clip that is read at all; ten minutes of 48 kHz stereo in 16 bits are 115 MB.
MAX_CLIP_BYTES = 128 * 2**20


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording of one sentence. What a corpus does not know is an empty string."""

    id: str  # the clip's file name in its corpus; unique. From `download` on with `id_in`, as is `speaker`
    split: str  # one of SPLITS
    speaker: str  # opaque; Common Voice's client_id
    sentence: str
    gender: str = ""
    age: str = ""
    accent: str = ""
    audio: bytes = b""  # encoded, as the corpus has it; empty if the corpus lacks the file
    problem: str = ""  # why the source did not bring the audio, where it knows: one of `features.PROBLEMS`
    detail: str = ""  # what it found


def id_in(corpus: str, name: str) -> str:
    """Name a clip or a speaker of a corpus among all corpora."""
    return f"{corpus}/{name}"


def corpus_of(clip_id: str) -> str:
    """Return the name of the corpus that `id_in` wrote, or "" if it wrote none."""
    return clip_id.partition("/")[0] if "/" in clip_id else ""


RAW_FEATURES = pa.schema(
    {
        "id": pa.string(),
        "split": pa.string(),
        "speaker": pa.string(),
        "sentence": pa.string(),
        "gender": pa.string(),
        "age": pa.string(),
        "accent": pa.string(),
        "audio": pa.binary(),
        "problem": pa.string(),
        "detail": pa.string(),
    }
)
