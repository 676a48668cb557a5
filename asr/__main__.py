"""The command `asr`: what people do with a recipe and its model, beside `dvc`."""

import difflib
import sys
from importlib import import_module

COMMANDS = {  # of each its module and what it does
    "transcribe": ("asr.commands.transcribe.cli", "write down what is said in recordings"),
    "demo": ("asr.commands.demo.cli", "try the model in a browser, beside the pretrained one"),
    "compare": ("asr.commands.compare.cli", "tell whether a model is better than that of another commit"),
    "export": ("asr.commands.export.cli", "convert the model for other runtimes"),
    "card": ("asr.commands.publish.card", "write the model card"),
    "publish": ("asr.commands.publish.cli", "put model and card on the Hugging Face hub"),
    "new-language": ("asr.commands.new_language.cli", "write a recipe for another language"),
    "verify": ("asr.commands.verify", "check every file in DVC's cache"),
}
USAGE = "\n".join(
    [
        "usage: asr COMMAND …",
        "",
        *(f"  {name:14}{what}" for name, (_, what) in COMMANDS.items()),
        "",
        "`asr COMMAND --help` says more. `dvc repro` in a recipe's folder trains and evaluates.",
    ]
)


def main() -> None:
    name, *args = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(USAGE)
        return
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else "`asr --help` lists the commands"
        sys.exit(f"asr: no command {name!r}; {hint}")
    from asr.runtime.errors import report_errors  # not for --help: seconds

    with report_errors(name, stage=False):
        import_module(COMMANDS[name][0]).main(args)


if __name__ == "__main__":
    main()
