"""Convert a fine-tuned model for other runtimes, and keep what hears as well: asr export [FORMAT …]

Each format is made under a temporary name, hears the recipe's test clips beside the original, and gets its
place in exports/ if its word error rate is not more than half a point above. Run in a recipe's folder.
"""

import argparse
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import transformers
from tabulate import tabulate
from transformers import GenerationConfig, WhisperFeatureExtractor

from asr.commands.export.check import Listener, Measured, measure, open_rows, original, read_clips
from asr.commands.transcribe.cli import MODEL
from asr.runtime import locks

FORMATS = ("ctranslate2-fp16", "ctranslate2-int8", "onnx")
OUT = Path("exports")
RECORD, TABLE = "verified.json", "table.md"
MAX_WORSE = 0.5  # points of WER
Convert = Callable[[Path, Path, str, str], None]  # model, folder to make, language, task
Load = Callable[[Path], tuple[Listener, str]]
logger = logging.getLogger("export")


def converters() -> dict[str, tuple[Convert, Load]]:
    """Import what makes and runs each of FORMATS: packages that only those need who export.

    Raises
    ------
    ValueError: they are not installed.
    """
    try:
        from asr.commands.export import ctranslate2, onnx
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{error.name} is not installed: pip install --constraint constraints.txt --editable '.[export]'"
        ) from error
    return {
        "ctranslate2-fp16": (
            partial(ctranslate2.convert, quantization="float16"), ctranslate2.load,
        ),
        "ctranslate2-int8": (
            partial(ctranslate2.convert, quantization="int8"), ctranslate2.load,
        ),
        "onnx": (onnx.convert, onnx.load),
    }  # fmt: skip


def export(
    formats: list[str], model: Path, out: Path, language: str, task: str, limit: int | None, force: bool
) -> Iterator[dict]:
    """Make and measure formats one after the other; yields a record of each, those refused among them.

    Parameters
    ----------
    limit: how many test clips are heard; None: all
    force: keep what is worse
    """
    makers = converters()
    rows, n_rows = open_rows(limit), len(open_rows(None))
    checksum = _sha256(model)
    if not force:
        _require_more_clips_than_before([out / name for name in formats], checksum, len(rows))
    extractor = WhisperFeatureExtractor.from_pretrained(model)

    def check(name: str, folder: Path, hear: Listener, computed_in: str) -> Measured:
        clips = read_clips(rows, extractor.chunk_length, extractor.mel_filters)
        return measure(name, folder, hear, computed_in, clips, len(rows))

    logger.info("original: %d of %d test clips", len(rows), n_rows)
    before = check("original", model, original(model, language, task), "float32")
    for name in formats:
        convert, load = makers[name]
        part, place = out / f"{name}.part", out / name
        shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
        logger.info("%s: converting", name)
        convert(model, part, language, task)
        after = check(name, part, *load(part))
        worse = after.wer - before.wer > MAX_WORSE
        record = {"model": checksum, "worse": worse, "measured": asdict(after), "original": asdict(before)}
        if worse and not force:
            shutil.rmtree(part)
        else:
            (part / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            shutil.rmtree(place, ignore_errors=True)
            part.rename(place)
        yield record


def _require_more_clips_than_before(places: list[Path], checksum: str, n_clips: int) -> None:
    """Refuse to replace exports of the same model that more test clips have verified."""
    for place in places:
        record = _read(place / RECORD)
        before = record["measured"]["clips"] if record and record["model"] == checksum else 0
        if before > n_clips:
            raise ValueError(
                f"{place} was verified on {before} clips, and {n_clips} would replace it:"
                " give a higher --limit, another --out, or --force"
            )


def table(records: list[dict]) -> str:
    """Lay records of one model out in Markdown, the original above, as it was measured with the first."""
    first = records[0]["original"]
    rows = [_row(first, first, "")]
    for record in records:
        rows.append(_row(record["measured"], record["original"], " (worse)" if record["worse"] else ""))
    head = ["", "MB", "WER", "points", "CER", "s a clip", "original's", "clips", "computed in"]
    return tabulate(rows, head, "pipe", disable_numparse=True, colalign=["left"] + 7 * ["right"] + ["left"])


def _row(measured: dict, before: dict, remark: str) -> list[str]:
    return [
        measured["format"] + remark,
        f"{measured['megabytes']:.1f}",
        f"{measured['wer']:.2f} %",
        f"{measured['wer'] - before['wer']:+.2f}",
        f"{measured['cer']:.2f} %",
        f"{measured['seconds_per_clip']:.3f}",
        f"{measured['seconds_per_clip'] / before['seconds_per_clip']:.2f}",
        str(measured["clips"]),
        measured["computed_in"],
    ]


def kept(out: Path, model: Path) -> list[dict]:
    """Read the records of a folder's exports that are of this model; the others are named in the log."""
    checksum, found = _sha256(model), []
    for file in sorted(out.glob(f"*/{RECORD}")):
        record = _read(file)
        if record and record["model"] == checksum:
            found.append(record)
        else:
            logger.warning("%s is not of the model in %s: export it again", file.parent, model)
    return found


def _read(file: Path) -> dict | None:
    """Read the record of an export; None where there is none that is whole."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _sha256(model: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(model.glob("*.safetensors")):
        with file.open("rb") as weights:
            digest.update(hashlib.file_digest(weights, "sha256").digest())
    return digest.hexdigest()


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="asr export", description=__doc__.splitlines()[0])
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=f"{', '.join(FORMATS)} (default: all)")
    parser.add_argument(
        "--model", type=Path, default=MODEL, help="a checkpoint folder (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to (default: %(default)s)")
    parser.add_argument("--language", help="what the model writes, where it does not say")
    parser.add_argument("--limit", type=int, help="hear that many of the test clips, spread evenly")
    parser.add_argument("--force", action="store_true", help=f"keep what is worse by over {MAX_WORSE} points")
    args = parser.parse_args(argv)
    formats = list(dict.fromkeys(args.formats)) or list(FORMATS)
    _require_known(formats)
    if args.limit is not None and args.limit < 1:
        raise ValueError(f"--limit is {args.limit}: it takes 1 or more")
    if not (args.model / "config.json").exists():
        raise FileNotFoundError(f"no model in {args.model}: run `dvc repro` or `dvc pull`, or give --model")
    settings = GenerationConfig.from_pretrained(args.model)
    language = args.language or getattr(settings, "language", None)
    if not language:
        raise ValueError(f"{args.model} does not say which language it writes: give --language")
    transformers.utils.logging.disable_progress_bar()  # of loading weights; ours is enough
    transformers.utils.logging.set_verbosity_error()  # or it comments on every clip
    with locks.held(args.out / ".lock", f"exports in {args.out}"):
        task = getattr(settings, "task", None) or "transcribe"
        records = []
        for record in export(formats, args.model, args.out, language, task, args.limit, args.force):
            records.append(record)
            if found := kept(args.out, args.model):
                (args.out / TABLE).write_text(table(found) + "\n", encoding="utf-8")
    print(table(records))
    refused = [record["measured"]["format"] for record in records if record["worse"] and not args.force]
    if refused:
        raise ValueError(
            f"{', '.join(refused)}: WER is more than {MAX_WORSE} points above the original's. Not kept; what"
            " was exported before is left as it was. Take another format, or --force"
        )


def _require_known(formats: list[str]) -> None:
    if "ggml" in formats:
        raise ValueError("ggml: no maintained package makes it; docs/exports.md says which were looked at")
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"no format {name}: there are {', '.join(FORMATS)}")
