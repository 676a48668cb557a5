"""The stage on three clips, as `dvc repro` runs it; and what it says when its input is wrong."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from asr.evaluation.transcripts import MODELS, read_transcripts, require_same_test_set
from asr.evaluation.utterance_table import COLUMNS, from_csv, pseudonym, utterance_table
from asr.tables.corpus import RAW_FEATURES
from asr.tables.csv_text import to_csv
from asr.tables.features import FEATURES, METADATA
from asr.tables.shards import write_shards
from stages.evaluate import by_corpus, intervals
from tests.recipes import Recipe

CLIP = {"speaker": "amina", "gender": "", "age": "", "accent": "", "n_ids": 9, "hit_limit": False}
REFERENCES = {"b.mp3": "މާލެ އަކީ ރަށެއް.", "a.mp3": "null, ދިވެހި", "c.mp3": "…"}
SPEAKERS = {"b.mp3": "amina", "a.mp3": "ali", "c.mp3": ""}
HYPOTHESES = {
    "pretrained": {"b.mp3": "මාලෙ", "a.mp3": "", "c.mp3": "a b\r\nc"},
    "finetuned": {"b.mp3": "މާލެ އިކީ ރަށެއް", "a.mp3": "null ދިވެހި", "c.mp3": ""},
}


def transcript(model: str, id: str, **changes) -> dict:
    return {
        **CLIP,
        "id": id,
        "speaker": SPEAKERS[id],
        "duration_s": 4.56789,
        "reference": REFERENCES[id],
        "hypothesis": HYPOTHESES[model][id],
        **changes,
    }


def write(folder: Path, model: str, rows: list[dict]) -> Path:
    path = folder / "data/transcripts" / f"{model}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def write_training_sentences(folder: Path, sentences: list[str], rows: list[int]) -> None:
    """Write what evaluate reads of data/features/ and data/filtered/."""
    unknown = {name: "" for name in METADATA} | {"duration_s": 1.0, "features": []}
    clips = [unknown | {"id": f"{i}", "sentence": sentence} for i, sentence in enumerate(sentences)]
    write_shards(folder / "data/features", clips, FEATURES)
    (folder / "data/filtered").mkdir()
    lines = ["row,id", *(f"{row},{row}" for row in rows)]
    (folder / "data/filtered/train.csv").write_text("\n".join(lines) + "\n")
    (folder / "metrics").mkdir()
    (folder / "metrics/filter.json").write_text('{"warnings": ["chosen on 2 validation clips"]}')


def write_clips_and_curves(folder: Path) -> None:
    """Write what the report plays and draws."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(4800), 48_000, format="WAV")
    clip = {name: "" for name in RAW_FEATURES.names} | {"split": "test", "audio": file.getvalue()}
    write_shards(folder / "data/raw", [clip | {"id": id} for id in REFERENCES], RAW_FEATURES)
    (folder / "metrics/training_curve.csv").write_text(
        "step,loss,learning_rate\n25,2.0,0.001\n50,1.0,0.001\n"
    )
    (folder / "metrics/validation_curve.csv").write_text("step,loss,wer,cer\n50,1.5,40.0,20.0\n")


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> Recipe:
    """A recipe of which the stage ran on three clips."""
    recipe = Recipe(tmp_path_factory.mktemp("scored"), {})
    for model, ids in (("pretrained", "bac"), ("finetuned", "cab")):
        write(recipe.folder, model, [transcript(model, f"{id}.mp3") for id in ids])
    write_training_sentences(recipe.folder, ["ދިވެހި null", "not trained on", "ދިވެހި"], rows=[0, 2])
    write_clips_and_curves(recipe.folder)
    recipe.output = recipe.run("evaluate")
    return recipe


def test_metrics(scored: Recipe) -> None:
    metrics = json.loads((scored.folder / "metrics/evaluate.json").read_text())
    assert list(metrics) == ["pretrained", "finetuned"]
    found = {name: value for name, value in metrics["finetuned"].items() if "ci95" not in name}
    names = ("looping_hypotheses", "wer_without_loops", "limit_hits", "length_ratio")
    assert [found.pop(name) for name in names] == [0, 20.0, 0, 1.0]
    assert found == {
        "wer": 20.0,  # one word of five
        "wer_ortho": 66.67,  # "…", "null," and "ރަށެއް." too, of six
        "wer_whisper_basic": 0.0,
        "cer": 3.7,  # one character of 27
        "substitutions": 1,
        "deletions": 0,
        "insertions": 0,
        "reference_words": 5,
        "utterances": 3,
        "empty_references": 1,
        "empty_hypotheses": 1,
    }
    assert metrics["pretrained"]["wer"] == 160.0  # one substituted, four deleted, three inserted
    assert metrics["pretrained"].keys() == metrics["finetuned"].keys()


def test_intervals_are_those_of_speakers_however_many_clips_each_has() -> None:
    clips = pd.DataFrame({"id": list("abcdefghijkl"), "speaker": ["amina", "ali", "mariyam"] * 4})
    counts = {f"{kind}errors_{model}": [3, 0, 1] * 4 for kind in ("", "char_") for model in MODELS}
    table = clips.assign(reference_words=5, reference_chars=20, **counts)
    spoken = table.groupby("speaker").sum(numeric_only=True).reset_index()
    assert intervals(table, 200, 1) == intervals(spoken.assign(id=spoken.speaker), 200, 1)


def test_each_corpus_has_its_own_rates_and_intervals() -> None:
    clips = pd.DataFrame({"id": [f"{c}/{n}" for c in "ab" for n in range(6)], "speaker": list("xyzuvw") * 2})
    counts = {"reference_words": 4, "reference_chars": 20}
    errors = {f"{kind}_{model}": clips.index % 3 for kind in ("errors", "char_errors") for model in MODELS}
    table = clips.assign(**counts, **errors)
    found = by_corpus(table, 200, 1)["finetuned"]
    alone = intervals(table[:6], 200, 1)["finetuned"]
    assert list(found) == ["a", "b"] and found["a"]["utterances"] == 6
    assert (found["a"]["wer"], found["a"]["cer"]) == (25.0, 5.0)  # six errors in 24 words, in 120 characters
    assert found["a"]["wer_ci95_high"] == round(alone["wer_ci95_high"], 2) > found["a"]["wer"]


def test_intervals(scored: Recipe) -> None:
    for rates in json.loads((scored.folder / "metrics/evaluate.json").read_text()).values():
        for rate in ("wer", "cer"):
            assert 0 <= rates[f"{rate}_ci95_low"] < rates[rate] < rates[f"{rate}_ci95_high"]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("duration", ["from_s,utterances,speakers,reference_words,wer_pretrained,wer_finetuned",
                      "4,3,2,5,160.0,20.0"]),
        ("words", ["from_words,utterances,speakers,reference_words,wer_pretrained,wer_finetuned",
                   "0,2,1,2,250.0,0.0", "3,1,1,3,100.0,33.33"]),
        ("times_seen", ["from_times_seen,utterances,speakers,reference_words,wer_pretrained,wer_finetuned",
                        "0,2,1,3,200.0,33.33", "1,1,1,2,100.0,0.0"]),
        ("trait", ["trait,group,utterances,speakers,reference_words,wer_pretrained,wer_finetuned"]),
        ("speaker", ["speaker,utterances,speakers,reference_words,wer_pretrained,wer_finetuned",
                     "94a007b7,1,1,2,100.0,0.0", "d0847ab4,1,1,3,100.0,33.33"]),
    ],
)  # fmt: skip
def test_parts(scored: Recipe, name: str, lines: list[str]) -> None:
    found = (scored.folder / f"metrics/parts/{name}.csv").read_text()
    assert found == "\n".join([*lines, ""])


def test_table(scored: Recipe) -> None:
    data = (scored.folder / "metrics/utterances.csv").read_bytes()
    assert b"\r" not in data
    rows = list(csv.DictReader(data.decode().splitlines()))
    assert [row["id"] for row in rows] == ["a.mp3", "b.mp3", "c.mp3"]
    assert list(rows[0]) == COLUMNS
    assert rows[1] == {
        "id": "b.mp3",
        "speaker": "d0847ab4",
        "duration_s": "4.568",
        "reference": "މާލެ އަކީ ރަށެއް.",
        "hypothesis_pretrained": "මාලෙ",
        "hypothesis_finetuned": "މާލެ އިކީ ރަށެއް",
        "reference_words": "3",
        "reference_chars": "16",
        "errors_pretrained": "3",
        "substitutions_pretrained": "1",
        "deletions_pretrained": "2",
        "insertions_pretrained": "0",
        "char_errors_pretrained": "16",
        "errors_finetuned": "1",
        "substitutions_finetuned": "1",
        "deletions_finetuned": "0",
        "insertions_finetuned": "0",
        "char_errors_finetuned": "1",
    }
    assert rows[2]["hypothesis_pretrained"] == "a b c"
    assert "amina" not in data.decode() and "ali" not in data.decode()


def test_report_and_charts(scored: Recipe) -> None:
    page = (scored.folder / "report.html").read_text(encoding="utf-8")
    assert "<dd>Dhivehi, under Whisper&#39;s token for sinhalese</dd>" in page and "synthetic Dhivehi" in page
    assert "chosen on 2 validation clips" in page
    assert page.count("<article>") == page.count("data:audio/wav;base64,") == 3
    names = ("training_curve", "duration", "words", "times_seen", "speaker")
    for name in names:
        assert "<svg" in (scored.folder / f"metrics/parts/{name}.svg").read_text(encoding="utf-8")
    assert page.count("<svg") == len(names)


def test_it_ends_with_a_summary(scored: Recipe) -> None:
    metrics = json.loads((scored.folder / "metrics/evaluate.json").read_text())
    shown = {
        model: f"{x['wer']:.2f} % ({x['wer_ci95_low']:.2f} to {x['wer_ci95_high']:.2f})"
        for model, x in metrics.items()
    }
    low, high = (metrics["finetuned"][f"wer_ci95_{end}"] for end in ("low", "high"))
    for line in (
        r"test set: 3 clips, 5 words, 2 speakers",
        re.escape(f"  WER  {shown['pretrained']} → {shown['finetuned']}"),
        rf"warning: the test set is small: .* anything from {low:.1f} to {high:.1f} %",
        r"warning: chosen on 2 validation clips",
        r"warning: clip b\.mp3 makes 1 of 1 word errors",
        rf"report: {scored.folder}/report\.html",
    ):
        assert re.search(f"^{line}", scored.output, re.MULTILINE), line


def test_a_second_run_writes_the_same_bytes(scored: Recipe) -> None:
    written = [*(scored.folder / "metrics").rglob("*.*"), scored.folder / "report.html"]
    before = {path: path.read_bytes() for path in written}
    scored.run("evaluate")
    assert {path: path.read_bytes() for path in written} == before


def test_a_table_survives_reading(scored: Recipe) -> None:
    text = (scored.folder / "metrics/utterances.csv").read_text(encoding="utf-8")
    assert to_csv(from_csv(text, "here")) == text


def test_texts_that_look_like_something_else_survive(tmp_path: Path) -> None:
    texts = ["null", "NA", "0012", "1e5", '"a", b', "TRUE", ""]
    rows = [transcript("finetuned", "a.mp3") | {"id": f"{i}", "hypothesis": x} for i, x in enumerate(texts)]
    transcripts = read_transcripts(write(tmp_path, "finetuned", rows))
    table = utterance_table({"pretrained": transcripts, "finetuned": transcripts})
    assert list(from_csv(to_csv(table), "here").hypothesis_finetuned) == texts
    assert list(from_csv(to_csv(table), "here").id) == [row["id"] for row in rows]


def test_a_table_of_another_version_is_refused(scored: Recipe) -> None:
    text = (scored.folder / "metrics/utterances.csv").read_text(encoding="utf-8")
    text = text.replace("char_errors", "letters")
    with pytest.raises(ValueError, match="HEAD~3: expected.*char_errors_pretrained, char_errors_finetuned m"):
        from_csv(text, "HEAD~3")


def test_pseudonym() -> None:
    assert pseudonym("amina") == "d0847ab4"  # a change would cut the tie to every committed table
    assert pseudonym("") == ""


def without_speaker(row: dict) -> dict:
    return {key: value for key, value in row.items() if key != "speaker"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "is empty: run `dvc repro --force transcribe`"),
        ([transcript("finetuned", "a.mp3")] * 2, "line 2: id 'a.mp3' occurs a second time"),
        ([without_speaker(transcript("finetuned", "a.mp3"))], "line 1: speaker: Field required"),
        ([transcript("finetuned", "a.mp3", n_ids="9")], "line 1: n_ids: Input should be a valid integer"),
        ([transcript("finetuned", "a.mp3", duration_s=float("nan"))], "line 1: duration_s: "),
        ([transcript("finetuned", "a.mp3", wer=0)], "line 1: wer: Extra inputs"),
        (["cut off"], "line 1: the line: "),
    ],
)
def test_wrong_transcripts_are_refused(tmp_path: Path, rows, message: str) -> None:
    path = write(tmp_path, "finetuned", rows)
    with pytest.raises(ValueError) as error:
        read_transcripts(path)
    assert message in str(error.value) and str(path) in str(error.value)


def test_missing_transcripts_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="pretrained.jsonl: run `dvc repro transcribe`"):
        read_transcripts(tmp_path / "pretrained.jsonl")


def test_missing_inputs_end_the_stage_with_a_message(tmp_path: Path) -> None:
    recipe = Recipe(tmp_path, {})
    for model in ("pretrained", "finetuned"):
        write(recipe.folder, model, [transcript(model, "c.mp3")])
    assert "evaluate: no data/filtered: run `dvc repro filter`" in recipe.fail("evaluate")
    write_training_sentences(recipe.folder, ["ދިވެހި"], rows=[0])
    assert "evaluate: no metrics/training_curve.csv: run `dvc repro train`" in recipe.fail("evaluate")
    write_clips_and_curves(recipe.folder)
    assert "evaluate: an error rate needs at least one reference" in recipe.fail("evaluate")


def test_models_must_have_transcribed_the_same_clips(tmp_path: Path) -> None:
    def read(model: str, *rows: dict) -> list:
        return read_transcripts(write(tmp_path, model, list(rows)))

    both = read("finetuned", transcript("finetuned", "a.mp3"), transcript("finetuned", "b.mp3"))
    one = read("pretrained", transcript("pretrained", "b.mp3", reference="ރަށެއް"))
    require_same_test_set(both, both)
    with pytest.raises(ValueError) as error:
        require_same_test_set(one, both)
    assert "1 only in finetuned.jsonl, the first 'a.mp3'" in str(error.value)
    assert "1 with another reference, the first 'b.mp3'" in str(error.value)
    assert "only in pretrained.jsonl" not in str(error.value)
