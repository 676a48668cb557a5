"""A corpus as the stages see it: clips with their own bytes and metadata."""

from dataclasses import dataclass

from datasets import Features, Value

# "validated": what a corpus has beyond its three splits, as Common Voice's validated.tsv; nobody has seen
# to it that it shares no speaker or sentence with them.
SPLITS = ("train", "validation", "test", "validated")


@dataclass(frozen=True)
class Clip:
    """One recording of one sentence. What a corpus does not know is an empty string."""

    id: str  # the clip's file name in its corpus; unique
    split: str  # one of SPLITS
    speaker: str  # opaque; Common Voice's client_id
    sentence: str
    gender: str
    age: str
    accent: str
    audio: bytes  # encoded, as the corpus has it; empty if the corpus lacks the file


RAW_FEATURES = Features(
    {
        "id": Value("string"),
        "split": Value("string"),
        "speaker": Value("string"),
        "sentence": Value("string"),
        "gender": Value("string"),
        "age": Value("string"),
        "accent": Value("string"),
        "audio": Value("binary"),
    }
)
