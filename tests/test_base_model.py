"""Checkpoints from a hub on this machine, and from folders, whole or not."""

import pytest

from asr.params import Model, Pretrained
from stages.pretrained import pretrained
from tests.fake_hub import COMMIT, Hub
from tests.recipes import REPOSITORY
from tests.servers import reply

BASE = REPOSITORY / "sample/base"
FILES = {path.name: path.read_bytes() for path in BASE.iterdir()}


MODEL = Model(language="sinhalese", task="transcribe", audio_window_s=3, extend_tokenizer=0, keep_tags=False)


def load(name="owner/name", revision=None):
    return pretrained(Pretrained(name=name, revision=revision), MODEL)


def saved(loaded, folder):
    for part in loaded:
        part.save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("revision", [None, COMMIT])
def test_a_checkpoint_from_the_hub_is_the_same_as_from_a_folder(online, tmp_path, revision):
    copies = {"pytorch_model.bin": b"x", "model.fp32-00001-of-00002.safetensors": b"x", "tf_model.h5": b"x"}
    hub = online(Hub(FILES | copies))
    assert saved(load(revision=revision), tmp_path / "1") == saved(load(str(BASE)), tmp_path / "2")
    fetched = {path.rsplit("/", 1)[1] for method, path, _ in hub.asked if "/resolve/" in path}
    assert "model.safetensors" in fetched and not fetched & set(copies)


def test_once_fetched_it_takes_no_network(online):
    online(Hub(FILES))
    load(revision=COMMIT)
    online(lambda handler: reply(handler, 500))
    load(revision=COMMIT)


def test_a_transfer_that_breaks_off_is_gone_on_with_by_the_next_run(online, tmp_path):
    hub = online(Hub(FILES))
    hub.faults.extend([hub.breaks(100)] * 200)
    message = r"(?s)transfer broke off \(\w+\).*run again, it goes on.*make sample"
    with pytest.raises(ConnectionError, match=message):
        load()
    online(lambda handler: reply(handler, 503))
    with pytest.raises(ConnectionError, match="the hub says 503"):
        load()
    hub.faults.clear()
    online(hub)
    assert saved(load(), tmp_path / "1") == saved(load(str(BASE)), tmp_path / "2")


@pytest.mark.parametrize(
    "name, revision, message",
    [
        ("owner/other", None, "no such model.*hf auth login.*pretrained.name=/path.*make sample"),
        ("/no/such/folder", None, "no such folder, and no such model"),
        ("owner/name", "v9", "revision v9.*there is no such revision"),
        ("owner/name", "1" * 40, "there is no such revision"),
    ],
)
def test_what_is_not_on_the_hub(online, name, revision, message):
    online(Hub(FILES))
    with pytest.raises(FileNotFoundError, match=f"(?s){message}"):
        load(name, revision)


@pytest.mark.parametrize("sent", [None, "hf_another"])
def test_a_gated_checkpoint_says_how_to_get_in(online, monkeypatch, sent):
    online(Hub(FILES, token="hf_right"))
    if sent:
        monkeypatch.setenv("HF_TOKEN", sent)
    message = "is gated: accept its terms.*hf auth login.*HF_TOKEN"
    with pytest.raises(FileNotFoundError, match=message) as error:
        load()
    assert "hf_another" not in str(error.value)
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    load()


def test_what_is_fetched_is_checked(online):
    online(Hub({name: data for name, data in FILES.items() if name != "model.safetensors"}))
    with pytest.raises(FileNotFoundError, match="owner/name.*Pickled weights.*not loaded"):
        load()
