"""The demo in headless Chromium, Qt WebEngine's, with a microphone that plays a clip: `make test-browser`."""

import base64
import io
import json
import re
import subprocess
import sys
import threading
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from asr.audio.decode import decode, resample
from asr.commands.demo import texts as demo_texts
from asr.commands.demo.cli import open_port
from asr.commands.demo.server import Demo, serve
from asr.commands.transcribe.subtitles import plain
from tests.test_audio import encoded
from tests.test_demo_server import speech, transcribers  # noqa: F401, fixtures

pytestmark = pytest.mark.browser

BROWSER = Path(__file__).parent / "browser.py"
HELPERS = """
const id = (name) => document.getElementById(name);
const pause = (ms) => new Promise((next) => setTimeout(next, ms));
const until = async (is) => { while (!is()) await pause(50); };
const text = (model) => id(model).querySelector(".text p").textContent.trim().replace(/\\s+/g, " ");
const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
const choose = (name, content) => {
  const files = new DataTransfer();
  files.items.add(new File([content], name));
  id("file").files = files.files;
  id("file").dispatchEvent(new Event("change"));
};
const done = () => until(() => id("cancel").hidden && (id("status").textContent || id("error").textContent));
"""
PROBLEM = 'await done(); window.result = id("error").textContent;'


@pytest.fixture(scope="module")
def demo(transcribers):  # noqa: F811
    demo = Demo(transcribers, "dv")
    demo.received = []  # every recording that came to the server
    transcribe = demo.transcribe
    demo.transcribe = lambda recording, client: (
        demo.received.append(recording) or transcribe(recording, client)
    )
    return demo


@pytest.fixture(scope="module")
def address(demo):
    server = serve(demo, open_port(0))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(address, demo):
    """Return a function that runs a script in the page; the script leaves `window.result`."""
    demo.received.clear()

    def run(script: str, width: int = 1280, *microphone: Path):
        whole = f"(async () => {{{HELPERS}{script}}})().catch((problem) => window.result = `${{problem}}`)"
        command = [sys.executable, BROWSER, address, whole, str(width), *microphone]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
        found = json.loads(done.stdout)
        assert found["console"] == []
        assert set(found["hosts"]) <= {"", "127.0.0.1"}  # no host: blob: and data:
        return found["result"]

    return run


def heard(transcribers, recording: bytes) -> dict[str, str]:  # noqa: F811
    """Return the text of each model, as `asr transcribe` gives it."""
    return {
        name: plain("", list(chain(*model.hear([*model.cut(io.BytesIO(recording), print)])))).strip()
        for name, model in transcribers.items()
    }


def choose(name: str, content: bytes) -> str:
    return f'choose("{name}", bytes("{base64.b64encode(content).decode()}"));'


def test_what_is_said_into_the_microphone_is_written(run, demo, speech, transcribers, tmp_path):  # noqa: F811
    said, rate = decode(speech[0])
    lead = np.zeros(5 * rate, np.float32)  # the microphone may be open for a while before it is recorded
    (tmp_path / "said.wav").write_bytes(encoded(np.concatenate([lead, said]), rate, format="WAV"))
    found = run(
        f"""
        id("record").click();
        await until(() => id("record").textContent.startsWith("Stop 0:0"));
        const recording = id("status").textContent;
        await pause({1000 * len(said) / rate + 6000});
        id("record").click();
        await until(() => id("status").textContent !== recording);
        await done();
        await until(() => id("player").readyState > 0);
        window.result = {{
          recording, pretrained: text("pretrained"), finetuned: text("finetuned"),
          problem: id("error").textContent, button: id("record").firstElementChild.textContent,
          plays: id("player").checkVisibility(),
        }};
    """,
        1280,
        tmp_path / "said.wav",
    )
    assert (found["recording"], found["button"], found["problem"]) == ("Recording.", "Record", "")
    (recording,) = demo.received
    texts = heard(transcribers, recording)
    assert all(texts.values()) and texts == {name: found[name] for name in transcribers}
    samples = resample(*decode(recording))
    expected = resample(*decode(speech[0]))
    assert len(samples) > len(expected) and found["plays"]
    found_again = np.correlate(samples, expected, mode="valid").max() / np.square(expected).sum()
    assert 0.8 < found_again < 1.2  # what was said, as loud as it was


def test_a_file_is_written_as_asr_transcribe_writes_it(run, demo, speech, transcribers):  # noqa: F811
    found = run(
        choose("clip.mp3", speech[1])
        + """
        await done();
        window.result = {
          pretrained: text("pretrained"), finetuned: text("finetuned"), status: id("status").textContent,
          marked: document.querySelectorAll("mark").length,
          took: [...document.querySelectorAll(".took")].map((took) => took.textContent),
          legend: id("differences").checkVisibility() && !id("errors").checkVisibility(),
        };
    """
    )
    assert demo.received == [speech[1]]
    assert {name: found[name] for name in transcribers} == heard(transcribers, speech[1])
    assert found["marked"] > 0 and found["legend"] is True and "differ" in found["status"]
    assert all(re.fullmatch(r"\d\.\d s heard in \d+\.\d s", took) for took in found["took"])


def test_errors_are_marked_once_it_is_typed_what_was_said(run, speech):  # noqa: F811
    found = run(
        choose("clip.mp3", speech[1])
        + """
        await done();
        id("reference").value = "ދިވެހި ބަސް";
        id("reference").dispatchEvent(new Event("input"));
        await until(() => document.querySelector(".aligned"));
        const aligned = document.querySelector(".aligned");
        const [first, second] = [...aligned.children].map((word) => word.getBoundingClientRect().left);
        window.result = {
          status: id("status").textContent,
          legend: id("errors").checkVisibility() && !id("differences").checkVisibility(),
          directions: [aligned, id("reference")].map((part) => getComputedStyle(part).direction),
          leftwards: first > second,
        };
    """
    )
    assert found["status"].startswith("2 words said; wrong: pretrained") and found["legend"] is True
    assert found["directions"] == ["rtl", "rtl"] and found["leftwards"] is True


def test_right_to_left_text_runs_to_the_left_and_is_no_markup(run, demo, monkeypatch):
    texts = {"pretrained": "މާލެ އަކީ ރަށެއް", "finetuned": "މާލެ އިކީ ރަށެއް <i>މި</i>"}
    times = {"heard_s": 1, "of_s": 1, "took_s": 0.1, "warning": ""}
    states = [{"model": model, "text": text, **times} for model, text in texts.items()]
    monkeypatch.setattr(demo, "transcribe", lambda recording, client: iter(states))
    found = run(
        choose("clip.mp3", b"clip")
        + """
        await done();
        const paragraph = id("finetuned").querySelector("p"), marks = [...paragraph.querySelectorAll("mark")];
        const [first, second] = marks.map((mark) => mark.getBoundingClientRect().left);
        window.result = {
          text: text("finetuned"), marks: marks.map((mark) => [mark.className, mark.textContent]),
          direction: getComputedStyle(paragraph).direction, leftwards: first > second,
          tags: paragraph.querySelectorAll("i").length, lang: paragraph.closest("[lang]").lang,
        };
    """
    )
    assert found == {
        "text": texts["finetuned"], "marks": [["substitute", "އިކީ"], ["insert", "<i>މި</i>"]],
        "direction": "rtl", "leftwards": True, "tags": 0, "lang": "dv",
    }  # fmt: skip


NO_MICROPHONE = 'navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("", "{}"));'


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (NO_MICROPHONE.format("NotAllowedError"), "The microphone is not allowed here"),
        (NO_MICROPHONE.format("NotFoundError"), "No microphone was found"),
        (
            'Object.defineProperty(navigator, "mediaDevices", { value: undefined });',
            "Browsers lend the microphone to http://localhost",
        ),
    ],
    ids=["denied", "none", "another address"],
)
def test_without_a_microphone_it_says_what_to_do(run, before, message):
    found = run(before + 'id("record").click();' + PROBLEM)
    assert found.startswith(message)


def test_after_a_file_that_is_no_audio_the_next_is_heard(run, speech, transcribers):  # noqa: F811
    problem, after, text = run(
        choose("text.txt", b"a text file")
        + 'await done(); const problem = id("error").textContent;'
        + choose("clip.mp3", speech[0])
        + 'await done(); window.result = [problem, id("error").textContent, text("pretrained")];'
    )
    assert problem.startswith("This recording cannot be read")
    assert (after, text) == ("", heard(transcribers, speech[0])["pretrained"])


def test_what_is_too_large_is_not_sent(run, demo, monkeypatch):
    monkeypatch.setattr(demo, "page", demo_texts.page("dv", 2**20))
    problem = run('choose("long.wav", new Uint8Array(2 ** 20 + 1));' + PROBLEM)
    assert problem.startswith("More than 1 MB are too much for this page")
    assert demo.received == []


def test_a_server_that_has_ended_is_noticed(run, speech):  # noqa: F811
    ended = "window.fetch = () => Promise.reject(new TypeError());"
    problem = run(ended + choose("clip.mp3", speech[0]) + PROBLEM)
    assert problem == "The demo does not answer: is it still running in its terminal?"


def test_it_can_be_cancelled(run, demo, speech, monkeypatch):  # noqa: F811
    def slowly(recording, client):
        said = {"text": "<i>word", "warning": "half"}
        for heard_s in range(1, 10):
            yield {"model": "pretrained", "heard_s": heard_s, "of_s": 9, "took_s": 0.1, **said}
            time.sleep(0.5)

    monkeypatch.setattr(demo, "transcribe", slowly)
    found = run(
        choose("clip.wav", speech[0])
        + """
        await until(() => id("pretrained").querySelector(".text").textContent);
        const state = () => [
          id("heard").ariaBusy, document.querySelector("progress").checkVisibility(),
          ...["#status", ".text", ".took"].map((part) => document.querySelector(part).textContent),
        ];
        const before = state();
        id("cancel").click();
        await pause(1500);
        window.result = [before, state(), id("error").textContent];
    """
    )
    took = r"\d\.0 s of 9\.0 s heard in 0\.1 s\. Warning: half"
    assert re.fullmatch(took, found[0].pop())
    listening = ["true", True, "Both models are listening …", "<i>word"]
    assert found == [listening, ["false", False, "Cancelled.", "", ""], ""]


@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_sticks_out_of_the_page(run, speech, width):  # noqa: F811
    script = choose("a-recording-with-a-long-name-of-a-long-day.mp3", speech[1])
    script += "await done(); window.result = document.documentElement.scrollWidth <= window.innerWidth;"
    assert run(script, width) is True


def test_all_that_can_be_used_has_a_name(run):
    nameless = run("""
        const parts = document.querySelectorAll("button, input, textarea, audio, progress, section, article");
        const named = (part) => part.labels?.length || part.ariaLabel || part.getAttribute("aria-labelledby")
          || (part.tagName === "BUTTON" && part.textContent);
        window.result = [...parts].filter((part) => !named(part)).map((part) => part.outerHTML);
    """)
    assert nameless == []
