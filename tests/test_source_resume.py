import email.utils
import json
import os
import random
import threading
import time

import pytest

from asr.sources import archive, resume
from tests.corpora import release, write_archive
from tests.servers import Files, reply, says, serving

DATA = random.Random(0).randbytes(20_000)
SECRET = "s3cret-of-a-url"


@pytest.fixture(autouse=True)
def impatient(tmp_path, monkeypatch):
    """Small pieces, short waits, no login of whoever runs this."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(resume, "CHUNK_BYTES", 500)
    monkeypatch.setattr(resume, "WAITS_S", (0, 0))
    monkeypatch.setattr(resume, "TIMEOUT_S", (60, 60))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def files():
    files = Files(DATA)
    with serving(files) as files.url:
        yield files


def fetch(files, tmp_path, query=""):
    path = tmp_path / "corpora" / "cv.tar.gz"
    resume.fetch(f"{files.url}/v1/cv.tar.gz{query}", path)
    left = sorted(file.name for file in path.parent.iterdir())
    assert left == ["cv.tar.gz"]
    return path.read_bytes()


def part(tmp_path):
    return tmp_path / "corpora" / "cv.tar.gz.part"


@pytest.mark.parametrize("times", [0, 1, 2, 10])
def test_a_transfer_that_breaks_off_goes_on_from_there(files, tmp_path, times):
    files.faults.extend(files.breaks(1000) for _ in range(times))
    assert fetch(files, tmp_path) == DATA
    assert files.asked == [(None, None), *((f"bytes={1000 * n}-", '"1"') for n in range(1, times + 1))]


def test_a_later_run_goes_on_too(files, tmp_path):
    files.faults.extend([files.breaks(1500), *[files.breaks(0)] * 3])
    with pytest.raises(ConnectionError, match=r"broke off \(\w+\)\. 1500 bytes are in .*part: run again"):
        fetch(files, tmp_path)
    assert not (tmp_path / "corpora" / "cv.tar.gz").exists()
    assert fetch(files, tmp_path) == DATA
    assert files.asked[-1] == ("bytes=1500-", '"1"')


def test_tries_that_bring_nothing_new_are_counted(files, tmp_path):
    files.ranges = False
    files.faults.extend([files.breaks(1000)] * 100)
    with pytest.raises(ConnectionError, match="run again"):
        fetch(files, tmp_path)
    assert len(files.asked) == 1 + len(resume.WAITS_S)


def test_a_server_without_ranges_sends_the_whole(files, tmp_path):
    files.ranges = False
    files.faults.extend([files.breaks(1000), files.breaks(3000)])
    assert fetch(files, tmp_path) == DATA
    assert [wanted for wanted, _ in files.asked] == [None, "bytes=1000-", "bytes=3000-"]


@pytest.mark.parametrize("headers", [{"Server": "x"}, {"ETag": 'W/"1"'}])
def test_without_a_name_for_the_file_s_version_the_whole_is_asked_for(files, tmp_path, headers):
    files.headers = headers
    files.faults.append(files.breaks(1000))
    assert fetch(files, tmp_path) == DATA
    assert files.asked == [(None, None)] * 2


def test_the_date_of_change_will_do(files, tmp_path):
    files.headers = {"ETag": 'W/"1"', "Last-Modified": "Sun, 22 Nov 2026 08:00:00 GMT"}
    files.faults.append(files.breaks(1000))
    assert fetch(files, tmp_path) == DATA
    assert files.asked[1] == ("bytes=1000-", "Sun, 22 Nov 2026 08:00:00 GMT")


@pytest.mark.parametrize("longer", [0, 100, -15_000])
@pytest.mark.parametrize("obeys", [True, False])
@pytest.mark.parametrize("validator", ["ETag", "Last-Modified"])
def test_two_files_are_never_spliced(files, tmp_path, longer, obeys, validator):
    """Also where the server forgets to look at If-Range and sends a part of the new file."""
    new = random.Random(1).randbytes(len(DATA) + longer)
    files.headers = {validator: '"1"'}

    def changed(handler, start):
        files.data, files.headers = new, {validator: '"2"'}
        files.send(handler, 0 if obeys else start)

    files.faults.extend([files.breaks(10_000), changed])
    assert fetch(files, tmp_path) == new


def test_another_length_gives_a_change_away(files, tmp_path):
    """Of a server that changes the file and not its ETag, and sends parts regardless."""
    files.faults.append(files.breaks(1000))

    def longer(handler, start):
        files.data = random.Random(1).randbytes(21_000)
        files.send(handler, start)

    files.faults.append(longer)
    assert fetch(files, tmp_path) == files.data


def test_a_part_of_another_address_or_of_nothing_known_is_not_gone_on_with(files, tmp_path):
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(b"x" * 1000)
    elsewhere = {"url": "https://example.org/cv.tar.gz", "validator": '"1"', "length": len(DATA)}
    for known in ("", "[]", json.dumps(elsewhere)):
        part(tmp_path).write_bytes(b"x" * 1000)
        part(tmp_path).with_name("cv.tar.gz.part.json").write_text(known)
        assert fetch(files, tmp_path) == DATA
    assert files.asked == [(None, None)] * 3


@pytest.mark.parametrize("length", [len(DATA), None])
def test_a_part_that_is_whole_is_taken(files, tmp_path, length):
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(DATA)
    known = {"url": f"{files.url}/v1/cv.tar.gz", "validator": '"1"', "length": length}
    part(tmp_path).with_name("cv.tar.gz.part.json").write_text(json.dumps(known))
    assert fetch(files, tmp_path) == DATA
    assert len(files.asked) == (length is None)


def test_a_part_that_is_too_long_is_fetched_anew(files, tmp_path):
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(DATA + b"more")
    known = {"url": f"{files.url}/v1/cv.tar.gz", "validator": '"1"', "length": len(DATA)}
    part(tmp_path).with_name("cv.tar.gz.part.json").write_text(json.dumps(known))
    assert fetch(files, tmp_path) == DATA


def test_a_range_that_was_not_asked_for_is_not_taken(files, tmp_path):
    files.faults.extend([files.breaks(1000), lambda handler, start: files.send(handler, start + 500)])
    assert fetch(files, tmp_path) == DATA


def test_less_than_was_asked_for_is_no_end(files, tmp_path):
    def short(handler, start):
        there = f"bytes {start}-{start + 499}/{len(DATA)}"
        reply(handler, 206, DATA[start : start + 500], ETag='"1"', Content_Range=there)

    files.faults.extend([files.breaks(1000), short, short])
    assert fetch(files, tmp_path) == DATA
    assert [wanted for wanted, _ in files.asked][2:] == ["bytes=1500-", "bytes=2000-"]


def test_bytes_are_those_that_are_sent_whatever_their_encoding_is_called(files, tmp_path):
    files.headers = {"ETag": '"1"', "Content-Encoding": "gzip"}  # as some servers say of every .gz
    assert fetch(files, tmp_path) == DATA


@pytest.mark.parametrize(
    "status, error, message",
    [
        (400, FileNotFoundError, "says 400 Bad Request: check download.archive"),
        (401, PermissionError, "says 401 Unauthorized: .*netrc"),
        (403, PermissionError, "says 403 Forbidden: the address has expired, or asks for a login"),
        (404, FileNotFoundError, "says 404 Not Found: check download.archive"),
        (410, FileNotFoundError, "says 410 Gone: check"),
    ],
)
def test_a_refusal_is_not_asked_twice(files, tmp_path, status, error, message):
    files.faults.append(says(status, SECRET.encode(), reason=SECRET, X_Error=SECRET))
    with pytest.raises(error, match=message) as raised:
        fetch(files, tmp_path, f"?id={SECRET}")
    assert SECRET not in str(raised.value)
    assert len(files.asked) == 1
    assert not (tmp_path / "corpora" / "cv.tar.gz").exists()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(files, tmp_path, status):
    files.faults.extend([says(status, Retry_After="0"), says(status)])
    assert fetch(files, tmp_path) == DATA
    files.faults.extend([says(status)] * 3)
    with pytest.raises(ConnectionError, match=f"the server says {status}.* run again"):
        fetch(files, tmp_path)


@pytest.mark.parametrize("as_date", [False, True])
def test_a_server_s_wish_to_wait_is_granted(files, tmp_path, monkeypatch, as_date):
    slept = []
    monkeypatch.setattr(resume.time, "sleep", slept.append)
    after = email.utils.formatdate(time.time() + 120, usegmt=True) if as_date else "120"
    files.faults.append(says(429, Retry_After=after))
    assert fetch(files, tmp_path) == DATA
    assert slept[0] == pytest.approx(120, abs=30)
    files.faults.append(says(429, Retry_After="7200"))
    with pytest.raises(TimeoutError, match="429 Too Many Requests, come back in 120 minutes: run again then"):
        fetch(files, tmp_path)
    files.faults.append(says(429, Retry_After="soon"))
    assert fetch(files, tmp_path) == DATA


def test_a_redirect_is_followed(files, tmp_path):
    files.faults.append(says(302, Location="/elsewhere?signature=x"))
    assert fetch(files, tmp_path) == DATA


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/cv.tar.gz", "data:,x", "/"])
def test_a_redirect_to_what_is_no_web_address_is_refused(files, tmp_path, location):
    files.faults.extend([says(302, Location=location)] * 50)  # the last one leads in circles
    with pytest.raises(ValueError, match=r"leads to a place that is no http or https address"):
        fetch(files, tmp_path)
    assert list((tmp_path / "corpora").iterdir()) == []


def test_a_redirect_from_https_to_http_is_refused(files, tmp_path, monkeypatch):
    real = resume.requests.get

    def https(url, **settings):
        response = real(url, **settings)
        response.history[0].url = response.history[0].url.replace("http:", "https:")
        return response

    monkeypatch.setattr(resume.requests, "get", https)
    files.faults.append(says(302, Location="/elsewhere"))
    with pytest.raises(PermissionError, match="sends on from https to http"):
        fetch(files, tmp_path)


def test_a_page_is_no_archive(files, tmp_path):
    files.headers = {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(ValueError, match="is a page, not a file"):
        fetch(files, tmp_path)
    assert list((tmp_path / "corpora").iterdir()) == []


def test_a_server_that_falls_silent_is_not_waited_for(files, tmp_path, monkeypatch):
    monkeypatch.setattr(resume, "TIMEOUT_S", (5, 1))
    over = threading.Event()

    def silent(handler, start):
        files.send(handler, start, start + 1000)
        handler.wfile.flush()
        over.wait(60)

    def mute(handler, start):
        over.wait(60)

    files.faults.extend([silent, mute])
    assert fetch(files, tmp_path) == DATA
    files.faults.extend([mute] * 3)
    with pytest.raises(ConnectionError, match="nothing came for 1 s"):
        fetch(files, tmp_path)
    over.set()


def test_what_keeps_from_connecting_is_named(tmp_path, monkeypatch):
    path = tmp_path / "corpora" / "cv.tar.gz"
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConnectionError, match="no connection. 0 bytes are in .*make sample"):
        resume.fetch("http://127.0.0.1:9/cv.tar.gz", path)
    with pytest.raises(ConnectionError, match=r"name is not known \(DNS\)"):
        resume.fetch("http://nowhere.invalid/cv.tar.gz", path)
    with serving(lambda handler: reply(handler, 403)) as proxy:
        monkeypatch.setenv("https_proxy", proxy)
        with pytest.raises(ConnectionError, match="the proxy refuses"):
            resume.fetch("https://nowhere.invalid/cv.tar.gz", path)


def test_no_address_in_a_message_or_a_log_has_its_query(files, tmp_path, caplog):
    caplog.set_level("DEBUG", "asr")
    files.url = files.url.replace("//", f"//me:{SECRET}@")
    files.faults.extend([files.breaks(1000), says(503, SECRET.encode(), reason=SECRET)])
    assert fetch(files, tmp_path, f"?id={SECRET}#{SECRET}") == DATA
    assert SECRET not in caplog.text and "another try" in caplog.text


def test_an_archive_by_url_is_downloaded_once(tmp_path):
    data = write_archive(tmp_path / "made.tar.gz", release()).read_bytes()
    files = Files(data)
    with serving(files) as url:
        for _ in range(2):
            assert len(list(archive.clips(f"{url}/v1/cv%201.tar.gz", None, "dv", False))) == 5
    assert len(files.asked) == 1
    assert os.listdir(tmp_path / "corpora") == ["cv 1.tar.gz"]
