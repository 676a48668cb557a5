import http.server
import json
import random
import threading
from pathlib import Path

import pytest

from asr.sources import mdc
from tests.corpora import release, write_archive

KEY = "key-for-tests-7d1f"
CHUNK_BYTES = 2**16  # the client's


class Server(http.server.BaseHTTPRequestHandler):
    """Mozilla Data Collective's three calls: a dataset's details, a download session, the file."""

    data, breaks_at, asked = b"", None, []
    status = {"details": 200, "session": 200}

    def do_GET(self):
        self.asked.append(("GET", self.path, self.headers.get("Range")))
        if self.path.startswith("/file"):
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(self.data) - start))
            self.end_headers()
            end, type(self).breaks_at = self.breaks_at, None
            return self.wfile.write(self.data[start:end])
        self.answer(self.status["details"], {"id": "dv26", "filename": "cv-26.tar.gz", "checksum": "c0"})

    def do_POST(self):
        self.asked.append(("POST", self.path, self.headers.get("Authorization")))
        url = f"http://127.0.0.1:{self.server.server_port}/file?signature=s1gned"
        self.answer(
            self.status["session"], {"downloadUrl": url, "sizeBytes": len(self.data), "checksum": "c0"}
        )

    def answer(self, status, body):
        data = json.dumps(body if status == 200 else {"message": f"says {status}"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    padding = ("cv-corpus-1.0/README", random.Random(0).randbytes(200_000))
    data = write_archive(tmp_path / "made.tar.gz", [*release(), padding]).read_bytes()
    handler = type("Handler", (Server,), {"data": data, "asked": [], "status": dict(Server.status)})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("MDC_API_URL", f"http://127.0.0.1:{httpd.server_port}")
        monkeypatch.setenv("MDC_API_KEY", KEY)
        yield handler
        httpd.shutdown()


def test_a_release_is_downloaded_and_read(server):
    assert [clip.id for clip in mdc.clips("dv26", "dv", False)] == [f"{name}.mp3" for name in "abcde"]
    assert Path("corpora/cv-26.tar.gz").read_bytes() == server.data
    assert ("POST", "/datasets/dv26/download", f"Bearer {KEY}") in server.asked


def test_validated_clips_come_too_if_asked_for(server):
    splits = {clip.id: clip.split for clip in mdc.clips("dv26", "dv", True)}
    assert len(splits) == 6 and splits["f.mp3"] == "validated" and splits["a.mp3"] == "train"


def test_it_is_downloaded_once_and_never_unpacked(server):
    for _ in range(2):
        assert len(list(mdc.clips("dv26", "dv", False))) == 5
    assert [asked[1][:5] for asked in server.asked].count("/file") == 1
    assert [path.name for path in Path("corpora").iterdir()] == ["cv-26.tar.gz"]


def test_a_transfer_that_breaks_off_goes_on_from_there(server):
    server.breaks_at = 2 * CHUNK_BYTES + 1000
    with pytest.raises(ConnectionError, match="broke off after 128.0 KB of .*run again"):
        mdc.clips("dv26", "dv", False)
    assert len(list(mdc.clips("dv26", "dv", False))) == 5
    assert ("GET", "/file?signature=s1gned", f"bytes={2 * CHUNK_BYTES}-") in server.asked


@pytest.mark.parametrize(
    "call, status, error, message",
    [
        ("details", 404, FileNotFoundError, "no such dataset, or removed.*download.mdc.dataset"),
        ("details", 410, FileNotFoundError, "no such dataset, or removed"),
        ("session", 401, PermissionError, "does not accept the key in MDC_API_KEY"),
        ("session", 403, PermissionError, "(?s)Accept the dataset's terms on that page.*says 403"),
        ("session", 429, ConnectionError, "too many requests"),
        ("session", 500, ConnectionError, "HTTPError.*make sample"),
    ],
)
def test_refusals_say_what_to_do(server, call, status, error, message, capfd):
    server.status[call] = status
    with pytest.raises(error, match=message) as raised:
        mdc.clips("dv26", "dv", False)
    assert KEY not in str(raised.value) + "".join(capfd.readouterr())


def test_no_network(server, monkeypatch):
    monkeypatch.setenv("MDC_API_URL", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match="Is the network there"):
        mdc.clips("dv26", "dv", False)


def test_without_a_key_nothing_is_asked(server, monkeypatch):
    monkeypatch.delenv("MDC_API_KEY")
    Path(".env").write_text(f"MDC_API_KEY={KEY}\n")
    with pytest.raises(PermissionError, match="(?s)no MDC_API_KEY.*accept the terms.*make sample"):
        mdc.clips("dv26", "dv", False)
    assert server.asked == []


def test_the_key_is_written_nowhere(server, tmp_path):
    list(mdc.clips("dv26", "dv", False))
    written = [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert written == []
