import pytest
import yaml

from asr.params import load_params
from tests.recipes import REPOSITORY, changed, corpus

ROOT = REPOSITORY / "params.yaml"


def write(path, change):
    tree = yaml.safe_load(ROOT.read_text())
    change(tree)
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.mark.parametrize("recipe", ["params.yaml", "sample/params.yaml"])
def test_both_recipes_are_valid(recipe):
    load_params(REPOSITORY / recipe)


def test_every_mistake_is_reported_at_once(tmp_path):
    def spoil(tree):
        tree["train"]["max_stepz"] = tree["train"].pop("max_steps")
        tree["train"]["learning_rate"] = "fast"
        tree["filter"]["validation_fraction"] = 1.5
        tree["colour"] = "red"
        del tree["model"]

    with pytest.raises(ValueError) as error:
        load_params(write(tmp_path / "params.yaml", spoil))
    message = str(error.value)
    assert "6 errors" in message
    assert "train.max_steps is missing" in message
    assert "train.max_stepz is unknown; did you mean max_steps?" in message
    assert "train.learning_rate is 'fast'" in message
    assert "filter.validation_fraction is 1.5" in message
    assert "colour is unknown" in message
    assert "model is missing" in message


@pytest.mark.parametrize("written", ["1e-5", "1.0e-5", "0.00001", "1e-05"])
def test_floats_as_people_and_dvc_write_them(tmp_path, written):
    path = tmp_path / "params.yaml"
    path.write_text(ROOT.read_text().replace("learning_rate: 2.5e-5", f"learning_rate: {written}"))
    assert load_params(path).train.learning_rate == 1e-5


def test_steps_that_do_not_fit_each_other_are_refused(tmp_path):
    with pytest.raises(ValueError, match="train: save_steps is 500, .* a multiple of eval_steps, 300"):
        load_params(write(tmp_path / "params.yaml", lambda tree: tree["train"].update(eval_steps=300)))


def test_a_language_model_needs_a_text(tmp_path):
    def turn_on(tree):
        tree["transcribe"]["language_model"]["order"] = 5

    with pytest.raises(
        ValueError, match="transcribe.language_model: order is 5, but path is still corpora/R"
    ):
        load_params(write(tmp_path / "params.yaml", turn_on))


def test_a_missing_file_says_where_to_go(tmp_path):
    with pytest.raises(FileNotFoundError, match="go to a recipe's folder"):
        load_params(tmp_path / "params.yaml")


def test_a_file_without_sections_says_what_mends_it(tmp_path):
    for text in ("", "# nothing\n", "- 1\n", "train"):
        (tmp_path / "params.yaml").write_text(text)
        with pytest.raises(ValueError, match="1 error\n  .*`git restore`"):
            load_params(tmp_path / "params.yaml")


def test_broken_yaml_is_named(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("train: {max_steps: 5")
    with pytest.raises(ValueError, match="not valid YAML"):
        load_params(path)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("train", {"lr_scheduler_type": "cosin"}, "train.lr_scheduler_type is 'cosin': .*'cosine'"),
        ("train", {"lr_scheduler_type": "cosine_with_min_lr"}, "train.lr_scheduler_type is"),
        (
            "train",
            {"label_smoothing_factor": 1.0},
            "1 error\n  train.label_smoothing_factor: it is 1.0: .*auto",
        ),
        (
            "filter",
            {"max_characters_per_s": 0},
            "1 error\n  filter.max_characters_per_s: it is 0.0: give a number above 0, or auto",
        ),
        ("train", {"label_smoothing_factor": "on"}, "1 error\n  train.label_smoothing_factor: it is 'on': "),
        ("transcribe", {"max_new_tokens": 448}, "transcribe.max_new_tokens is 448: .* 444"),
    ],
)
def test_values_that_a_library_would_refuse_hours_later(tmp_path, section, change, message):
    with pytest.raises(ValueError, match=message):
        load_params(write(tmp_path / "params.yaml", lambda tree: tree[section].update(change)))


@pytest.mark.parametrize("modules", [["query"], ["proj_out"], ["embed_tokens"], []])
def test_adapters_go_where_they_can_be_merged(tmp_path, modules):
    path = write(tmp_path / "params.yaml", lambda tree: tree["train"]["lora"].update(target_modules=modules))
    with pytest.raises(ValueError, match="train.lora.target_modules"):
        load_params(path)


def test_params_cannot_be_changed_by_a_stage():
    with pytest.raises(ValueError, match="frozen"):
        load_params(ROOT).train.max_steps = 1


@pytest.mark.parametrize("name", ["corpora/me@home?token=x.tar.gz", "owner/name", "https:/x.tar"])
def test_names_and_paths_are_taken(tmp_path, name):
    path = write(tmp_path / "params.yaml", lambda tree: tree["corpora"]["cv13"].update(path=name))
    assert load_params(path).corpora["cv13"].path == name


@pytest.mark.parametrize("key", ["corpora.cv13.path", "corpora.hub.dataset", "pretrained.name"])
def test_an_address_is_refused_and_not_repeated(tmp_path, key):
    """It may have a login or a signature in it, and git keeps params.yaml."""

    def change(tree):
        tree["corpora"]["hub"] = corpus("hub")
        changed(tree, {key: "https://me:s3cret-1@example.org/cv.tar.gz?sig=s3cret-2"})

    with pytest.raises(ValueError, match=f"{key}: an address is not accepted.*dvc get-url") as error:
        load_params(write(tmp_path / "params.yaml", change))
    assert "s3cret" not in str(error.value)


def test_yaml_is_read_as_dvc_writes_it(tmp_path):
    """YAML 1.2, in which `no` is a language."""
    text = ROOT.read_text().replace("locale: dv ", "locale: no ").replace("patience: null", "patience: ~")
    (tmp_path / "params.yaml").write_text(text.replace("type: linear", "type: off"))
    with pytest.raises(ValueError, match="1 error\n.*lr_scheduler_type is 'off'"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text(text)
    assert load_params(tmp_path / "params.yaml").corpora["cv13"].locale == "no"
