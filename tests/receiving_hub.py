"""The model hub's other side on this machine: as much as its client needs to publish a model."""

import base64
import hashlib
import json
from collections import deque
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from huggingface_hub import ModelCard

from tests.servers import Handler, reply

COMMIT = "{:040x}"
LICENCES = ("apache-2.0", "mit", "cc0-1.0", "unknown")


class ReceivingHub:
    """One repository, `owner/name`, which is not there at first. The token `hf_write` may make and change it.

    `faults` go wrong first, one for each upload of a large file. `asked` has method and path of each request.
    """

    def __init__(self, private: bool | None = None) -> None:
        self.private = private  # None: there is no repository yet
        self.files: dict[str, bytes] = {}  # of the last commit
        self.large: dict[str, bytes] = {}  # by sha256
        self.commits: list[dict] = []
        self.tags: dict[str, str] = {}
        self.faults: deque[Callable[[Handler], None]] = deque()
        self.asked: list[tuple[str, str]] = []

    def __call__(self, handler: Handler) -> None:
        path = unquote(urlsplit(handler.path).path)
        self.asked.append((handler.command, path))
        self.base = f"http://{handler.headers['Host']}"
        if path.startswith("/large/"):
            return self.receive(handler, path.removeprefix("/large/"))
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        sent = handler.headers.get("Authorization")
        if sent not in ("Bearer hf_write", "Bearer hf_read"):
            why = "Invalid credentials in Authorization header"
            return reply(handler, 401, {"error": f"{why}, you sent {sent}"}, X_Error_Message=why)
        if path == "/api/validate-yaml":
            known = ModelCard(json.loads(body)["content"]).data.license in LICENCES
            errors = [] if known else [{"message": "license has to be a known one"}]
            return reply(handler, 200 if known else 400, {"errors": errors, "warnings": []})
        if path != "/api/repos/create" and self.private is None:
            return reply(handler, 404, X_Error_Code="RepoNotFound")
        if handler.command == "POST" and sent != "Bearer hf_write":
            return reply(handler, 403, {"error": f"You don't have the rights, you sent {sent}"})
        return self.answer(handler, path, body)

    def answer(self, handler: Handler, path: str, body: bytes) -> None:
        """Answer one who may write."""
        call = path.removeprefix("/api/models/owner/name")
        if path == "/api/repos/create":
            wanted = json.loads(body)
            assert (wanted["organization"], wanted["name"]) == ("owner", "name")
            there, url = self.private is not None, {"url": f"{self.base}/owner/name"}
            self.private = self.private if there else wanted.get("visibility") == "private"
            return reply(handler, 409 if there else 200, url | {"error": "exists"} if there else url)
        if path == "/owner/name.git/info/lfs/objects/batch":
            return reply(handler, 200, {"objects": [self.object(o) for o in json.loads(body)["objects"]]})
        if call in ("", "/revision/main"):
            sha = COMMIT.format(len(self.commits))
            info = {"id": "owner/name", "sha": sha, "private": self.private, "siblings": [], "tags": []}
            return reply(handler, 200, info)
        if call == "/refs":
            tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": c} for n, c in self.tags.items()]
            return reply(handler, 200, {"branches": [], "converts": [], "tags": tags})
        if call == "/preupload/main":
            return reply(handler, 200, {"files": [self.mode(file) for file in json.loads(body)["files"]]})
        if call == "/commit/main":
            return self.commit(handler, [json.loads(line) for line in body.splitlines()])
        if call.startswith("/tag/"):
            self.tags[json.loads(body)["tag"]] = call.removeprefix("/tag/")
            return reply(handler, 200, {})
        return reply(handler, 404)

    def mode(self, file: dict) -> dict:
        """Say how a file is to be sent, and what there is of it."""
        path, there = file["path"], self.files.get(file["path"])
        large = path.endswith(".safetensors")
        oid = None
        if there is not None:
            header = b"blob %d\0" % len(there)
            oid = hashlib.sha256(there).hexdigest() if large else hashlib.sha1(header + there).hexdigest()
        return {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid}

    def object(self, wanted: dict) -> dict:
        """Say where a large file is to be sent; no place, if it is there."""
        if wanted["oid"] in self.large:
            return wanted
        return wanted | {"actions": {"upload": {"href": f"{self.base}/large/{wanted['oid']}"}}}

    def receive(self, handler: Handler, oid: str) -> None:
        if self.faults:
            return self.faults.popleft()(handler)
        assert "Authorization" not in handler.headers, "a store of files is no place for the token"
        data = handler.rfile.read(int(handler.headers["Content-Length"]))
        assert hashlib.sha256(data).hexdigest() == oid
        self.large[oid] = data
        return reply(handler, 200)

    def commit(self, handler: Handler, lines: list[dict]) -> None:
        """Take a commit, all of it or nothing."""
        header, *entries = lines
        files = {}
        for entry in entries:
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif value["oid"] in self.large:
                files[value["path"]] = self.large[value["oid"]]
            else:
                return reply(handler, 400, {"error": f"{value['path']} has not been uploaded"})
        self.files |= files
        self.commits.append(header["value"] | {"files": sorted(files)})
        oid = COMMIT.format(len(self.commits))
        url = f"{self.base}/owner/name/commit/{oid}"
        return reply(handler, 200, {"commitUrl": url, "commitOid": oid})


def breaks_off(handler: Handler) -> None:
    """A fault: the connection is gone when some of a file has arrived."""
    handler.rfile.read(1000)
    handler.connection.close()
