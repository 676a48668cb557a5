import json

import pytest

from asr.evaluation.summary import summary


def test_it_shows_both_models_and_names_only_files_that_exist(tmp_path):
    rates = {"wer_ortho": 12.5, "cer": 3.0, "utterances": 4, "reference_words": 31}
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/evaluate.json").write_text(
        json.dumps({"pretrained": {"wer": 104.25, **rates}, "finetuned": {"wer": 17.5, **rates}})
    )
    text = summary(tmp_path)
    assert "4 test clips, 31 words" in text
    assert "104.25%" in text and "17.50%" in text
    assert f"{tmp_path}/metrics/evaluate.json" in text
    assert "report.html" not in text and "utterances.csv" not in text


def test_before_the_first_run_it_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="run `dvc repro`"):
        summary(tmp_path)
