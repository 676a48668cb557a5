"""HTTP servers on a free port of this machine, with the faults that real ones have."""

import http.server
import json
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Handler = http.server.BaseHTTPRequestHandler


@contextmanager
def serving(answer: Callable[[Handler], None]) -> Iterator[str]:
    """Serve until the block ends; `answer` gets every request. Yields the address, without a last slash."""

    class Handling(Handler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self)

        def end_headers(self) -> None:
            self.send_header("Connection", "close")
            super().end_headers()

        do_POST = do_PUT = do_HEAD = do_GET

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handling) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def unused_port() -> int:
    """Return a port for a server that opens it later: none of those that connections are given meanwhile."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with socket.socket() as candidate:
            try:
                candidate.bind(("localhost", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")


def reply(handler: Handler, status: int, body: bytes | dict = b"", **headers: str):
    """Answer with a status, headers (underscores for hyphens) and bytes or JSON."""
    data = json.dumps(body).encode() if isinstance(body, dict | list) else body
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(data)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(data)


class Files:
    """Serves one file at every path, as a good server does; `faults` go wrong first, one for each request.

    A fault is called with the handler and the first byte asked for. `asked` has the Range of each request.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.ranges = data, True
        self.faults: deque[Callable[[Handler, int], None]] = deque()
        self.asked: list[str | None] = []

    def __call__(self, handler: Handler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted[6:-1]) if wanted and self.ranges else 0
        if self.faults:
            self.faults.popleft()(handler, start)
        else:
            self.send(handler, start)

    def send(self, handler: Handler, start: int, end: int | None = None) -> None:
        """Send the file from a byte on, but stop before `end`."""
        total = len(self.data)
        if start and start >= total:
            return reply(handler, 416, Content_Range=f"bytes */{total}")
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(total - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        handler.end_headers()
        handler.wfile.write(self.data[start:end])

    def breaks(self, after: int) -> Callable[[Handler, int], None]:
        """Make a fault: the transfer breaks off when so many bytes are through."""
        return lambda handler, start: self.send(handler, start, start + after)


def says(status: int, body: bytes | dict = b"", **headers: str):
    """Make a fault: a status instead of the file."""
    return lambda handler, start: reply(handler, status, body, **headers)
