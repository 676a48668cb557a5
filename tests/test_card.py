"""The model card: its figures are the run's, the hub's library reads it, no text of a corpus breaks it."""

import dataclasses
import html
import json
import re

import numpy as np
import pytest
import soundfile
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from asr.commands.card import cli, model_card, record
from tests import made_up_run
from tests.made_up_run import git
from tests.recipes import checked_corpus

RELEASE = "corpora/cv-corpus-13.0-2023-03-09-dv.tar.gz"
EVIL = "a|b`c*d_e[f](g) <script>#h\n---\nlicense: none\n```\n{{ 7*7 }} $$x$$ \x1b[0m \u202e: &amp; - \"'"


@pytest.fixture(scope="module")
def run(made):
    return record.read(made)


def with_params(run, corpora=(), **changes):
    """Change parameters of a run, named section__key, and its corpora."""
    params = run.params
    if corpora:
        params = params.model_copy(update={"corpora": dict(corpora)})
    for name, value in changes.items():
        section, key = name.split("__")
        new = getattr(params, section).model_copy(update={key: value})
        params = params.model_copy(update={section: new})
    return dataclasses.replace(run, params=params)


def call(*args):
    cli.main([*map(str, args)])


def test_its_metadata_as_the_hub_s_library_reads_them(run):
    read = ModelCard(model_card.text(run, None, "mit", "owner/whisper-dhivehi"))
    data, after = read.data, run.evaluate["finetuned"]
    assert (data.language, data.license, data.library_name) == ("dv", "mit", "transformers")
    assert data.pipeline_tag == "automatic-speech-recognition" and data.metrics == ["wer", "cer"]
    assert data.model_name == "whisper-dhivehi" and data.base_model is None and data.datasets is None
    results = {(result.metric_type, result.metric_value) for result in data.eval_results}
    assert results == {("wer", after["wer"]), ("wer", after["wer_ortho"]), ("cer", after["cer"])}
    wer = data.eval_results[0]
    assert wer.metric_args == {"ci95_low": after["wer_ci95_low"], "ci95_high": after["wer_ci95_high"]}
    assert wer.dataset_split == "test" and "synthetic" in wer.dataset_name
    assert after["wer_whisper_basic"] not in {value for _, value in results}


def test_a_common_voice_run_names_corpus_and_base_as_the_hub_does(run):
    revision = "973afd24965f72e36ca33b3055d56a652f456b4d"
    run = with_params(
        run,
        corpora={"sample": checked_corpus("archive", path=RELEASE, sha256="9" * 64)},
        pretrained__name="openai/whisper-small",
        pretrained__revision=revision,
    )
    text = model_card.text(run, None, None, None)
    data = ModelCard(text).data
    assert data.datasets == ["mozilla-foundation/common_voice_13_0"] and data.license == "apache-2.0"
    assert data.base_model == "openai/whisper-small"
    assert data.eval_results[0].dataset_config == "dv"
    assert "[openai/whisper-small](https://huggingface.co/openai/whisper-small)" in text
    assert "read speech" in text and "agree not to identify its speakers" in text and revision in text
    assert "sha256 9999" in text


def test_it_states_the_run_s_figures(run):
    text = model_card.text(run, None, None, None)
    before, after = run.evaluate["pretrained"], run.evaluate["finetuned"]
    for figures in (before, after):
        wer = f"{figures['wer']:.1f} % ({figures['wer_ci95_low']:.1f} to {figures['wer_ci95_high']:.1f})"
        assert wer in text
        assert f"{figures['wer_whisper_basic']:.1f} % |" in text
    of_marks = "not a word error rate", "replaces every mark by a space"
    assert all(words in " ".join(text.split()) for words in of_marks)
    without = model_card.text(dataclasses.replace(run, has_marks=False), None, None, None)
    assert not any(words in " ".join(without.split()) for words in of_marks)
    assert "1.1 million parameters" in text
    train = run.filter["train"]
    assert f"| training | {train['clips']:,} | {train['hours']:.2f} | {train['speakers']} |" in text
    assert f"{run.train['steps']} of 16 clips" in text and "| learning rate | 0.002, cosine" in text
    for reason, clips in run.filter["dropped"].items():
        assert f"`{reason}` {clips}" in text
    assert len(re.findall(r"^\| \d+ \| \d\.\d+ \| [\d.]+ % \|", text, re.MULTILINE)) == len(run.curve)
    assert run.commit in text and run.model_md5 in text and "uncommitted" not in text
    assert "cd sample/" in text and "writes Dhivehi under Whisper's token for sinhalese" in " ".join(
        text.split()
    )
    assert "The model: not stated." in text and ModelCard(text).data.license == "unknown"


def test_every_table_has_as_many_cells_in_each_row(run):
    tables = re.findall(r"(?:^\|.*\|\n)+", model_card.text(run, None, None, None), re.MULTILINE)
    assert [len({row.count("|") for row in table.splitlines()}) for table in tables] == [1] * 4


def test_few_speakers_and_unknown_ones_are_said(run):
    unknown = {role: run.filter[role] | {"speakers": 1} for role in ("train", "validation", "test")}
    text = model_card.text(dataclasses.replace(run, filter=run.filter | unknown), None, None, None)
    assert "resampled clips, which makes them too narrow" in text and "no speaker" not in text
    assert "is unknown" in text and "| unknown |" in text


@pytest.mark.parametrize(
    ("parameters", "recorded", "said"),
    [
        ({"train__freeze_encoder": True}, {}, "| trained | the decoder |"),
        ({"model__language": "Dhivehi"}, {}, "task are in the model's generation settings."),
        ({}, {"has_marks": False}, "normaliser; for comparison only"),
        ({}, {"uncommitted": ["sample/params.yaml"]}, "with uncommitted changes"),
        ({}, {"commit": None}, "Commit `none`, with uncommitted changes"),
    ],
)
def test_what_a_run_changes_in_it(run, parameters, recorded, said):
    changed = dataclasses.replace(with_params(run, **parameters), **recorded)
    assert said in model_card.text(changed, None, None, None)
    assert said not in model_card.text(run, None, None, None)


def test_a_model_that_is_scored_at_own_length_says_so(run):
    said = "scored on clips at their own length"
    for chosen in ("longest", "max_length"):
        train = run.train | {"padding": {"chosen": chosen}}
        text = model_card.text(dataclasses.replace(run, train=train), None, None, None)
        assert (said in text) == (chosen == "longest")
    train.pop("padding")  # of a run in the window nothing is chosen
    assert said not in model_card.text(dataclasses.replace(run, train=train), None, None, None)


def test_adapters_are_said(run):
    lora = run.params.train.lora.model_copy(update={"r": 8})
    assert "LoRA, rank 8, q\\_proj, v\\_proj" in model_card.text(
        with_params(run, train__lora=lora), None, None, None
    )


def test_validated_clips_and_warnings_are_said(run):
    counted = {"validated": {"added": {"clips": 7}, "refused": {}}, "warnings": ["few clips"]}
    changed = dataclasses.replace(run, filter=run.filter | counted)
    text = model_card.text(changed, None, None, None)
    assert "\n7 training clips are validated ones that are in no split of the release" in text
    assert "\n- few clips\n" in text and "limits these figures" not in model_card.text(run, *[None] * 3)


def test_loops_are_said(run):
    loops = run.evaluate["finetuned"] | {"looping_hypotheses": 3, "limit_hits": 2, "wer_without_loops": 9.87}
    changed = dataclasses.replace(run, evaluate=run.evaluate | {"finetuned": loops})
    text = model_card.text(changed, *[None] * 3)
    assert "loop in 3 clips, and did not end by itself in 2. Without" in text
    assert "with a loop, the WER is 9.9 %" in text
    assert "loop" not in model_card.text(run, None, None, None)


def test_label_smoothing_is_said(run):
    found = {"label_smoothing_factor": 0.1, "compared": 50, "wer": 96.0, "cer": 57.26}
    by_itself = dataclasses.replace(run, train=run.train | {"pretrained": found})
    row = "| label smoothing | 0.1: before training, 50 validation clips had 57.26 % CER |"
    assert row in model_card.text(by_itself, *[None] * 3)
    chosen = with_params(run, train__label_smoothing_factor=0.2)
    assert "| label smoothing | 0.2 |" in model_card.text(chosen, *[None] * 3)
    assert "label smoothing" not in model_card.text(run, *[None] * 3)


@pytest.mark.parametrize("source", ["archive", "mdc", "hub", "folder"])
def test_no_text_of_a_run_breaks_it(run, source):
    keys = {"hub": ["dataset", "config", "revision"], "mdc": ["dataset"]}.get(source, ["path"])
    evil = checked_corpus(source).model_copy(update=dict.fromkeys(keys, EVIL))
    changed = with_params(
        run, corpora={"sample": evil},
        pretrained__name=EVIL, pretrained__revision=EVIL, model__language=EVIL,
    )  # fmt: skip
    text = model_card.text(changed, "dv", "mit", None)
    data = ModelCard(text).data
    assert (data.license, data.language, data.base_model) == ("mit", "dv", None)
    assert len([line for line in text.splitlines() if line == "---"]) == 2
    body = text.split("\n---\n", 1)[1]
    assert "\x1b" not in text and "\u202e" not in text and "{{ 7" in body
    fences = [line for line in body.splitlines() if line.startswith("```")]
    assert fences == ["```python", "```", "```sh", "```"]
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(body)
    assert "<script" not in page and page.count("<table>") == 4 and 'href="g"' not in page
    assert {row.count("<td") for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL)} <= {0, 2, 3, 4}
    assert html.unescape(page).count("{{ 7*7 }} $$x$$") >= 3


def test_text_in_a_line():
    assert model_card.escaped(" a\n*b* <i>|\x00 `c` ") == r"a \*b\* \<i\>\| \`c\`"
    assert model_card.plain("a\u2028b\u200b  c") == "a b c"
    assert model_card.escaped("ދިވެހި (v1.0), it's 5 - 3") == "ދިވެހި (v1.0), it's 5 - 3"


def test_it_is_written_beside_the_weights_and_dvc_does_not_see_it(made, capsys):
    call("--recipe", made, "--name", "owner/name")
    text = (made / "data/model/README.md").read_text()
    assert 'model="owner/name"' in text
    assert record.contradictions(made) == [] and git(made, "status", "--porcelain") == ""
    call("--recipe", made)
    text = (made / "data/model/README.md").read_text()
    assert 'model="data/model"' in text
    call("--recipe", made, "--print")
    assert capsys.readouterr().out == text


def test_metrics_of_another_model_are_refused(tmp_path):
    recipe = made_up_run.make(tmp_path)
    figures = json.loads((recipe / "metrics/evaluate.json").read_text())
    figures["finetuned"]["wer"] = 1.0
    (recipe / "metrics/evaluate.json").write_text(json.dumps(figures))
    with pytest.raises(ValueError, match="(?s)not those of this model:.*evaluate.json is modified"):
        call("--recipe", recipe)
    assert not (recipe / "data/model/README.md").exists()


def test_a_model_without_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match="no weights in.*dvc pull data/model"):
        model_card.count_parameters(tmp_path)


def test_its_python_runs_on_the_saved_model(made, run, tmp_path, monkeypatch, capsys):
    code = re.search(r"```python\n(.*?)```", model_card.text(run, None, None, None), re.DOTALL)[1]
    assert 'model="data/model"' in code
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(made / "data")
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) / 50
    soundfile.write("recording.wav", noise, 16_000)
    exec(code.replace('["text"])', '["text"].__class__)'), {})
    assert "str" in capsys.readouterr().out
