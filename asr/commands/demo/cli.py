"""Try the model in a browser, beside the pretrained one.

The page records from the microphone or takes a file. Both models transcribe it, and the words in which they
differ are marked. Only this machine can open the page.
"""

import logging
import socket
import webbrowser
from pathlib import Path

from asr.commands import arguments

PRETRAINED = Path("data/pretrained")  # in a recipe's folder
HOST, PORT = "127.0.0.1", 7860
logger = logging.getLogger("demo")


def open_port(port: int) -> socket.socket:
    """Open a port to this machine alone; 0 takes a free one.

    Raises
    ------
    OSError: the port is taken, or is not a port's number.
    """
    try:
        return socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        raise OSError(f"port {port} cannot be opened ({error}): give another --port, or 0") from error


def language_tag(params: Path) -> str:
    """Return the BCP 47 tag of the corpus' language, for the page's font and voice; "" if it is unknown.

    The language that the model was told to write may be a relative's.
    """
    if not params.exists():
        return ""
    from asr.params import load_params
    from asr.provenance import locale_of

    return locale_of(load_params(params).corpora) or ""


def main(argv: list[str]) -> None:
    parser = arguments.command_parser("demo", __doc__)
    arguments.add_model(parser)
    what = f"another pretrained model (default: {PRETRAINED} of the recipe)"
    parser.add_argument("--pretrained", type=Path, metavar="FOLDER", help=what)
    parser.add_argument("--lang", help="BCP 47 tag of the texts, such as dv (default: the corpora's locale)")
    parser.add_argument("--port", type=int, default=PORT, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--no-browser", action="store_true", help="print the address, open no browser")
    args = parser.parse_args(argv)
    model = arguments.model_folder(args)
    pretrained = arguments.require_model(args.pretrained or args.recipe / PRETRAINED, "--pretrained")
    lang = language_tag(args.recipe / "params.yaml") if args.lang is None else args.lang
    opened = open_port(args.port)
    from asr.commands.demo.server import Demo, load, serve

    server = serve(Demo(load(pretrained, model, args.language), lang), opened)
    address = f"http://{HOST}:{server.port}"
    logger.info("%s is open, to this machine only; Ctrl+C ends it", address)
    if not args.no_browser:
        webbrowser.open(address)
    server.serve_forever()
