"""Transcripts on disk: what a model wrote for each clip of the test set, a line of JSON per clip."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MODELS = ("pretrained", "finetuned")


class Transcript(BaseModel):
    """One clip, its reference and what a model made of it. Unknown metadata is an empty string."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str
    speaker: str  # as the corpus has it
    gender: str
    age: str
    accent: str
    duration_s: float = Field(ge=0, allow_inf_nan=False)
    reference: str
    hypothesis: str
    n_ids: int = Field(ge=0)  # generated, special ids not counted
    hit_limit: bool  # the text did not end by itself: cut at `max_new_tokens`, or as a loop


def read_transcripts(path: str | Path) -> list[Transcript]:
    """Read one model's transcripts, ordered by id.

    Raises
    ------
    FileNotFoundError: there is no such file.
    ValueError: a line is no transcript, an id occurs twice, or there is no line at all.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no {path}: run `dvc repro transcribe` or `dvc pull`")
    transcripts = {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                transcript = Transcript.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"]) or "the line"
                raise ValueError(
                    f"{path}, line {number}: {where}: {first['msg']}; run `dvc repro --force transcribe`"
                ) from None
            if transcript.id in transcripts:
                raise ValueError(
                    f"{path}, line {number}: id {transcript.id!r} occurs a second time, expected one line per"
                    " clip; look for it in the corpus"
                )
            transcripts[transcript.id] = transcript
    if not transcripts:
        raise ValueError(f"{path} is empty: run `dvc repro --force transcribe`")
    return [transcripts[id] for id in sorted(transcripts)]


def require_same_test_set(pretrained: list[Transcript], finetuned: list[Transcript]) -> None:
    """Raise ValueError unless both models transcribed the same clips with the same references."""
    texts = [{transcript.id: transcript.reference for transcript in x} for x in (pretrained, finetuned)]
    if texts[0] == texts[1]:
        return
    alone = [sorted(texts[i].keys() - texts[1 - i].keys()) for i in (0, 1)]
    changed = sorted(id for id in texts[0].keys() & texts[1].keys() if texts[0][id] != texts[1][id])
    found = [
        f"{len(ids)} {what}, the first {ids[0]!r}"
        for ids, what in (
            (alone[0], "only in pretrained.jsonl"),
            (alone[1], "only in finetuned.jsonl"),
            (changed, "with another reference"),
        )
        if ids
    ]
    raise ValueError(
        "data/transcripts: expected the same ids and references from both models, found ids "
        + "; ".join(found)
        + ". Run `dvc repro --force transcribe`"
    )
