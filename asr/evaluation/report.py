"""The report: one HTML file that opens from disk, with charts, players and aligned transcripts."""

import base64
import hashlib
import io
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import jinja2
import jiwer
import pandas as pd
import soundfile
from markupsafe import Markup

from asr.audio.decode import decode, open_sound
from asr.evaluation.alignment import Step, align, character_name, confusions, readable
from asr.evaluation.breakdown import looping
from asr.evaluation.charts import LABELS, inline
from asr.evaluation.transcripts import MODELS, Transcript
from asr.evaluation.utterance_table import has_marks

CONFUSED = 15  # rows of each table of confusions
EXAMPLES = 8  # utterances of each kind
_MIME = {"MP3": "audio/mpeg", "WAV": "audio/wav", "FLAC": "audio/flac", "OGG": "audio/ogg"}
_TITLES = {  # of the charts, in the order in which they stand
    "training_curve": "Training",
    "duration": "WER by length of the clip",
    "words": "WER by number of words",
    "times_seen": "WER by how often the words were trained on",
    "speaker": "WER by speaker: one dot each",
}


@dataclass(frozen=True)
class Example:
    """An utterance to look at and to listen to."""

    id: str
    speaker: str
    duration_s: float
    errors: int  # words, of the fine-tuned model
    direction: str  # "rtl" or "ltr"
    steps: dict[str, list[Step]]  # of each model
    audio: str  # data: URI


def choose(table: pd.DataFrame) -> dict[str, list[str]]:
    """Choose the ids of the utterances to show: each once, the same ones for the same table.

    The best are the longest of those with the fewest errors. The random ones follow from a hash of the
    id, so that a clip that is shown stays shown from one run to the next.
    """
    worst = table.sort_values(["errors_finetuned", "reference_words", "id"], ascending=[False, True, True])
    chosen = {"Worst": list(worst[worst.errors_finetuned > 0].id.head(EXAMPLES))}
    rest = table[~table.id.isin(chosen["Worst"])]
    best = rest.sort_values(["errors_finetuned", "reference_words", "id"], ascending=[True, False, True])
    chosen["Best"] = list(best.id.head(EXAMPLES))
    rest = rest[~rest.id.isin(chosen["Best"])]
    chosen["Random"] = sorted(rest.id, key=lambda id: hashlib.blake2s(id.encode()).digest())[:EXAMPLES]
    return chosen


def examples(
    table: pd.DataFrame, transcripts: dict[str, list[Transcript]], audio: dict[str, bytes], ids: list[str]
) -> list[Example]:
    """Gather what the report shows of some utterances.

    Parameters
    ----------
    transcripts: of each model, in the table's order
    audio: encoded clips, by id
    """
    rows = {row.id: (number, row) for number, row in enumerate(table.itertuples())}
    shown = []
    for id in ids:
        number, row = rows[id]
        pairs = {model: transcripts[model][number] for model in MODELS}
        steps = {LABELS[model]: align(pair.reference, pair.hypothesis) for model, pair in pairs.items()}
        shown.append(
            Example(
                id, row.speaker, row.duration_s, row.errors_finetuned,
                direction(row.reference), steps, data_uri(audio[id]),
            )
        )  # fmt: skip
    return shown


def direction(text: str) -> str:
    """Tell which way a text runs by its first letter that says so: "rtl" or "ltr"."""
    kinds = (unicodedata.bidirectional(character) for character in text)
    strong = next((kind for kind in kinds if kind in ("L", "R", "AL")), "L")
    return "ltr" if strong == "L" else "rtl"


def data_uri(clip: bytes) -> str:
    """Write an encoded clip as a data: URI that a browser plays; in another format as flac."""
    with open_sound(io.BytesIO(clip)) as sound:
        mime = next((mime for name, mime in _MIME.items() if sound.format.startswith(name)), None)
    if mime is None:
        samples, rate = decode(clip)
        file, mime = io.BytesIO(), _MIME["FLAC"]
        soundfile.write(file, samples, rate, format="FLAC")
        clip = file.getvalue()
    return f"data:{mime};base64,{base64.b64encode(clip).decode()}"


def render(
    metrics: dict[str, dict[str, float | int]],
    table: pd.DataFrame,
    transcripts: dict[str, list[Transcript]],
    traits: pd.DataFrame,
    charts: dict[str, str],
    audio: dict[str, bytes],
    about: dict[str, str],
    doubts: list[str],
) -> str:
    """Render the report.

    Parameters
    ----------
    metrics: as in metrics/evaluate.json
    table: as asr/evaluation/utterance_table.py has it
    transcripts: of each model, in the table's order
    traits: as `asr.evaluation.breakdown.wer_by_trait` has it
    charts: SVG, by name, as `asr.evaluation.charts.draw` has them
    audio: encoded clips of the utterances that `choose` chooses, by id
    about: what the run is of: its language, its base model, its corpus
    doubts: warnings that a reader of the figures has to know
    """
    heard = transcripts["finetuned"]
    pairs = [clip.reference for clip in heard], [clip.hypothesis for clip in heard]
    # Letters of words that were taken for others; those of missing words would drown them.
    mistaken = [s for pair in zip(*pairs, strict=True) for s in align(*pair) if s.kind == "substitute"]
    mistaken_pairs = [s.reference for s in mistaken], [s.hypothesis for s in mistaken]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"readable": readable, "character_name": character_name}
    return environment.get_template("report.html.j2").render(
        metrics={LABELS[model]: metrics[model] for model in MODELS},
        charts={title: Markup(inline(charts[name])) for name, title in _TITLES.items() if name in charts},
        traits=traits.to_dict("records"),
        words=confusions(*pairs, CONFUSED).to_dict("records"),
        letters=confusions(*mistaken_pairs, CONFUSED, jiwer.process_characters).to_dict("records"),
        examples={
            kind: examples(table, transcripts, audio, ids) for kind, ids in choose(table).items() if ids
        },
        utterances=table.to_dict("records"),
        loops={LABELS[model]: list(table.id[looping(table, model)]) for model in MODELS},
        has_marks=has_marks(table),
        about=about,
        doubts=doubts,
        speakers=table.speaker[table.speaker != ""].nunique(),
    )
