"""Make exports, measure each on the recipe's test clips, and keep those that are as good as the original."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from tabulate import tabulate

from asr.commands.export.check import Listener, Measured, measure, open_rows, original, read_clips
from asr.model.whisper import read_extractor

RECORD = "verified.json"
MAX_WORSE = 0.5  # points of WER
Convert = Callable[[Path, Path, str, str, str], None]  # model, folder to make, language, task, padding
Load = Callable[[Path], tuple[Listener, str]]
logger = logging.getLogger("export")


def converters() -> dict[str, tuple[Convert, Load]]:
    """Import what makes and runs each format. These packages are an optional extra.

    Raises
    ------
    ValueError: a package is not installed.
    """
    try:
        from asr.commands.export import ctranslate2, onnx
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{error.name} is not installed: pip install --constraint constraints.txt --editable '.[export]'"
        ) from error
    return {
        "ctranslate2-fp16": (partial(ctranslate2.convert, quantization="float16"), ctranslate2.load),
        "ctranslate2-int8": (partial(ctranslate2.convert, quantization="int8"), ctranslate2.load),
        "onnx": (onnx.convert, onnx.load),
    }


@dataclass(frozen=True)
class ExportOptions:
    """What is exported, and how it is checked."""

    recipe: Path  # whose test clips are transcribed
    model: Path
    out: Path  # gets a folder for each format
    language: str
    task: str
    padding: str  # of clips: "longest", their own length and a margin, or "max_length", the window
    limit: int | None  # of test clips; None: all
    force: bool  # keep exports that are worse than the original


def export(formats: list[str], options: ExportOptions) -> Iterator[dict]:
    """Make and measure formats one after the other; yields a record of each, also of those not kept.

    Raises
    ------
    ValueError: a package is missing.
    """
    model, out, how = options.model, options.out, (options.language, options.task, options.padding)
    makers = converters()
    rows, n_rows = open_rows(options.recipe, options.limit), len(open_rows(options.recipe, None))
    checksum = _sha256(model)
    extractor = read_extractor(model)

    def check(name: str, folder: Path, hear: Listener, computed_in: str) -> Measured:
        clips = read_clips(rows, extractor.chunk_length, extractor.mel_filters)
        return measure(name, folder, hear, computed_in, clips, len(rows))

    logger.info("original: %d of %d test clips", len(rows), n_rows)
    before = check("original", model, original(model, *how), "float32")
    for name in formats:
        convert, load = makers[name]
        part, place = out / f"{name}.part", out / name
        shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
        logger.info("%s: converting", name)
        convert(model, part, *how)
        after = check(name, part, *load(part))
        worse = after.wer - before.wer > MAX_WORSE
        record = {
            "model": checksum,
            "padding": options.padding,
            "worse": worse,
            "measured": asdict(after),
            "original": asdict(before),
        }
        if worse and not options.force:
            shutil.rmtree(part)
        else:
            (part / RECORD).write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
            shutil.rmtree(place, ignore_errors=True)
            part.rename(place)
        yield record


def table(records: list[dict]) -> str:
    """Lay out the records of one model in Markdown, below the original as measured for the first record."""
    first = records[0] | {"measured": records[0]["original"], "worse": False}
    rows = [_row(record) for record in (first, *records)]
    head = ["", "MB", "WER", "points", "CER", "s a clip", "original's", "clips", "padding", "computed in"]
    align = ["left"] + 7 * ["right"] + 2 * ["left"]
    return tabulate(rows, head, "pipe", disable_numparse=True, colalign=align)


def _row(record: dict) -> list[str]:
    measured, before = record["measured"], record["original"]
    return [
        measured["format"] + (" (worse)" if record["worse"] else ""),
        f"{measured['megabytes']:.1f}",
        f"{measured['wer']:.2f} %",
        f"{measured['wer'] - before['wer']:+.2f}",
        f"{measured['cer']:.2f} %",
        f"{measured['seconds_per_clip']:.3f}",
        f"{measured['seconds_per_clip'] / before['seconds_per_clip']:.2f}",
        str(measured["clips"]),
        record.get("padding", "max_length"),  # of exports that were made before there was a choice
        measured["computed_in"],
    ]


def kept(out: Path, model: Path) -> list[dict]:
    """Read the records of a model's exports in a folder. The log names the exports of other models."""
    checksum, found = _sha256(model), []
    for file in sorted(out.glob(f"*/{RECORD}")):
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["model"] == checksum:
            found.append(record)
        else:
            logger.warning("%s is an export of another model than %s: export it again", file.parent, model)
    return found


def _sha256(model: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(model.glob("*.safetensors")):
        with file.open("rb") as weights:
            digest.update(hashlib.file_digest(weights, "sha256").digest())
    return digest.hexdigest()
