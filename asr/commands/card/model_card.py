"""The text of a model card: what a run was made from, its error rates, and the hub's metadata."""

import math
import re
from pathlib import Path

import jinja2
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from safetensors import safe_open

from asr import provenance
from asr.commands.card import record
from asr.commands.card.record import MODEL, Record
from asr.language_model import FILE as LANGUAGE_MODEL

FILE = "README.md"
SPECIAL = re.compile(r"([\\`*_\[\]<>#!|~$&])")  # within a line of Markdown, GitHub's additions and HTML
TASK = "automatic-speech-recognition"
RATES = {
    "wer": "WER, case and punctuation aside, marks kept",
    "wer_ortho": "WER, as written",
    "cer": "CER, case and punctuation aside, marks kept",
}
UNKNOWN = "unknown"  # one of the hub's names of licences


def text(run: Record, language: str | None, licence: str | None, name: str | None) -> str:
    """Write the card of a run.

    Parameters
    ----------
    language: ISO 639 code of the corpus' language; None if the run records it
    licence: of the model, as the hub names it; None if the base model is OpenAI's
    name: owner/name of the repository on the hub; None if there is none

    Raises
    ------
    ValueError: the language is unknown, or the hub's library reads other metadata than were written.
    """
    code, language_name = provenance.language_of(run.params.corpora, language)
    corpora = {name: provenance.describe(corpus) for name, corpus in run.params.corpora.items()}
    base = provenance.base_of(run.params.pretrained, run.recipe)
    licence = provenance.licence_of(base, licence)
    metadata = _metadata(run, corpora, base, code, licence, name)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"md": escaped, "percent": "{:.1f} %".format, "count": "{:,}".format}
    body = environment.get_template("model_card.md.j2").render(
        run=run,
        params=run.params,
        corpora=corpora,
        base=base,
        licence=licence,
        language=language_name,
        n_parameters=count_parameters(run.recipe / MODEL),
        model=name or MODEL,
        language_model=(run.recipe / MODEL / LANGUAGE_MODEL).exists(),
        dropped=run.filter["dropped"],
        batch=run.params.train.per_device_train_batch_size
        * run.params.train.gradient_accumulation_steps
        * run.params.train.num_processes,
    )
    card = f"---\n{metadata.to_yaml()}\n---\n\n{body}"
    read = ModelCard(card)
    if read.data.to_dict() != metadata.to_dict() or read.text.strip() != body.strip():
        raise ValueError("the hub's library reads other metadata from the card than were written")
    return card


def _metadata(
    run: Record,
    corpora: dict[str, provenance.Description],
    base: provenance.Base,
    code: str,
    licence: str | None,
    name: str | None,
) -> ModelCardData:
    """Collect the metadata that the hub reads from a card.

    `wer_whisper_basic` is left out: the hub would list it as a word error rate, which it is not in a script
    with vowel signs.
    """
    whole = run.evaluate["finetuned"]
    tested = whole.get("corpora") or {run.test_corpora[0]: whole}

    def result(corpus: provenance.Description, figures: dict, rate: str, what: str) -> EvalResult:
        low, high = (figures.get(f"{rate}_ci95_{end}") for end in ("low", "high"))
        return EvalResult(
            task_type=TASK,
            task_name="Speech recognition",
            dataset_type=plain(corpus.type),
            dataset_name=plain(corpus.name),
            dataset_config=corpus.config and plain(corpus.config),
            dataset_split="test",
            dataset_revision=corpus.revision and plain(corpus.revision),
            metric_type=rate.split("_")[0],
            metric_name=what,
            metric_value=figures[rate],
            metric_args=None if low is None else {"ci95_low": low, "ci95_high": high},
        )

    return ModelCardData(
        language=code,
        license=licence or UNKNOWN,
        library_name="transformers",
        pipeline_tag=TASK,
        base_model=base.hub_id,
        datasets=[corpus.hub_id for corpus in corpora.values() if corpus.hub_id] or None,
        metrics=["wer", "cer"],
        tags=["whisper", "dvc"],
        model_name=name.split("/")[-1] if name else f"whisper-{code}",
        eval_results=[
            result(corpora[key], figures, rate, what)
            for key, figures in tested.items()
            for rate, what in RATES.items()
            if rate in figures
        ],
    )


def plain(value: object) -> str:
    """Put a text on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())


def escaped(value: object) -> str:
    """Escape any text to one line of Markdown that shows it unchanged."""
    return SPECIAL.sub(r"\\\1", plain(value))


def count_parameters(model: Path) -> int:
    """Count a saved model's parameters. Tied ones are stored once, and counted once."""
    total = 0
    for file in sorted(model.glob("model*.safetensors")):
        with safe_open(file, "numpy") as weights:
            total += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())
    if not total:
        raise FileNotFoundError(f"no weights in {model}: run `dvc repro`, or `dvc pull {MODEL}`")
    return total


def check_name(name: str) -> None:
    """Raise ValueError unless a name is owner/name in the hub's form."""
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ValueError(f"{name!r} is not a name for a repository on the hub: {error}") from None
    if "/" not in name:
        raise ValueError(f"{name!r}: give owner/name, where owner is you or an organisation")


def require_one_run(recipe: Path) -> None:
    """Raise ValueError unless model and metrics are of one run."""
    found = record.contradictions(recipe)
    if found:
        raise ValueError(
            "\n  ".join(["the metrics are not those of this model:", *found])
            + "\n  `dvc repro` makes them anew; `dvc checkout` restores what dvc.lock records"
        )
