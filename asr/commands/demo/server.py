"""What the demo's page asks for: itself, the texts of a recording, and how they differ.

Recordings stay in memory, and are gone with the answer. The page comes with a policy by which the browser
loads nothing from anywhere else; what other sites ask for through the browser is refused.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException, NotFound, UnsupportedMediaType
from werkzeug.wrappers import Request, Response

from asr.commands.demo import texts
from asr.commands.transcribe.cli import Transcriber
from asr.commands.transcribe.recordings import Piece
from asr.commands.transcribe.subtitles import plain
from asr.evaluation import report

MAX_BYTES = 512 * 2**20  # of a recording, which is held in memory: 4.6 hours of what the page records
REPORT_CSS = Path(report.__file__).parent / "templates/report.css"  # the demo looks as the report does
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
    """A request to this machine by its own name; one by a name that someone's DNS points here is refused."""

    trusted_hosts = ("127.0.0.1", "localhost")
    max_content_length = MAX_BYTES


class Comparison(BaseModel):
    """Two texts, and what was said: empty if that is not known."""

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
                progress = self.transcribe(request.get_data(cache=False))
                lines = (json.dumps(state) + "\n" for state in progress)
                return Response(lines, mimetype="application/x-ndjson")
            case "POST", "/compare":
                return Response(json.dumps(self.compare(request.get_data())), mimetype="application/json")
        raise NotFound(f"There is no {request.path} here.")

    def transcribe(self, recording: bytes) -> Iterator[dict]:
        """Transcribe with both models, in turns; yields how far each of them is, and its text until then.

        Raises
        ------
        UnsupportedMediaType: no audio, at once and not in the middle.
        """
        missing: dict[str, list[str]] = {name: [] for name in self.transcribers}
        try:
            cut = {
                name: transcriber.cut(recording, None, missing[name].append)
                for name, transcriber in self.transcribers.items()
            }
        except ValueError as error:
            raise UnsupportedMediaType(f"This is no recording that can be read: {error}") from error
        turns = zip_longest(*(self._hear(name, pieces) for name, pieces in cut.items()))
        return (
            state | {"missing": "".join(missing[state["model"]])} for turn in turns for state in turn if state
        )

    def _hear(self, name: str, pieces: list[Piece]) -> Iterator[dict]:
        """Transcribe with one model, a batch at a time."""
        transcriber, heard, took_s = self.transcribers[name], [], 0.0
        for first in range(0, len(pieces), transcriber.batch_size):
            with self.at_work:
                started = time.perf_counter()
                heard += transcriber.hear([pieces[first : first + transcriber.batch_size]])[0]
                took_s += time.perf_counter() - started
            yield {
                "model": name,
                "text": plain("", heard).strip(),
                "heard_s": heard[-1].end_s,
                "of_s": pieces[-1].end_s,
                "took_s": took_s,
            }

    def compare(self, question: bytes) -> dict:
        """Compare as `texts.compare` does.

        Raises
        ------
        BadRequest: the question is not a `Comparison` in JSON.
        """
        try:
            asked = Comparison.model_validate_json(question)
        except ValidationError as error:
            raise BadRequest(str(error)) from error
        heard = {"pretrained": asked.pretrained, "finetuned": asked.finetuned}
        return texts.compare(heard, asked.reference)
