"""What benchmarks/gpu.py measures, on the CPU with a tiny model: the figures themselves need a GPU."""

import math
import sys

import pytest
import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from benchmarks import gpu


def test_settings_are_measured_on_the_same_clips():
    own, padded = gpu.plan(gpu.Setting(), 200), gpu.plan(gpu.Setting(own_length=False), 200)
    assert {frames for _, frames, _ in padded} == {gpu.WINDOW} and {rows for rows, _, _ in padded} == {16}
    joined = [shape for shape in own if shape[1] == gpu.WINDOW]
    assert 10 < len(joined) < 30 and max(rows for rows, _, _ in joined) < 8
    coarse = gpu.plan(gpu.Setting(step=300), 200)
    assert {frames for _, frames, _ in coarse} <= {300, 600, 900, 1200, 1500, 3000}
    assert all(more >= less for (_, less, _), (_, more, _) in zip(own, coarse, strict=True))


def test_a_setting_is_measured_or_says_what_is_missing(tmp_path):
    config = WhisperConfig(
        d_model=16, vocab_size=50_300, pad_token_id=0,
        **{f"{side}_{name}": 1 for side in ("encoder", "decoder") for name in ("layers", "attention_heads")},
    )  # fmt: skip
    WhisperForConditionalGeneration(config).save_pretrained(tmp_path)
    found = gpu.measure(tmp_path, gpu.Setting(batch=2, precision="fp32"), "cpu", 2)
    assert set(found) == set(gpu.COLUMNS) - {"idle, %", "peak memory, GB"}  # of a GPU only
    assert found["repeats"] and math.isfinite(found["loss"]) and 0 < found["of a matrix product, %"] < 100
    missing = gpu.measure(tmp_path, gpu.Setting(batch=2, attention="flash_attention_2"), "cpu", 2)
    assert list(missing) == ["error"]
    lines = gpu.table({"usual": found, "flash": missing}).splitlines()
    assert len({line.count("|") for line in lines}) == 1 and missing["error"] in lines[3]


def test_without_a_gpu_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu"])
    with pytest.raises(SystemExit, match="there is no GPU here"):
        gpu.main()
