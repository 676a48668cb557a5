"""The demo's server: its page, the transcripts of a recording, and how they differ.

A recording stays in memory until it is answered. A Content-Security-Policy keeps the browser from loading
anything from elsewhere, and requests that come from other sites are refused.
"""

import io
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, zip_longest
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    HTTPException,
    NotFound,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request, Response

from asr.audio.log_mel import SAMPLE_RATE
from asr.commands.demo import texts
from asr.commands.transcribe.pieces import Piece
from asr.commands.transcribe.subtitles import plain
from asr.commands.transcribe.transcriber import Transcriber
from asr.evaluation import report

BATCH_SIZE = 8  # pieces between two reports of progress
MAX_BYTES = 512 * 2**20  # of a recording
MAX_MINUTES = 60  # of a recording: its features stay in memory, 58 MB for a model of 80 mel channels
REPORT_CSS = Path(report.__file__).parent / "templates/report.css"  # the demo looks like the report
FILES = {
    "/report.css": (REPORT_CSS, "text/css"),
    "/demo.css": (texts.TEMPLATES / "demo.css", "text/css"),
    "/demo.js": (texts.TEMPLATES / "demo.js", "text/javascript"),
    "/recording.js": (texts.TEMPLATES / "recording.js", "text/javascript"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "media-src blob:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class LocalRequest(Request):
    """A request to this machine by its own name; a name that someone else's DNS points here is refused."""

    trusted_hosts = ("127.0.0.1", "localhost")
    max_content_length = MAX_BYTES


class Comparison(BaseModel):
    """Both transcripts and the reference, which is empty if it is unknown."""

    model_config = ConfigDict(extra="forbid", strict=True)

    pretrained: str
    finetuned: str
    reference: str


class Demo:
    """Answer the page's requests: a WSGI application."""

    def __init__(self, transcribers: dict[str, Transcriber], lang: str) -> None:
        self.transcribers = transcribers  # by the keys of texts.LABELS
        self.page = texts.page(lang=lang, max_bytes=MAX_BYTES)
        self.at_work = threading.Lock()

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        try:
            response = self.answer(LocalRequest(environ))
        except HTTPException as error:
            response = Response(error.description, error.code)
        response.headers.update(HEADERS)
        return response(environ, start_response)

    def answer(self, request: Request) -> Response:
        """Answer one request.

        Raises
        ------
        HTTPException: with a description for the user.
        """
        if request.headers.get("Origin", f"http://{request.host}") != f"http://{request.host}":
            raise Forbidden("Asked by another site.")
        match request.method, request.path:
            case "GET", "/":
                return Response(self.page, mimetype="text/html")
            case "GET", path if path in FILES:
                file, mimetype = FILES[path]
                return Response(file.read_bytes(), mimetype=mimetype)
            case "POST", "/transcribe":
                recording = request.get_data(cache=False)
                progress = self.transcribe(recording, request.environ.get("werkzeug.socket"))
                lines = (json.dumps(state, allow_nan=False) + "\n" for state in progress)
                return Response(lines, mimetype="application/x-ndjson")
            case "POST", "/compare":
                found = json.dumps(self.compare(request.get_data()), allow_nan=False)
                return Response(found, mimetype="application/json")
        raise NotFound(f"There is no {request.path} here.")

    def transcribe(self, recording: bytes, client: socket.socket | None) -> Iterator[dict]:
        """Transcribe with both models in turns; yields the progress of each, and its text so far.

        Raises
        ------
        UnsupportedMediaType: not audio. This is raised at the call, before the first iteration.
        RequestEntityTooLarge: longer than MAX_MINUTES; likewise.
        ConnectionAbortedError: the client has gone.
        """
        warnings: dict[str, list[str]] = {name: [] for name in self.transcribers}
        try:
            pieces = {
                name: transcriber.cut(io.BytesIO(recording), warnings[name].append)
                for name, transcriber in self.transcribers.items()
            }
            cut = {name: _within_limit(of_it, client) for name, of_it in pieces.items()}
        except ValueError as error:
            raise UnsupportedMediaType(f"This recording cannot be read: {error}") from error
        turns = zip_longest(*(self._hear(name, pieces, client) for name, pieces in cut.items()))
        return (
            state | {"warning": "; ".join(warnings[state["model"]])}
            for turn in turns
            for state in turn
            if state
        )

    def _hear(self, name: str, pieces: list[Piece], client: socket.socket | None) -> Iterator[dict]:
        """Transcribe with one model, a batch at a time."""
        transcriber, heard, took_s = self.transcribers[name], [], 0.0
        size = transcriber.options.batch_size
        for first in range(0, len(pieces), size):
            with self.at_work:
                _require(client)
                started = time.perf_counter()
                batch = pieces[first : first + size]
                heard += chain.from_iterable(transcriber.hear(batch))
                took_s += time.perf_counter() - started
            yield {
                "model": name,
                "text": plain("", heard).strip(),
                "heard_s": batch[-1].end / SAMPLE_RATE,
                "of_s": pieces[-1].end / SAMPLE_RATE,
                "took_s": took_s,
            }

    def compare(self, question: bytes) -> dict:
        """Compare as `texts.compare` does.

        Raises
        ------
        BadRequest: the question is not the JSON of a `Comparison`.
        """
        try:
            asked = Comparison.model_validate_json(question)
        except ValidationError as error:
            raise BadRequest(str(error)) from error
        heard = {"pretrained": asked.pretrained, "finetuned": asked.finetuned}
        return texts.compare(heard, asked.reference)


def _within_limit(cut: Iterator[Piece], client: socket.socket | None) -> list[Piece]:
    """Take the pieces of a recording of at most MAX_MINUTES, while its client waits for them."""
    pieces = []
    for piece in cut:
        _require(client)
        if piece.end > MAX_MINUTES * 60 * SAMPLE_RATE:
            raise RequestEntityTooLarge(
                f"A recording of more than {MAX_MINUTES} minutes is too long for this page: asr transcribe"
                " takes it."
            )
        pieces.append(piece)
    return pieces


def _require(client: socket.socket | None) -> None:
    """Raise ConnectionAbortedError, with which werkzeug ends its answer, if a client has gone."""
    try:
        gone = client is not None and client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return
    if gone:
        raise ConnectionAbortedError("the page has been closed")


def load(pretrained: Path, model: Path, language: str | None) -> dict[str, Transcriber]:
    """Load both models. As in the stage `transcribe`, both write with the settings of the fine-tuned one."""
    after = Transcriber(model, language, BATCH_SIZE, None)
    before = Transcriber(pretrained, after.options.language, BATCH_SIZE, None)
    before.options = after.options
    return {"pretrained": before, "finetuned": after}


def serve(demo: Demo, opened: socket.socket) -> BaseWSGIServer:
    """Make a server for an open port; `serve_forever` starts it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for each request
    host, port = opened.getsockname()
    return make_server(host, port, demo, threaded=True, fd=opened.fileno())
