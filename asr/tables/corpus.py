"""A corpus as the stages see it: clips with their own bytes and metadata."""

from dataclasses import dataclass

from datasets import Features, Value

# "validated": what a corpus has beyond its three splits, as Common Voice's validated.tsv; nobody has seen
# to it that it shares no speaker or sentence with them.
SPLITS = ("train", "validation", "test", "validated")
# Of an encoded clip that is read at all; ten minutes of 48 kHz stereo in 16 bits are 115 MB.
MAX_CLIP_BYTES = 128 * 2**20


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
    problem: str = ""  # why the source did not bring the audio, where it knows: one of `features.PROBLEMS`
    detail: str = ""  # what it found


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
        "problem": Value("string"),
        "detail": Value("string"),
    }
)
