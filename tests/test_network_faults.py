"""What fails in a network, with the stages' own scripts: each fault is named, and the next run ends the same.

The servers repeat every key that they are sent. None of them may be in what a stage prints, or in any file.
"""

import base64
from pathlib import Path

import pytest

from tests.corpora import release, tone, write_archive
from tests.fake_hub import Hub
from tests.recipes import REPOSITORY, Recipe
from tests.servers import Files, reply, serving
from tests.test_source_hub import write
from tests.test_source_mdc import Platform

SECRET = "s3cret-0f-the-tests"
SENT = base64.b64encode(f"me:{SECRET}".encode()).decode()  # what becomes of a login on its way
ARCHIVE = {"download.source": "archive", "download.archive_sha256": None}


class Box(Recipe):
    """A recipe with a home of its own, keys in its environment, and no patience."""

    def __init__(self, root: Path, **environment: str) -> None:
        root.mkdir()
        super().__init__(root, {})
        self.root, home = root, root / "home"
        (home / "site").mkdir(parents=True)
        (home / "site" / "sitecustomize.py").write_text(
            "import time\nreal = time.sleep\ntime.sleep = lambda s: real(min(s, 0.01))\n"
        )
        (self.folder / ".env").write_text(f"MDC_API_KEY=x{SECRET}x\nhttp_proxy=http://127.0.0.1:9\n")
        self.given = {self.folder / ".env"}
        self.environment = {
            "HOME": str(home), "HF_HOME": str(home / "hf"), "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "", "no_proxy": "",
            "PYTHONPATH": f"..:{home / 'site'}", "MDC_API_KEY": f"mdc-{SECRET}", "HF_TOKEN": f"hf_{SECRET}",
        } | environment  # fmt: skip
        self.printed = []

    def start(self, stage: str, *args: str, **environment: str):
        return super().start(stage, *args, **self.environment | environment)

    def run(self, stage: str, *args: str) -> str:
        self.printed.append(super().run(stage, *args))
        return self.printed[-1]

    def fails(self, stage: str, *expected: str, **environment: str) -> None:
        """Run a stage that has to end with a message in which all that is expected occurs, and no output."""
        process = self.start(stage, **environment)
        self.printed.append(process.communicate()[0])
        assert process.returncode == 1 and "Traceback" not in self.printed[-1], self.printed[-1]
        assert [text for text in expected if text not in self.printed[-1]] == [], self.printed[-1]
        assert not [path.name for path in (self.folder / "data").glob("[!.]*") if path.suffix != ".part"]

    def leaks(self) -> list[str]:
        """List where a secret is: of what the stages printed, and of all files but those it was given in."""
        files = {
            path for path in self.root.rglob("*") if path.is_file() and not path.is_relative_to(REPOSITORY)
        }
        found = []
        for secret in (SECRET, SENT):
            found += [str(path) for path in files - self.given if secret.encode() in path.read_bytes()]
            found += [text for text in self.printed if secret in text]
        return found

    def outputs(self, name: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / "data" / name).iterdir()}


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> bytes:
    return write_archive(tmp_path_factory.mktemp("packed") / "cv.tar.gz", release()).read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, packed) -> dict[str, bytes]:
    """What the download of the release comes to when nothing goes wrong."""
    box = Box(tmp_path_factory.mktemp("undisturbed") / "box")
    (box.folder / "cv.tar.gz").write_bytes(packed)
    box.set(ARCHIVE | {"download.archive": "cv.tar.gz"})
    box.run("download")
    return box.outputs("raw")


def echo(handler) -> str:
    return " ".join(
        ["you sent", *(f"{name}: {value}" for name, value in handler.headers.items()), handler.path]
    )


def refuses(status):
    """Make a fault that repeats what was sent, in reason, header and body."""

    def fault(handler, start):
        reply(
            handler,
            status,
            {"message": echo(handler)},
            echo(handler),
            X_Error=echo(handler),
            ETag=echo(handler),
        )

    return fault


def test_an_archive_by_url(tmp_path, packed, undisturbed):
    files = Files(packed)
    box = Box(tmp_path / "box")
    netrc = box.root / "home/.netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    netrc.chmod(0o600)
    with serving(files) as url, serving(lambda handler: refuses(403)(handler, 0)) as proxy:
        box.set(ARCHIVE | {"download.archive": f"https://nowhere.invalid/cv.tar.gz?id={SECRET}"})
        box.fails("download", "name is not known (DNS)", "0 bytes are in", "run again", "make sample")
        there = proxy.replace("//", f"//me:{SECRET}@")
        box.fails("download", "the proxy refuses", "HTTPS_PROXY", https_proxy=there)
        box.set({"download.archive": f"{url}/cv.tar.gz?id={SECRET}"})
        files.faults.append(refuses(403))
        box.fails("download", "says 403 Forbidden", "netrc")
        files.faults.extend([files.breaks(1000), *[refuses(503)] * 6])
        box.fails(
            "download", "says 503", "another try", "1000 bytes are in corpora/cv.tar.gz.part: run again"
        )
        box.run("download")
        assert ("bytes=1000-", '"1"') == files.asked[-1]
    assert box.outputs("raw") == undisturbed
    box.given |= {netrc, box.folder / "params.yaml"}  # which has the address as it was given
    assert box.leaks() == []


def test_the_data_collective(tmp_path, packed, undisturbed):
    platform = Platform(packed)
    with serving(platform) as url:
        box = Box(tmp_path / "box", MDC_API_URL=url)
        box.set({"download.source": "mdc", "download.mdc.dataset": "dv26"})
        platform.refusals["session"] = [refuses(403)]
        box.fails("download", "Accept the dataset's terms", "Authorization: Bearer ***")
        platform.refusals["session"] = [refuses(401)]
        box.fails("download", "does not accept the key in MDC_API_KEY")
        platform.files.faults.extend([platform.files.breaks(1000), *[refuses(403)] * 6])
        box.fails("download", "broke off", "Run again to go on")
        box.fails("download", "no connection", "without a network", MDC_API_URL="http://127.0.0.1:9")
        box.run("download")
    assert box.outputs("raw") == undisturbed
    assert box.leaks() == []


def test_a_dataset_on_the_hub(tmp_path):
    rows = [(tone(hz=200 + number), f"{number}.flac", "x", number) for number in range(8)]
    write(tmp_path / "made", "train", rows[:6])
    write(tmp_path / "made", "test", rows[6:])
    files = {
        str(path.relative_to(tmp_path / "made")): path.read_bytes() for path in tmp_path.rglob("*.parquet")
    }
    files["README.md"] = b"---\nlicense: cc0-1.0\n---\n"
    changes = {
        "download.source": "hub", "download.hub.dataset": "owner/name",
        "download.hub.splits.validation": None,
        "download.hub.columns": {"audio": "clip", "sentence": "text", "speaker": "who"},
    }  # fmt: skip
    hub = Hub(files, token=f"hf_{SECRET}")
    with serving(hub) as url:
        calm = Box(tmp_path / "calm", HF_ENDPOINT=url)
        calm.set(changes)
        calm.run("download")
        box = Box(tmp_path / "box", HF_ENDPOINT=url)
        box.set(changes)
        hub.token = "another"
        box.fails("download", "gated", "accept its terms", "HF_TOKEN")
        hub.token = f"hf_{SECRET}"
        hub.faults.extend([hub.breaks(10**6), hub.breaks(1000), *[hub.breaks(0)] * 6])
        box.fails("download", "the transfer broke off", "run again")
        box.fails("download", "cannot be reached", "make sample", HF_ENDPOINT="http://127.0.0.1:9")
        box.run("download")
    assert box.outputs("raw") == calm.outputs("raw")
    assert box.leaks() == []


def test_a_checkpoint_on_the_hub(tmp_path):
    files = {path.name: path.read_bytes() for path in (REPOSITORY / "sample/base").iterdir()}
    hub = Hub(files, token=f"hf_{SECRET}")
    calm = Box(tmp_path / "calm")
    calm.run("pretrained")  # from the folder
    with serving(hub) as url:
        box = Box(tmp_path / "box", HF_ENDPOINT=url)
        box.set({"pretrained.name": "owner/name"})
        hub.token = "another"
        box.fails("pretrained", "gated: accept its terms", "HF_TOKEN")
        hub.token = f"hf_{SECRET}"
        hub.faults.extend([hub.breaks(1000)] * 100)
        box.fails("pretrained", "broke off", "run again")
        box.fails("pretrained", "cannot be loaded", "make sample", HF_ENDPOINT="http://127.0.0.1:9")
        hub.faults.clear()
        box.run("pretrained")
    assert box.outputs("pretrained") == calm.outputs("pretrained")
    assert box.leaks() == []


def test_an_address_with_a_secret_stops_every_stage_before_anything_is_done(tmp_path):
    box = Box(tmp_path / "box")
    box.set(ARCHIVE | {"download.archive": f"https://me:{SECRET}@127.0.0.1:9/cv.tar.gz"})
    box.given.add(box.folder / "params.yaml")
    box.fails("download", "download.archive: the address has a login in it", "netrc")
    assert box.leaks() == []
