"""The model card: what a run was made from, how it was measured, what it is for, as the model hub wants it.

    asr card                     writes data/model/README.md
    asr card --recipe sample     of the sample
    asr card --print             shows it only

It is written from dvc.lock and metrics/, when a run is done. DVC does not see it (.dvcignore): metrics come
after the weights, and a word or a commit in it is no other model. `asr publish` writes it anew.
"""

import argparse
import logging
import re
from pathlib import Path

import jinja2
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from safetensors import safe_open

from asr.commands.publish import provenance, record
from asr.commands.publish.record import MODEL, Record

CARD = "README.md"
SPECIAL = re.compile(r"([\\`*_\[\]<>#!|~$&])")  # within a line of Markdown, GitHub's additions and HTML
TASK = "automatic-speech-recognition"
UNKNOWN = "unknown"  # one of the hub's names of licences
logger = logging.getLogger("card")


def text(run: Record, language: str | None, licence: str | None, name: str | None) -> str:
    """Write the card of a run.

    Parameters
    ----------
    language: ISO 639 code of the corpus' language, where the run does not say it
    licence: of the model, as the hub names it, where the base model is not OpenAI's
    name: owner/name of the repository on the hub; None while it is in none

    Raises
    ------
    ValueError: the language is not known; the hub's library does not read the card as it was meant.
    """
    code, language_name = provenance.language_of(run.params, language)
    corpus = provenance.corpus_of(run.params)
    base = provenance.base_of(run.params, run.recipe)
    licence = provenance.licence_of(base, licence)
    metadata = _metadata(run, corpus, base, code, licence, name)
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
        corpus=corpus,
        base=base,
        licence=licence,
        language=language_name,
        n_parameters=count_parameters(run.recipe / MODEL),
        model=name or MODEL,
        dropped={reason: clips for reason, clips in run.filter["dropped"].items() if clips},
        batch=run.params.train.per_device_train_batch_size
        * run.params.train.gradient_accumulation_steps
        * run.params.train.num_processes,
    )
    card = f"---\n{metadata.to_yaml()}\n---\n\n{body}"
    read = ModelCard(card)
    if read.data.to_dict() != metadata.to_dict() or read.text.strip() != body.strip():
        raise ValueError("the hub's library does not read the card's metadata as they were written")
    return card


def _metadata(
    run: Record,
    corpus: provenance.Corpus,
    base: provenance.Base,
    code: str,
    licence: str | None,
    name: str | None,
) -> ModelCardData:
    """Put together what the hub reads from the card.

    `wer_whisper_basic` is not among the results: they would be listed as a word error rate, and in scripts
    with vowel signs that is none.
    """
    figures = run.evaluate["finetuned"]

    def result(metric: str, rate: str, what: str) -> EvalResult:
        low, high = (figures.get(f"{rate}_ci95_{end}") for end in ("low", "high"))
        return EvalResult(
            task_type=TASK,
            task_name="Speech recognition",
            dataset_type=plain(corpus.type),
            dataset_name=plain(corpus.name),
            dataset_config=corpus.config and plain(corpus.config),
            dataset_split="test",
            dataset_revision=corpus.revision and plain(corpus.revision),
            metric_type=metric,
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
        datasets=[corpus.hub_id] if corpus.hub_id else None,
        metrics=["wer", "cer"],
        tags=["whisper", "dvc"],
        model_name=name.split("/")[-1] if name else f"whisper-{code}",
        eval_results=[
            result("wer", "wer", "WER, case and punctuation aside, marks kept"),
            result("wer", "wer_ortho", "WER, as written"),
            result("cer", "cer", "CER, case and punctuation aside, marks kept"),
        ],
    )


def plain(value: object) -> str:
    """Put a text into one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())


def escaped(value: object) -> str:
    """Put a text that may hold anything into one line of Markdown that shows it as it is."""
    return SPECIAL.sub(r"\\\1", plain(value))


def count_parameters(model: Path) -> int:
    """Count a saved model's parameters; tied ones are stored, and counted, once."""
    total = 0
    for file in sorted(model.glob("model*.safetensors")):
        with safe_open(file, "numpy") as weights:
            for name in weights.keys():  # noqa: SIM118, it is no dictionary
                size = 1
                for length in weights.get_slice(name).get_shape():
                    size *= length
                total += size
    if not total:
        raise FileNotFoundError(f"no weights in {model}: run `dvc repro`, or `dvc pull {MODEL}`")
    return total


def check_name(name: str) -> None:
    """Raise ValueError unless it is owner/name, as the hub wants it."""
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ValueError(f"{name!r} is no name for a repository on the hub: {error}") from None
    if "/" not in name:
        raise ValueError(f"{name!r}: give owner/name, the owner being you or an organisation")


def require_one_run(recipe: Path) -> None:
    """Raise ValueError if the metrics are not those of the model that is there."""
    found = record.contradictions(recipe)
    if found:
        raise ValueError(
            "\n  ".join(["a card would give this model the metrics of another:", *found])
            + "\n  `dvc repro` measures what is there; `dvc checkout` brings what dvc.lock says"
        )


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the card needs to know beyond the run."""
    parser.add_argument("--recipe", type=Path, default=Path(), help="the folder of a dvc.yaml; default: this")
    parser.add_argument("--language", help="ISO 639 code, where the corpus does not say it")
    parser.add_argument("--license", help="the model's, as the hub names it, where the base is not OpenAI's")


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="asr card", description=__doc__.splitlines()[0])
    arguments(parser)
    parser.add_argument("--name", metavar="OWNER/NAME", help="on the hub")
    parser.add_argument("--print", action="store_true", help="show it, write nothing")
    args = parser.parse_args(argv)
    if args.name:
        check_name(args.name)
    run = record.read(args.recipe)
    require_one_run(args.recipe)
    card = text(run, args.language, args.license, args.name)
    if args.print:
        print(card, end="")
        return
    path = args.recipe / MODEL / CARD
    path.write_text(card, encoding="utf-8")
    logger.info("%s, of the run in %s", path, run.commit or "no commit yet")
