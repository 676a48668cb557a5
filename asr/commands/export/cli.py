"""Convert the model for faster-whisper and ONNX Runtime.

Every export transcribes the recipe's test clips. It is kept, in exports/ of the recipe, if its word error
rate is at most half a point above the original's.
"""

import json
from pathlib import Path

from asr.commands import arguments

FORMATS = ("ctranslate2-fp16", "ctranslate2-int8", "onnx")
OUT = Path("exports")  # in a recipe's folder
TABLE = "table.md"


def main(argv: list[str]) -> None:
    parser = arguments.command_parser("export", __doc__)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=f"{', '.join(FORMATS)} (default: all)")
    arguments.add_model(parser)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=f"default: {OUT} of the recipe")
    what = "check with N test clips, evenly spaced (default: all)"
    parser.add_argument("--limit", type=arguments.positive, metavar="N", help=what)
    parser.add_argument(
        "--padding",
        choices=("longest", "max_length"),
        help="to a clip's own length or to the window (default: as the model's config.json says)",
    )
    parser.add_argument("--force", action="store_true", help="keep exports that are worse than the original")
    args = parser.parse_args(argv)
    formats = list(dict.fromkeys(args.formats)) or list(FORMATS)
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        parser.error(f"no format {unknown[0]}: there are {', '.join(FORMATS)}")
    model, out = arguments.model_folder(args), args.out or args.recipe / OUT

    import transformers

    from asr.commands.export.conversion import MAX_WORSE, ExportOptions, export, kept, table
    from asr.model import base_model
    from asr.model.vocabulary import require_language
    from asr.runtime import locks

    checkpoint = base_model.check(model, str(model))
    settings = checkpoint.settings
    language = args.language or getattr(settings, "language", None)
    if not language:
        raise ValueError(f"{model} does not say which language it writes: give --language")
    require_language(checkpoint.tokenizer, language)
    task = getattr(settings, "task", None) or "transcribe"
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    padding = args.padding or config.get("padding", "max_length")
    transformers.utils.logging.disable_progress_bar()  # of loading weights
    transformers.utils.logging.set_verbosity_error()  # it comments on every clip
    options = ExportOptions(args.recipe, model, out, language, task, padding, args.limit, args.force)
    with locks.held(out / ".lock", f"exports in {out}"):
        records = []
        for record in export(formats, options):
            records.append(record)
            if found := kept(out, model):
                (out / TABLE).write_text(table(found) + "\n", encoding="utf-8")
    print(table(records))
    refused = [record["measured"]["format"] for record in records if record["worse"] and not args.force]
    if refused:
        in_the_window = ", --padding max_length," if padding == "longest" else ","
        raise ValueError(
            f"not kept: {', '.join(refused)}. WER is more than {MAX_WORSE} points above the original's."
            f" Earlier exports are unchanged. Take another format{in_the_window} or --force"
        )
