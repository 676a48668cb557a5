"""Try the model in a browser, beside the pretrained one: asr demo, or `make demo`

Serves a page to this machine alone. It records from the microphone or takes a file, both models write down
what they hear, and the words in which they differ are marked.
"""

import argparse
import logging
import os
import socket
import sys
import webbrowser
from pathlib import Path

import transformers
from werkzeug.serving import BaseWSGIServer, make_server

from asr.commands.demo.server import Demo
from asr.commands.transcribe.cli import MODEL, Transcriber
from asr.params import load_params

PRETRAINED = Path("data/pretrained")
HOST, PORT = "127.0.0.1", 7860
BATCH_SIZE = 8  # pieces that are transcribed between two reports of how far it is
NUM_BEAMS = 1
LOCALE_OF = ("archive", "mdc", "sample")  # sources whose language is download.locale
logger = logging.getLogger("demo")


def load(pretrained: Path, model: Path, language: str | None) -> dict[str, Transcriber]:
    """Load both models; the pretrained one writes the language that the fine-tuned one does.

    Raises
    ------
    FileNotFoundError: one of them is not there.
    """
    for folder, option in ((pretrained, "--pretrained"), (model, "--model")):
        if not (folder / "config.json").exists():
            raise FileNotFoundError(
                f"no model in {folder}: run `dvc repro` or `dvc pull` first, or give {option} FOLDER"
            )
    finetuned = Transcriber(model, language, BATCH_SIZE, NUM_BEAMS)
    return {
        "pretrained": Transcriber(pretrained, finetuned.language, BATCH_SIZE, NUM_BEAMS),
        "finetuned": finetuned,
    }


def open_port(port: int) -> socket.socket:
    """Open a port to this machine alone; 0 takes a free one.

    Raises
    ------
    OSError: it is taken, or not a port's number.
    """
    try:
        return socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        raise OSError(
            f"port {port} cannot be opened ({error}): give --port another, or 0 for one that is free"
        ) from error


def serve(demo: Demo, opened: socket.socket) -> BaseWSGIServer:
    """Answer on an open port, once its `serve_forever` is called."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # not a line for every request
    return make_server(HOST, opened.getsockname()[1], demo, threaded=True, fd=opened.fileno())


def language_tag(params: Path) -> str:
    """Return the language tag (BCP 47) of the recipe's corpus; "" where it is not known.

    Not the model's language, which may be that of a relative: a font and a voice are chosen by this one.
    """
    if not params.exists():
        return ""
    download = load_params(params).download
    return download.locale if download.source in LOCALE_OF else ""


def open_browser(address: str) -> None:
    """Open the page where there is a screen; without one it would be a text browser, in this terminal."""
    if sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        webbrowser.open(address)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="asr demo", description=__doc__.splitlines()[0])
    parser.add_argument("--pretrained", type=Path, default=PRETRAINED, help="default: %(default)s")
    parser.add_argument("--model", type=Path, default=MODEL, help="the fine-tuned one (default: %(default)s)")
    parser.add_argument("--language", help="what to write, where the model does not say")
    parser.add_argument("--lang", help="language tag of the texts, such as dv (default: download.locale)")
    parser.add_argument("--port", type=int, default=PORT, help="0: any that is free (default: %(default)s)")
    parser.add_argument("--no-browser", action="store_true", help="only say the address")
    args = parser.parse_args(argv)
    lang = language_tag(Path("params.yaml")) if args.lang is None else args.lang
    transformers.utils.logging.disable_progress_bar()  # of loading weights
    opened = open_port(args.port)  # before it takes the time to load models
    server = serve(Demo(load(args.pretrained, args.model, args.language), lang), opened)
    address = f"http://{HOST}:{server.port}"
    logger.info("%s is open, to this machine alone; Ctrl+C ends it", address)
    if not args.no_browser:
        open_browser(address)
    server.serve_forever()
