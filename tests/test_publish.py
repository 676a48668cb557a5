"""Publishing, to a hub on this machine: what is sent, what is not, and what is said when it is refused."""

import shutil
import socket
import subprocess

import pytest
from huggingface_hub import ModelCard, constants

from asr.commands.card import model_card, record
from asr.commands.publish import cli
from asr.commands.publish import hub as publishing
from tests import made_up_run
from tests.made_up_run import git
from tests.receiving_hub import ReceivingHub, breaks_off
from tests.recipes import REPOSITORY
from tests.repositories import ENVIRONMENT
from tests.servers import reply

ARGUMENTS = ("owner/name", "--license", "mit")


@pytest.fixture
def recipe(made, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(made.parent, tmp_path / "copy") / "sample"


@pytest.fixture
def hub(online, monkeypatch):
    """A hub without the repository; the token may write to it. Large files go by LFS."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", "hf_write")
    return online(ReceivingHub())


@pytest.fixture
def call(made, monkeypatch):
    def call(*args, recipe=made):
        cli.main([*args, "--recipe", str(recipe)])

    return call


def local(recipe):
    return {name: (recipe / "data/model" / name).read_bytes() for name in made_up_run.MODEL}


def test_a_model_and_its_card_are_published_as_one_commit(hub, call, made, caplog):
    caplog.set_level("INFO")
    call(*ARGUMENTS, "--yes")
    (commit,) = hub.commits
    head = git(made, "rev-parse", "HEAD")
    assert commit["summary"] == f"Model of sample/dvc.lock of commit {head}"
    sent = dict(hub.files)
    text = sent.pop("README.md").decode()
    assert sent == local(made)
    assert text == model_card.text(record.read(made), None, "mit", "owner/name")
    assert ModelCard(text).data.model_name == "name" and head in text
    assert hub.private and not hub.tags
    assert "/owner/name/commit/" in caplog.text


def test_published_again_it_is_the_same_commit(hub, call):
    call(*ARGUMENTS, "--yes")
    asked = len(hub.asked)
    call(*ARGUMENTS, "--yes")
    assert len(hub.commits) == 1
    assert not [path for method, path in hub.asked[asked:] if method == "PUT"]


def test_a_dry_run_touches_no_network(call, capsys, monkeypatch, made):
    def connect(*args):
        raise AssertionError("a dry run has used the network")

    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    call(*ARGUMENTS, "--tag", "v1.0.0")
    out = capsys.readouterr().out
    assert "https://huggingface.co/owner/name, private" in out and "tag     v1.0.0" in out
    for name, data in local(made).items():
        assert f"{len(data):,}  {name}" in out
    assert model_card.text(record.read(made), None, "mit", "owner/name") in out


def test_a_dry_run_as_people_call_it(recipe):
    """Its command, from a folder of its own, with a token that gets into no output."""
    environment = ENVIRONMENT | {"PYTHONPATH": str(REPOSITORY), "HF_TOKEN": "hf_s3cretOfTheTests"}
    done = subprocess.run(
        ["python", "-m", "asr", "publish", "owner/name", "--tag", "v1.0.0"],
        cwd=recipe, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "tag     v1.0.0" in done.stdout and "s3cret" not in done.stdout + done.stderr
    assert "in the way: the model has no licence" in done.stderr
    assert "a dry run: nothing was sent" in done.stderr


def test_for_everyone_only_where_that_is_asked_for(hub, call):
    call(*ARGUMENTS, "--yes", "--public")
    assert hub.private is False


@pytest.mark.parametrize(
    ("private", "asked_for", "message"),
    [
        (False, [], "exists and is public: give --public"),
        (True, ["--public"], "exists and is private: leave out --public"),
    ],
)
def test_a_repository_that_is_there_stays_as_open_as_it_is(hub, call, private, asked_for, message):
    hub.private = private
    with pytest.raises(ValueError, match=message):
        call(*ARGUMENTS, "--yes", *asked_for)
    assert not hub.commits and hub.private is private


def test_a_repository_with_other_files_keeps_them(hub, call):
    hub.private, hub.files = True, {"README.md": b"old", "notes.txt": b"notes"}
    call(*ARGUMENTS, "--yes")
    assert hub.files["notes.txt"] == b"notes" and hub.files["README.md"] != b"old"


def test_a_tag_names_the_commit_and_is_not_moved(hub, call):
    call(*ARGUMENTS, "--yes", "--tag", "v1.0.0")
    assert hub.tags == {"v1.0.0": f"{1:040x}"}
    with pytest.raises(FileExistsError, match="has a tag v1.0.0 already: give another --tag"):
        call(*ARGUMENTS, "--yes", "--tag", "v1.0.0")


def test_a_transfer_that_breaks_off_for_good_publishes_nothing_and_the_next_one_does(hub, call, made):
    hub.faults.extend([breaks_off] * 100)
    with pytest.raises(ConnectionError, match="(?s)broke off.*Run it again: what has arrived"):
        call(*ARGUMENTS, "--yes")
    assert not hub.commits
    hub.faults.clear()
    hub.faults.extend([lambda handler: reply(handler, 500)] * 100)
    with pytest.raises(ConnectionError, match="the hub says 500.*Run it again"):
        call(*ARGUMENTS, "--yes")
    hub.faults.clear()
    call(*ARGUMENTS, "--yes")
    assert hub.files["model.safetensors"] == local(made)["model.safetensors"]


@pytest.mark.parametrize("private", [None, True])
@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("hf_another", "does not accept the token in HF_TOKEN; https://huggingface.co/settings/tokens"),
        ("hf_read", "owner has to be you, or an organisation .* write access to owner: https://"),
    ],
)
def test_a_token_that_may_not(hub, call, monkeypatch, token, private, message):
    hub.private = private
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(PermissionError, match=message):
        call(*ARGUMENTS, "--yes")
    assert not hub.commits


def test_without_a_token(hub, call, monkeypatch):
    """Nor is one taken that `hf auth login` has stored: publishing is asked for in each case."""
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PermissionError, match="no HF_TOKEN in the environment: https://"):
        call(*ARGUMENTS, "--yes")
    assert not hub.asked


def test_a_card_that_the_hub_refuses(hub, call):
    with pytest.raises(ValueError, match="license has to be a known one. The hub refuses the card"):
        call("owner/name", "--license", "made-up-1.0", "--yes")
    assert not hub.commits and not hub.large


def test_a_hub_that_is_not_there_or_answers_with_a_page(online, call, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_write")
    online(lambda handler: reply(handler, 200, b"<html>log in", Content_Type="text/html"))
    with pytest.raises(ConnectionError, match="no connection to the hub, or it broke off"):
        call(*ARGUMENTS, "--yes")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match="no connection to the hub.*ConnectError"):
        call(*ARGUMENTS, "--yes")


def test_with_the_network_switched_off(hub, call, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match="HF_HUB_OFFLINE is set: unset it"):
        call(*ARGUMENTS, "--yes")
    assert not hub.asked


def test_nothing_but_the_model_leaves_the_machine(hub, call, recipe):
    model = recipe / "data/model"
    (model / "checkpoint-100").mkdir()
    for name in ("optimizer.pt", "training_args.bin", "checkpoint-100/model.safetensors", "00000.arrow"):
        (model / name).write_bytes(b"x")
    files, others = publishing.choose(model)
    assert {path.name for path in files} == set(made_up_run.MODEL) and len(others) == 4
    with pytest.raises(ValueError, match="data/model is modified, compared with dvc.lock"):
        call(*ARGUMENTS, "--yes", recipe=recipe)
    assert not hub.asked


def test_a_sharded_model_is_whole(tmp_path):
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "config.json"]
    for name in [*names, "model.safetensors.index.json", "model.fp32.safetensors"]:
        (tmp_path / name).write_bytes(b"x")
    files, others = publishing.choose(tmp_path)
    assert {path.name for path in files} == {*names, "model.safetensors.index.json"}
    assert [path.name for path in others] == ["model.fp32.safetensors"]


def test_what_nobody_could_make_again_is_not_published(hub, call, recipe, caplog):
    (recipe / "params.yaml").write_text((recipe / "params.yaml").read_text() + "# a note\n")
    call(*ARGUMENTS, recipe=recipe)
    assert "in the way: the run's record or code has uncommitted changes" in caplog.text
    with pytest.raises(ValueError, match=r"(?s)not published:.*\(sample/params.yaml\): git commit"):
        call(*ARGUMENTS, "--yes", recipe=recipe)
    shutil.rmtree(recipe.parent / ".git")
    git(recipe.parent, "init", "-q")
    with pytest.raises(ValueError, match="dvc.lock is not committed, so nobody could reproduce the model"):
        call(*ARGUMENTS, "--yes", recipe=recipe)
    assert not hub.asked


def test_a_model_without_a_licence_is_not_published(hub, call):
    with pytest.raises(ValueError, match="no licence: give the one of its base, base, .*--license"):
        call("owner/name", "--yes")
    assert not hub.asked


@pytest.mark.parametrize("name", ["name", "a/b/c", "owner/", "owner/na me", "../name", "owner/name--x"])
def test_what_is_no_name_of_a_repository(call, name):
    with pytest.raises(ValueError, match="not a name for a repository|give owner/name"):
        call(name)
