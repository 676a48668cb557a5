"""Work with a recipe and its model. `dvc repro` in the recipe's folder trains and evaluates it."""

import argparse
import difflib
import sys
from importlib import import_module
from types import ModuleType

from asr.runtime.errors import report_errors

COMMANDS = (
    "transcribe", "demo", "compare", "study", "export", "card", "publish", "new-language", "check", "verify",
)  # fmt: skip


def main() -> None:
    """Run the command that the first argument names."""
    with report_errors("asr", stage=False):
        name = _parser().parse_args(sys.argv[1:2] or ["--help"]).command
    with report_errors(name, stage=False):
        _module(name).main(sys.argv[2:])


def _module(name: str) -> ModuleType:
    """Import a command's parser; `main` imports torch and the like once the arguments are checked."""
    return import_module(f"asr.commands.{name.replace('-', '_')}.cli")


def _parser() -> argparse.ArgumentParser:
    lines = [f"  {name:14}{_module(name).__doc__.splitlines()[0]}" for name in COMMANDS]
    parser = argparse.ArgumentParser(
        prog="asr",
        usage="asr COMMAND …",
        description=__doc__,
        epilog="\n".join(["commands:", *lines, "", "`asr COMMAND --help` describes one."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", metavar="COMMAND", type=_known, help=argparse.SUPPRESS)
    return parser


def _known(name: str) -> str:
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else "`asr --help` lists the commands"
        raise argparse.ArgumentTypeError(f"no command {name!r}; {hint}")
    return name


if __name__ == "__main__":
    main()
