"""Write the model card, data/model/README.md of the recipe, from its last run.

Its figures come from dvc.lock and metrics/. DVC ignores the file. `asr publish` writes it anew.
"""

import argparse
import logging

from asr.commands import arguments

logger = logging.getLogger("card")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `asr publish` has too: the recipe, and what its run does not record."""
    arguments.add_recipe(parser)
    parser.add_argument("--language", help="ISO 639 code of the corpus' language, if its source has none")
    parser.add_argument("--license", help="of the model, as the hub names it, if the base is not OpenAI's")


def main(argv: list[str]) -> None:
    parser = arguments.command_parser("card", __doc__)
    add_arguments(parser)
    parser.add_argument("--name", metavar="OWNER/NAME", help="of the model's repository on the hub")
    parser.add_argument("--print", action="store_true", help="print the card, write no file")
    args = parser.parse_args(argv)

    from asr.commands.card import model_card, record

    if args.name:
        model_card.check_name(args.name)
    run = record.read(args.recipe)
    model_card.require_one_run(args.recipe)
    card = model_card.text(run, args.language, args.license, args.name)
    if args.print:
        print(card, end="")
        return
    path = args.recipe / arguments.MODEL / model_card.FILE
    path.write_text(card, encoding="utf-8")
    logger.info("%s, of the run in %s", path, run.commit or "no commit yet")
