"""Upload the model and its card to the Hugging Face hub.

    asr publish OWNER/NAME          a dry run, without network: shows what would be sent
    asr publish OWNER/NAME --yes    makes one commit, in a private repository

The token comes from the environment variable HF_TOKEN.
"""

import logging
import os

from asr.commands import arguments
from asr.commands.card.cli import add_arguments

logger = logging.getLogger("publish")


def main(argv: list[str]) -> None:
    parser = arguments.command_parser("publish", __doc__)
    parser.add_argument("name", metavar="OWNER/NAME", help="the model's repository on the hub")
    parser.add_argument("--yes", action="store_true", help="send it; without it, nothing leaves this machine")
    parser.add_argument("--public", action="store_true", help="for everyone (default: private)")
    parser.add_argument("--tag", help="tag the hub's commit, such as v1.0.0")
    add_arguments(parser)
    args = parser.parse_args(argv)

    from asr import provenance
    from asr.commands.card import model_card, record
    from asr.commands.publish import hub

    model_card.check_name(args.name)
    token = os.environ.get("HF_TOKEN", "").strip()
    if args.yes and not token:
        raise PermissionError(f"no HF_TOKEN in the environment: {hub.TOKENS} makes one with the role write")
    run = record.read(args.recipe)
    model_card.require_one_run(args.recipe)
    text = model_card.text(run, args.language, args.license, args.name)
    files, others = hub.choose(args.recipe / arguments.MODEL)
    upload = hub.Upload(args.name, files, text, args.public, args.tag)
    hub.show(upload, others)
    base = provenance.base_of(run.params.pretrained, run.recipe)
    obstacles = hub.obstacles(run, provenance.licence_of(base, args.license))
    if not args.yes:
        print(f"\n{text}")
        for obstacle in obstacles:
            logger.warning("in the way: %s", obstacle)
        logger.info("a dry run: nothing was sent. --yes sends it")
        return
    if obstacles:
        raise ValueError("\n  ".join(["not published:", *obstacles]))
    message = f"Model of {run.subfolder}dvc.lock of commit {run.commit}"
    logger.info("%s", hub.push(upload, message, token))
