import os
import pickle
import shutil
import signal
import subprocess
import sys

import pytest
from filelock import FileLock

from tests import fork_server
from tests.recipes import Recipe
from tests.repositories import ENVIRONMENT, Repository, build


def pytest_configure(config):
    """Let `python` and `dvc` be those of a fork server, which starts pytest's processes too, on Linux.

    `sys.executable` stays a true Python. And let Ctrl+C work in what tests start: a shell has background jobs
    ignore it, which is inherited.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for environment in (os.environ, ENVIRONMENT):
        # Or a machine that is the first to leave has torch print a page on its closed store, now and then.
        environment["TORCH_CPP_LOG_LEVEL"] = "ERROR"
    if sys.platform != "linux":
        return
    if hasattr(config, "workerinput"):
        sys.executable = config.workerinput["executable"]
    else:
        os.environ["FORKS"] = str(fork_server.start())
    for environment in (os.environ, ENVIRONMENT):
        environment["PATH"] = f"{os.environ['FORKS']}:{environment['PATH']}"


def pytest_xdist_setupnodes(specs):
    for spec in specs:
        spec.python = "python"


def pytest_configure_node(node):
    node.workerinput["executable"] = sys.executable


def pytest_collection_modifyitems(items):
    """Begin with the sample, then slow tests: what is slow would keep a process busy alone at the end."""
    sample, slow = ({item.path for item in items if item.get_closest_marker(m)} for m in ("sample", "slow"))
    items.sort(key=lambda item: (item.path not in sample, item.path not in slow))


@pytest.fixture(autouse=True)
def environment():
    """Undo what a test changes in the environment: the fork server may refuse every later start for it."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def recipe(tmp_path):
    return Recipe(tmp_path, {})


@pytest.fixture
def online(tmp_path, monkeypatch):
    """A function that serves a hub in place of the real one."""
    from tests.fake_hub import in_place_of_the_hub  # not for the tests that need none: seconds

    with in_place_of_the_hub(tmp_path, monkeypatch) as serve:
        yield serve


@pytest.fixture(scope="session")
def once(tmp_path_factory, worker_id):
    """A function that has something made in a folder, by the first of pytest's processes that wants it."""
    own = tmp_path_factory.getbasetemp()
    root = own if worker_id == "master" else own.parent

    def once(name, make):
        folder, made = root / name, root / f"{name}.pickle"
        with FileLock(root / f"{name}.lock"):
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)  # what a failure has left
                folder.mkdir()
                made.write_bytes(pickle.dumps(make(folder)))
            return pickle.loads(made.read_bytes())

    return once


@pytest.fixture(scope="session")
def finished(once):
    """A small recipe of which every stage has run, for tests that only look.

    A true Python starts each stage once: here, or in test_startup.py.
    """

    def make(root):
        recipe = Recipe(root, {})
        recipe.output = {}
        true, forked = sys.executable, "python"
        for name, python, command in (
            ("download", forked, "download"),
            ("base", true, "pretrained"),
            ("featurize", true, "featurize"),
            ("filter", forked, "filter"),
            ("train", true, "train"),
            ("package", forked, "package"),
            ("pretrained", true, "transcribe data/pretrained data/transcripts/pretrained.jsonl"),
            ("finetuned", forked, "transcribe data/model data/transcripts/finetuned.jsonl"),
            ("evaluate", forked, "evaluate"),
        ):
            recipe.python = python
            recipe.output[name] = recipe.run(*command.split())
        return recipe

    return once("finished", make)


@pytest.fixture(scope="session")
def repository(once, tmp_path_factory):
    """A repository in which `dvc repro` has run and all is committed; a test leaves it as it was."""

    def make(root):
        repository = Repository(root)
        repository.recipe = build(root, {})
        repository.run("dvc", "repro")
        repository.commit()
        return repository

    made, own = once("repository", make), tmp_path_factory.mktemp("own") / "repository"
    subprocess.run(["cp", "-a", made.root, own], check=True)
    repository = Repository(own)
    repository.recipe = made.recipe
    repository.recipe.folder = repository.folder
    return repository


@pytest.fixture(scope="module")  # not wider: some tests write a card there
def made(tmp_path_factory):
    """The folder of a recipe that looks as if it had run, in a repository of its own."""
    from tests import made_up_run  # as above

    return made_up_run.make(tmp_path_factory.mktemp("made"))
