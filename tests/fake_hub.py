"""The model hub on this machine: as much of it as `datasets`, `transformers` and their client ask for."""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urlsplit

import datasets
import pytest
from huggingface_hub import HfFileSystem, constants

from tests.servers import Handler, reply, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """One repository, `owner/name`, with one commit on `main`; for datasets and models alike.

    With `token`, it is gated: who sends none, or another, is refused. `faults` go wrong first, one for each
    request for a file's bytes. `asked` has method, path and Authorization of each request.
    """

    def __init__(self, files: dict[str, bytes], token: str | None = None) -> None:
        self.files, self.token = files, token
        self.faults: deque[Callable[[Handler, bytes], None]] = deque()
        self.asked: list[tuple[str, str, str | None]] = []

    def __call__(self, handler: Handler) -> None:
        split = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0)).decode()
        sent = handler.headers.get("Authorization")
        self.asked.append((handler.command, handler.path, sent))
        parts = unquote(split.path).strip("/").split("/")
        if parts[0] == "api":
            if parts[1] in ("whoami-v2", "resolve-cache"):
                return reply(handler, 404)
            repository, call = parts[2:4], parts[4:]
        else:
            parts = parts[1:] if parts[0] == "datasets" else parts
            repository, call = parts[:2], parts[2:]
        if repository != ["owner", "name"]:
            return self.refuse(handler, 401, "RepoNotFound", sent)
        revision = call[1] if len(call) > 1 else "main"
        if revision not in ("main", COMMIT):
            return self.refuse(handler, 404, "RevisionNotFound", sent)
        if not call or call[0] == "revision":
            return reply(handler, 200, self.info())
        if call[0] == "tree":
            return self.tree(handler, "/".join(call[2:]))
        if call[0] == "paths-info":
            wanted = parse_qs(body).get("paths", [])
            return reply(handler, 200, [self.entry(path) for path in wanted if path in self.files])
        if call[0] == "resolve":
            return self.file(handler, "/".join(call[2:]), sent)
        return reply(handler, 404)

    def info(self) -> dict:
        files = [{"rfilename": path} for path in self.files]
        return {"id": "owner/name", "sha": COMMIT, "siblings": files, "private": False, "tags": []}

    def tree(self, handler: Handler, folder: str) -> None:
        """List a folder's files and folders, and all that these hold."""
        inside = [path for path in self.files if not folder or path.startswith(folder + "/")]
        if folder and not inside:
            return reply(handler, 404, X_Error_Code="EntryNotFound")
        above = {str(parent) for path in inside for parent in PurePosixPath(path).parents}
        folders = [
            {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}
            for path in sorted(above - {"."})
            if not folder or path.startswith(folder + "/")
        ]
        return reply(handler, 200, [*folders, *map(self.entry, inside)])

    def entry(self, path: str) -> dict:
        data = self.files[path]
        return {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}

    def file(self, handler: Handler, path: str, sent: str | None) -> None:
        if self.token and sent != f"Bearer {self.token}":
            return self.refuse(handler, 403 if sent else 401, "GatedRepo", sent)
        if path not in self.files:
            return reply(handler, 404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        data = self.files[path]
        if handler.command == "GET" and self.faults:
            return self.faults.popleft()(handler, data)
        return self.send(handler, data)

    def send(self, handler: Handler, data: bytes, end: int | None = None) -> None:
        wanted = handler.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        handler.send_response(206 if wanted else 200)
        handler.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        handler.send_header("X-Repo-Commit", COMMIT)
        handler.send_header("Content-Length", str(len(data) - start))
        if wanted:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(data[start:end])

    def breaks(self, after: int) -> Callable[[Handler, bytes], None]:
        """Make a fault: the transfer breaks off when a file's first bytes are through."""
        return lambda handler, data: self.send(handler, data, after)

    def refuse(self, handler: Handler, status: int, code: str, sent: str | None) -> None:
        """Refuse, and repeat the key that was sent, in header and body."""
        message = f"{code}, you sent {sent}"
        reply(handler, status, {"error": message}, X_Error_Code=code, X_Error_Message=message)


@contextmanager
def in_place_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    """Yield a function that serves a hub in place of the real one. The cache is empty, and nothing waits."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    patient = SimpleNamespace(sleep=lambda s: None, time=time.time)
    monkeypatch.setattr("huggingface_hub.utils._http.time", patient)
    monkeypatch.setattr("huggingface_hub.file_download.time", patient)
    with ExitStack() as stack:

        def serve(answer: Callable[[Handler], None]) -> Callable[[Handler], None]:
            url = stack.enter_context(serving(answer))
            template = url + "/{repo_id}/resolve/{revision}/{filename}"
            monkeypatch.setattr(constants, "ENDPOINT", url)
            monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
            monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", url)
            monkeypatch.setattr(datasets.config, "HF_ENDPOINT", url)
            template = url + "/datasets/{repo_id}/resolve/{revision}/{path}"
            monkeypatch.setattr(datasets.config, "HUB_DATASETS_URL", template)
            HfFileSystem.clear_instance_cache()
            return answer

        yield serve
