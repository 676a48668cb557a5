"""A recipe's files against the root's."""

import pytest

from asr.commands.new_language.recipe import as_yaml, changed, located, write
from asr.params import load_params, read_yaml
from tests.recipes import REPOSITORY, corpus
from tests.recipes import changed as changed_tree

CHANGES = {
    "pretrained.revision": (None, None),
    "model.language": ("haitian creole", "the nearest"),
    "train.max_steps": (7, None),
    "filter.seed": (99, None),  # train and evaluate have a seed too
}
KEYS = corpus("mdc", locale="no", dataset="an id: with a colon # and a hash")  # "no" is false in YAML 1.1
CORPORA = {"cv": {key: (value, "a comment" if key == "locale" else None) for key, value in KEYS.items()}}


def test_the_text_changes_where_it_is_asked_to_and_nowhere_else():
    root = (REPOSITORY / "params.yaml").read_text()
    text = changed(root, CHANGES, CORPORA, "one\ntwo")
    assert text.startswith("# one\n# two\n\ncorpora:")
    tree = changed_tree(read_yaml(root), {name: value for name, (value, _) in CHANGES.items()})
    assert read_yaml(text) == tree | {"corpora": {"cv": KEYS}}
    before, after = (written[written.index("\npretrained:") :].splitlines() for written in (root, text))
    different = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(different) == len(CHANGES)
    kept = next(line.partition("#")[2] for line in before if line.startswith("  max_steps:"))
    assert f"  max_steps: 7  #{kept}" in after and "    locale: no  # a comment" in text.splitlines()
    assert "  language: haitian creole  # the nearest" in after


def test_a_parameter_that_there_is_none_of():
    with pytest.raises(KeyError, match="model.langage"):
        changed((REPOSITORY / "params.yaml").read_text(), {"model.langage": ("x", None)}, CORPORA, "")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"), (3, "3"), (0.5, "0.5"), (True, "true"), ("ckb", "ckb"), ("no", "no"), ("", '""'),
        ("1e3", '"1e3"'), ("007", '"007"'), ("null", '"null"'), ("ދިވެހި", "ދިވެހި"), ("a: b", '"a: b"'),
        ("x # y", '"x # y"'), ("[", '"["'),
    ],
)  # fmt: skip
def test_values_are_read_as_they_were(value, written):
    assert as_yaml(value) == written
    assert read_yaml(f"key: {written}") == {"key": value}


@pytest.mark.parametrize(("below", "up"), [("ckb", ".."), ("recipes/ckb", "../.."), ("a/b/c", "../../..")])
def test_code_is_found_from_any_depth(tmp_path, below, up):
    root = (REPOSITORY / "dvc.yaml").read_text()
    (tmp_path / "dvc.yaml").write_text(root)
    text = located(tmp_path, tmp_path / below)
    assert read_yaml(text)["vars"] == [{"code": up}]
    assert text.splitlines()[10:] == root.splitlines()[10:]


@pytest.fixture
def root(tmp_path):
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text())
    return tmp_path


def test_a_recipe_is_written(root):
    write(root, root / "recipes/ht", CHANGES, CORPORA, "head")
    assert load_params(root / "recipes/ht/params.yaml").model.language == "haitian creole"
    for name in ("dvc.yaml", ".dvcignore", ".dvc/.gitignore", ".dvc/config"):
        text = (root / "recipes/ht" / name).read_text()
        sample = (REPOSITORY / "sample" / name).read_text()
        assert text.replace("../../..", "../..").replace("code: ../..", "code: ..") == sample, name


def test_a_folder_that_is_there_is_left_alone(root):
    (root / "ht").mkdir()
    (root / "ht/params.yaml").write_text("mine")
    with pytest.raises(FileExistsError):
        write(root, root / "ht", CHANGES, CORPORA, "head")
    assert (root / "ht/params.yaml").read_text() == "mine"


def test_outside_of_the_repository_there_is_no_code(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("elsewhere") / "ht"
    with pytest.raises(ValueError, match="is not inside"):
        write(root, outside, CHANGES, CORPORA, "head")
    assert not outside.exists()


def test_of_a_recipe_that_is_not_valid_nothing_is_left(root):
    with pytest.raises(ValueError, match="train.max_steps is 0"):
        write(root, root / "ht", {"train.max_steps": (0, None)}, CORPORA, "head")
    assert not (root / "ht").exists()
