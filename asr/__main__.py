"""Work with a recipe and its model. `dvc repro` in the recipe's folder trains and evaluates it."""

import argparse
import difflib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

from asr.runtime import disk, memory
from asr.runtime.errors import report_errors

COMMANDS = ("transcribe", "demo", "compare", "export", "card", "publish", "new-language", "verify")
LESS_MEMORY = {"transcribe": "lower --batch-size"}
IF_INTERRUPTED = {"transcribe": "; what is written is whole"}


def main() -> None:
    """Run the command that the first argument names."""
    with _ending("asr"):
        name = _parser().parse_args(sys.argv[1:2] or ["--help"]).command
    with report_errors(name, alone=False), _ending(name):
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


@contextmanager
def _ending(name: str) -> Iterator[None]:
    """End a command with one line where the user or the machine stopped it.

    Exit codes are a shell's for a signal: 130 after Ctrl+C, 141 where the reader of a pipe has gone, as
    `head` does.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"{name}: interrupted{IF_INTERRUPTED.get(name, '')}", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        _discard_output()
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        if disk.is_full(error):
            _discard_output()
            sys.exit(f"{name}: the output could not be written ({error}): make room and run it again")
        if memory.explain(error, name):
            less = LESS_MEMORY.get(name, "end other programs, or take a machine with more")
            sys.exit(f"{name}: out of memory ({error}): {less}")
        if disk.is_forbidden(error):
            sys.exit(f"{name}: {error}: let this user read and write there")
        raise


def _discard_output() -> None:
    """Drop what could not be written, or Python would try again at exit, and fail with a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
