import pytest

from tests.recipes import Recipe
from tests.repositories import Repository, build


def pytest_collection_modifyitems(items):
    """Begin with the files that have slow tests: one of them at the end would keep a process busy alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


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
def finished(tmp_path_factory):
    """A small recipe of which every stage has run, for tests that only look."""
    recipe = Recipe(tmp_path_factory.mktemp("finished"), {})
    recipe.output = {
        stage: recipe.run(stage) for stage in ("download", "pretrained", "featurize", "filter", "train")
    }
    for name, model in (("pretrained", "data/pretrained"), ("finetuned", "data/model")):
        recipe.output[name] = recipe.run("transcribe", model, f"data/transcripts/{name}.jsonl")
    recipe.output["evaluate"] = recipe.run("evaluate")
    return recipe


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    """A repository in which `dvc repro` has run and all is committed; a test leaves it as it was."""
    root = tmp_path_factory.mktemp("repository")
    recipe = build(root, {})
    repository = Repository(root)
    repository.recipe = recipe
    repository.run("dvc", "repro")
    repository.commit()
    return repository


@pytest.fixture(scope="module")  # not wider: some tests write a card there
def made(tmp_path_factory):
    """The folder of a recipe that looks as if it had run, in a repository of its own."""
    from tests import made_up_run  # as above

    return made_up_run.make(tmp_path_factory.mktemp("made"))
