"""What the commands' parsers have in common: above all, how a recipe and a model are named."""

import argparse
from pathlib import Path

MODEL = Path("data/model")  # in a recipe's folder


def command_parser(name: str, docstring: str) -> argparse.ArgumentParser:
    """Start a command's parser. `--help` shows the docstring, `asr --help` the first line of it."""
    as_written = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(f"asr {name}", description=docstring, formatter_class=as_written)


def add_recipe(parser: argparse.ArgumentParser) -> None:
    what = "the recipe's folder (default: the current folder)"
    parser.add_argument("--recipe", type=Path, default=Path(), metavar="FOLDER", help=what)


def add_model(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser)
    what = f"another model (default: {MODEL} of the recipe)"
    parser.add_argument("--model", type=Path, metavar="FOLDER", help=what)
    parser.add_argument("--language", help="the language to write, for a model that does not say it")


def model_folder(args: argparse.Namespace) -> Path:
    """Return the folder of the model that `add_model`'s arguments name.

    Raises
    ------
    FileNotFoundError: no model in that folder.
    """
    return require_model(args.model or args.recipe / MODEL, "--model")


def require_model(folder: Path, option: str) -> Path:
    if not (folder / "config.json").exists():
        raise FileNotFoundError(
            f"no model in {folder}: run `dvc repro` or `dvc pull` in the recipe's folder,"
            f" or name another folder with --recipe or {option}"
        )
    return folder


def positive(text: str) -> int:
    """Read a whole number that is 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, 1 or more")
    return int(text)
