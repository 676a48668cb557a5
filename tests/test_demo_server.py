"""The demo's server: it gives the texts of `asr transcribe`, and refuses other sites."""

import http.client
import json
import socket
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from werkzeug.test import Client

from asr.audio.decode import decode, resample
from asr.audio.log_mel import SAMPLE_RATE
from asr.commands.demo import server as demo_server
from asr.commands.demo.cli import open_port
from asr.commands.demo.server import Demo, serve
from asr.commands.transcribe.pieces import Piece
from asr.commands.transcribe.subtitles import Segment, plain
from asr.commands.transcribe.transcriber import Transcriber, transcripts
from asr.sources import sample
from tests.recipes import REPOSITORY, checked_corpus
from tests.test_audio import encoded, speechlike

FEW = {"train_clips": 1, "train_voices": 1, "test_clips": 5, "test_voices": 5, "bad_clips": 0, "seed": 3}
BATCH_SIZE = 2


@pytest.fixture(scope="session")
def transcribers():
    """The sample's base model twice; told to write another language, it does not write the same."""
    base = REPOSITORY / "sample/base"
    languages = {"pretrained": "sinhalese", "finetuned": "tamil"}
    return {name: Transcriber(base, language, BATCH_SIZE, 1) for name, language in languages.items()}


@pytest.fixture(scope="session")
def speech():
    """Five spoken clips, mp3."""
    return [clip.audio for clip in sample.clips(checked_corpus("sample", **FEW)) if clip.split == "test"]


@pytest.fixture(scope="session")
def long_speech(speech):
    """The five clips one after the other, twice, with pauses between, as WAV."""
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    parts = [resample(*decode(clip)) for clip in speech]
    samples = np.concatenate([part for clip in [*parts, *parts] for part in (clip, pause)])
    return encoded(samples, SAMPLE_RATE, format="WAV")


@pytest.fixture
def client(transcribers):
    return Client(Demo(transcribers, "dv"))


def transcribed(client, recording):
    """Send a recording; returns the states that come back."""
    response = client.post("/transcribe", data=recording)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def as_asr_transcribe_does(transcriber, recording, tmp_path):
    """Return the text that `asr transcribe` gives."""
    (tmp_path / "recording").write_bytes(recording)
    ((name, segments),) = transcripts(transcriber, [tmp_path / "recording"])
    return plain(name, segments).strip()


def test_a_clip_gets_the_texts_that_asr_transcribe_gives(client, transcribers, speech, tmp_path):
    states = transcribed(client, speech[0])
    expected = {name: as_asr_transcribe_does(t, speech[0], tmp_path) for name, t in transcribers.items()}
    assert {state["model"]: state["text"] for state in states} == expected
    assert all(expected.values()) and expected["pretrained"] != expected["finetuned"]
    assert all(state["heard_s"] == state["of_s"] and state["took_s"] > 0 for state in states)


def test_of_a_long_recording_both_models_report_in_turns(client, transcribers, long_speech, tmp_path):
    states = transcribed(client, long_speech)
    assert [state["model"] for state in states[:4]] == ["pretrained", "finetuned"] * 2
    for name, transcriber in transcribers.items():
        mine = [state for state in states if state["model"] == name]
        assert len(mine) >= 3
        assert mine[-1]["heard_s"] == mine[-1]["of_s"] > mine[-2]["heard_s"] > mine[0]["heard_s"] > 0
        assert mine[-1]["text"].startswith(mine[0]["text"]) and len(mine[-1]["text"]) > len(mine[0]["text"])
        assert mine[-1]["text"] == as_asr_transcribe_does(transcriber, long_speech, tmp_path)


def test_what_is_no_audio_is_refused(client):
    response = client.post("/transcribe", data=b"a text file")
    assert response.status_code == 415
    assert "This recording cannot be read: not decodable" in response.text


def test_of_a_recording_that_is_cut_off_the_rest_is_heard_and_it_is_said(client):
    whole = encoded(speechlike(2 * 16_000), 16_000, format="WAV")
    assert [state["warning"] for state in transcribed(client, whole)] == ["", ""]
    states = transcribed(client, whole[: len(whole) // 2])
    assert [state["warning"] for state in states] == ["cut off: 1.0 s are there of 2.0 s"] * 2


def test_silence_is_no_text(client):
    silence = encoded(np.zeros(16_000, np.float32), 16_000, format="WAV")
    assert [state["text"] for state in transcribed(client, silence)] == ["", ""]


def test_a_recording_that_is_too_large_is_refused(client, monkeypatch):
    monkeypatch.setattr(demo_server.LocalRequest, "max_content_length", 10)
    assert client.post("/transcribe", data=b"x" * 11).status_code == 413
    assert client.post("/transcribe", data=b"x" * 10).status_code == 415


def test_a_recording_that_is_too_long_is_refused(client, monkeypatch):
    monkeypatch.setattr(demo_server, "MAX_MINUTES", 2)
    silence = {s: encoded(np.zeros(s * 16_000, np.float32), 16_000, format="FLAC") for s in (120, 121)}
    assert client.post("/transcribe", data=silence[120]).status_code == 200
    refused = client.post("/transcribe", data=silence[121])
    assert refused.status_code == 413 and "more than 2 minutes is too long for this page" in refused.text


def test_compare_marks_texts(client):
    texts = {"pretrained": "a <b>", "finetuned": "a c"}
    found = client.post("/compare", data=json.dumps({**texts, "reference": ""})).json
    assert found["summary"] == "1 word differs."
    assert found["texts"]["pretrained"].count('<mark class="substitute">&lt;b&gt;</mark>') == 1


@pytest.mark.parametrize("question", ["no JSON", "{}", '{"pretrained": 1, "finetuned": "", "reference": ""}'])
def test_compare_refuses_other_questions(client, question):
    assert client.post("/compare", data=question).status_code == 400


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:7860", 200),
        ("localhost:9000", 200),  # through an SSH tunnel from another port
        ("localhost", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example:7860", 400),
        ("192.168.0.7:7860", 400),
    ],
)
def test_it_answers_to_its_own_names_only(client, host, status):
    for method, path in (("GET", "/"), ("GET", "/demo.js"), ("POST", "/compare")):
        data = '{"pretrained": "", "finetuned": "", "reference": ""}'
        response = client.open(path, method=method, headers={"Host": host}, data=data)
        assert response.status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:7860", 415),
        ("http://127.0.0.1:8000", 403),
        ("https://127.0.0.1:7860", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
def test_other_sites_cannot_make_it_work(client, origin, status):
    headers = {"Host": "127.0.0.1:7860", "Origin": origin}
    assert client.post("/transcribe", data=b"no audio", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/transcribe"), ("POST", "/"), ("GET", "/params.yaml"), ("GET", "/demo.html.j2"),
        ("GET", "/../demo.py"), ("GET", "//etc/passwd"), ("GET", "/demo.js/../../demo.py"),
    ],
)  # fmt: skip
def test_nothing_else_is_served(client, method, path):
    assert client.open(path, method=method).status_code == 404


@pytest.mark.parametrize("path", ["/", *demo_server.FILES, "/nothing"])
def test_every_answer_keeps_the_browser_to_this_server(client, path):
    policy = client.get(path).headers["Content-Security-Policy"]
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert parts.pop("default-src") == "'none'" and parts.pop("frame-ancestors") == "'none'"
    assert {source for part in parts.values() for source in part.split()} == {
        "'self'", "'none'", "blob:", "data:",
    }  # fmt: skip
    assert parts["script-src"] == parts["connect-src"] == "'self'"


def test_nothing_is_heard_for_a_client_that_has_gone(transcribers, long_speech):
    ours, theirs = socket.socketpair()
    demo = Demo(transcribers, "")
    states = demo.transcribe(long_speech, ours)
    assert [next(states)["model"] for _ in range(2)] == ["pretrained", "finetuned"]
    theirs.close()
    with pytest.raises(ConnectionAbortedError):
        next(states)
    with pytest.raises(ConnectionAbortedError):
        demo.transcribe(long_speech, ours)


class Slow:
    """In place of a Transcriber: every recording has `count` pieces."""

    options = SimpleNamespace(batch_size=1)

    def __init__(self, count):
        self.count, self.heard = count, 0

    def cut(self, recording, warn):
        return [Piece(n * SAMPLE_RATE, (n + 1) * SAMPLE_RATE, [(0, 0)], None) for n in range(self.count)]

    def hear(self, pieces):
        self.heard += 1
        time.sleep(0.01)
        return [[Segment(0, 0, "x" * 1000)] for _ in pieces]


def test_a_model_of_a_shorter_window_is_heard_to_its_end():
    states = transcribed(Client(Demo({"pretrained": Slow(1), "finetuned": Slow(3)}, "")), b"recording")
    assert [state["model"] for state in states] == ["pretrained", "finetuned", "finetuned", "finetuned"]
    assert states[-1]["heard_s"] == states[-1]["of_s"] == 3


def test_it_listens_to_this_machine_alone_and_stops_when_nobody_waits():
    models = {"pretrained": Slow(1000), "finetuned": Slow(1000)}
    server = serve(Demo(models, ""), open_port(0))
    assert server.server_address[0] == "127.0.0.1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
        connection.request("POST", "/transcribe", body=b"recording")
        first = json.loads(connection.getresponse().readline())
        assert first["model"] == "pretrained" and first["of_s"] == 1000
        connection.close()
        deadline = time.monotonic() + 600
        before = -1
        while before != models["finetuned"].heard and time.monotonic() < deadline:
            before = models["finetuned"].heard
            time.sleep(0.5)
        assert before == models["finetuned"].heard < 500
    finally:
        server.shutdown()
        server.server_close()
