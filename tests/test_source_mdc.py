import errno
import hashlib
import random
from pathlib import Path

import datacollective
import pytest
from datacollective.errors import DownloadError

from asr.sources import mdc
from tests.corpora import release, write_archive
from tests.recipes import checked_corpus
from tests.servers import Files, reply, says, serving

KEY = "key-for-tests-7d1f"
CHUNK_BYTES = 2**16  # the client's
FIVE = [f"{name}.mp3" for name in "abcde"]


class Platform:
    """Mozilla Data Collective's three calls: a dataset's details, a download session, the file.

    `refusals` has, for "details" and "session", statuses to answer with before it answers well. A link is
    good for as many requests as `link_lasts`.
    """

    def __init__(self, data: bytes) -> None:
        self.files = Files(data)
        self.details = {
            "id": "dv26",
            "filename": "cv-26.tar.gz",
            "checksum": hashlib.sha256(data).hexdigest(),
        }
        self.session = {"sizeBytes": len(data), "checksum": self.details["checksum"]}
        self.refusals, self.link_lasts, self.sessions, self.asked = {"details": [], "session": []}, 1, 0, []

    def __call__(self, handler) -> None:
        self.asked.append((handler.command, handler.path, handler.headers.get("Authorization")))
        if handler.path.startswith("/file"):
            good = handler.path.endswith(f"signature=s1gned-{self.sessions}") and self.link_lasts
            return self.files(handler) if good else reply(handler, 403, b"<Error>Request has expired</Error>")
        call = "session" if handler.path.endswith("/download") else "details"
        if self.refusals[call]:
            return self.refusals[call].pop(0)(handler, 0)
        if call == "details":
            return reply(handler, 200, self.details)
        self.sessions += 1
        url = f"http://{handler.headers['Host']}/file?signature=s1gned-{self.sessions}"
        return reply(handler, 200, {"downloadUrl": url} | self.session)


@pytest.fixture
def platform(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mdc, "WAITS_S", (0, 0))
    padding = ("cv-corpus-1.0/README", random.Random(0).randbytes(400_000))
    platform = Platform(write_archive(tmp_path / "made.tar.gz", [*release(), padding]).read_bytes())
    with serving(platform) as url:
        monkeypatch.setenv("MDC_API_URL", url)
        monkeypatch.setenv("MDC_API_KEY", KEY)
        yield platform


def read(validated=False):
    return [clip.id for clip in mdc.clips(checked_corpus("mdc", dataset="dv26", add_validated=validated))]


def refuse(platform, call, status, times=1, **headers):
    """Refuse with a body that repeats the key, as servers have been seen to do."""
    platform.refusals[call] = [says(status, {"message": f"says {status} to {KEY}"}, **headers)] * times


def in_corpora():
    return sorted(path.name for path in Path("corpora").iterdir())


def test_a_release_is_downloaded_once_and_never_unpacked(platform):
    assert read() == read() == FIVE
    assert Path("corpora/cv-26.tar.gz").read_bytes() == platform.files.data
    assert [asked for asked in platform.asked if asked[2]] == [
        ("POST", "/datasets/dv26/download", f"Bearer {KEY}")
    ]
    assert len(platform.files.asked) == 1
    assert in_corpora() == ["cv-26.tar.gz"]


def test_validated_clips_come_too_if_asked_for(platform):
    splits = {
        clip.id: clip.split for clip in mdc.clips(checked_corpus("mdc", dataset="dv26", add_validated=True))
    }
    assert len(splits) == 6 and splits["f.mp3"] == "validated" and splits["a.mp3"] == "train"


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_transfer_that_breaks_off_goes_on_from_there_with_another_link(platform, times):
    platform.files.faults.extend([platform.files.breaks(CHUNK_BYTES + 1000)] * times)
    assert read() == FIVE
    assert platform.files.asked == [None, *(f"bytes={n * CHUNK_BYTES}-" for n in range(1, times + 1))]
    assert platform.sessions == times + 1


@pytest.fixture
def part(platform):
    """What a first run has left whose transfer broke off for good."""
    platform.files.faults.extend([platform.files.breaks(CHUNK_BYTES), *[platform.files.breaks(0)] * 3])
    with pytest.raises(ConnectionError, match="broke off after 64.0 KB of .*Run again to go on"):
        read()
    assert in_corpora() == ["cv-26.tar.gz.checksum", "cv-26.tar.gz.part"]


def test_a_later_run_goes_on_too(platform, part):
    assert read() == FIVE
    assert platform.files.asked[-1] == f"bytes={CHUNK_BYTES}-"


def test_an_expired_link_is_not_asked_for_ever(platform):
    platform.link_lasts = 0
    with pytest.raises(ConnectionError, match="broke off after 0.0 B.*Run again"):
        read()
    assert platform.sessions == 3
    platform.link_lasts = 1
    assert read() == FIVE


def test_a_release_that_has_changed_is_fetched_anew(platform, part, tmp_path):
    data = write_archive(tmp_path / "new.tar.gz", release()).read_bytes()
    platform.files.data = data
    platform.session = {"sizeBytes": len(data), "checksum": hashlib.sha256(data).hexdigest()}
    platform.details |= platform.session
    assert read() == FIVE
    assert Path("corpora/cv-26.tar.gz").read_bytes() == data


def test_a_part_that_was_whole_when_the_run_was_killed_is_no_dead_end(platform):
    Path("corpora").mkdir()
    Path("corpora/cv-26.tar.gz.part").write_bytes(platform.files.data)
    Path("corpora/cv-26.tar.gz.checksum").write_text(platform.session["checksum"])
    assert read() == FIVE


@pytest.mark.parametrize("spoil", ["checksum", "size", "whole sent for a part"])
def test_what_is_not_as_the_platform_has_it_is_not_taken(platform, spoil):
    good = dict(platform.details)
    if spoil == "checksum":
        platform.details["checksum"] = "0" * 64
    elif spoil == "size":
        platform.details |= {"checksum": None, "sizeBytes": 1_000_000}
    else:
        platform.files.ranges = False
        platform.files.faults.append(platform.files.breaks(CHUNK_BYTES))
    with pytest.raises(ValueError, match="not as the platform has it .*cv-26.tar.gz.damaged; run again"):
        read()
    assert in_corpora() == ["cv-26.tar.gz.damaged"]
    platform.details = good
    assert read() == FIVE


def test_a_file_that_was_there_before_is_left_where_it_is(platform):
    Path("corpora").mkdir()
    Path("corpora/cv-26.tar.gz").write_bytes(b"one's own")
    with pytest.raises(ValueError, match="not what the platform has under.*source: archive"):
        read()
    assert Path("corpora/cv-26.tar.gz").read_bytes() == b"one's own"


def test_a_platform_that_gives_no_checksum_is_warned_of(platform, caplog):
    platform.details["checksum"] = platform.session["checksum"] = None
    assert read() == FIVE
    assert "gives no sha256 of it" in caplog.text


@pytest.mark.parametrize("name", ["../cv.tar.gz", "/tmp/cv.tar.gz", "a/b.tar.gz", ".env", "", None])
def test_a_name_that_leads_elsewhere_is_refused(platform, name):
    platform.details["filename"] = name
    with pytest.raises(ValueError, match="names no archive that could be stored"):
        read()
    assert not platform.sessions


@pytest.mark.parametrize(
    "call, status, error, message",
    [
        ("details", 404, FileNotFoundError, "no such dataset, or removed.*dataset"),
        ("details", 410, FileNotFoundError, "no such dataset, or removed"),
        ("session", 401, PermissionError, "does not accept the key in MDC_API_KEY"),
        ("session", 403, PermissionError, r"(?s)Accept the dataset's terms on that page.*says 403 to \*\*\*"),
        ("session", 402, PermissionError, r"(?s)access denied.*402.*says 402 to \*\*\*"),
    ],
)
def test_refusals_say_what_to_do_and_are_not_asked_twice(platform, call, status, error, message, capfd):
    refuse(platform, call, status)
    with pytest.raises(error, match=message) as raised:
        read()
    assert KEY not in str(raised.value) + "".join(capfd.readouterr())
    assert not platform.refusals[call]


@pytest.mark.parametrize("call", ["details", "session"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_platform_in_trouble_is_asked_again(platform, call, status):
    refuse(platform, call, status, times=2, Retry_After="0")
    assert read() == FIVE
    refuse(platform, call, status, times=3, Retry_After="3600")
    Path("corpora/cv-26.tar.gz").unlink()
    with pytest.raises(ConnectionError, match=rf"says {status} \(Retry-After: 3600\). Run again.*`make"):
        read()


@pytest.mark.parametrize(
    "answer", [b"<html>log in</html>", {"downloadUrl": "s1gned"}, {"sizeBytes": 5, "downloadUrl": ""}]
)
@pytest.mark.parametrize("call", ["details", "session"])
def test_an_answer_that_makes_no_sense(platform, call, answer):
    platform.refusals[call] = [says(200, answer)]
    with pytest.raises(ValueError, match="not one that its client can read.*login page") as error:
        read()
    assert "s1gned" not in str(error.value)
    assert not Path("corpora").exists() or in_corpora() == []


def test_no_network(platform, monkeypatch):
    monkeypatch.setenv("MDC_API_URL", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"no connection \(ConnectionError\)\. Run again.*make sample"):
        read()


@pytest.mark.parametrize("cause", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_ctrl_c_and_a_full_disk_are_no_broken_transfer(platform, monkeypatch, cause):
    """The client makes one error of all; tried again, the one would not end and the other not help."""

    def broken_off(*args, **settings):
        raise DownloadError(0, 0, 10, None) from cause

    monkeypatch.setattr(datacollective, "download_dataset", broken_off)
    with pytest.raises(type(cause)) as raised:
        read()
    assert raised.value is cause


def test_without_a_key_nothing_is_asked(platform, monkeypatch):
    monkeypatch.delenv("MDC_API_KEY")
    Path(".env").write_text(f"MDC_API_KEY={KEY}\n")
    with pytest.raises(PermissionError, match="(?s)no MDC_API_KEY.*accept the terms.*make sample"):
        read()
    assert platform.asked == []


@pytest.mark.parametrize("key", [KEY + "\n", "my key", "…", " "])
def test_what_is_no_key_is_not_sent(platform, monkeypatch, key):
    monkeypatch.setenv("MDC_API_KEY", key)
    with pytest.raises(PermissionError, match="letters that no key has: copy it anew") as error:
        read()
    assert platform.asked == [] and KEY not in str(error.value)
