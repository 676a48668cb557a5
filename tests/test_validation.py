"""Validation while training: what is measured, which checkpoint is kept, and when training stops."""

import json
import logging
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from asr.model.loops import LEAST
from asr.scoring.rates import error_rates, standard_error
from tests.trainers import largest_difference, params, trained, trainer_for


def test_the_best_model_is_loaded_in_the_end_and_no_weight_is_called_missing(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    each = {"metric_for_best_model": "loss", "max_steps": 4, "eval_steps": 1, "save_steps": 1}
    trainer, weights, _ = trained(tmp_path, learning_rate=3e-2, **each)
    losses = {log["step"]: log["eval_loss"] for log in trainer.state.log_history if "eval_loss" in log}
    best = min(losses, key=losses.get)
    assert largest_difference(load_file(tmp_path / f"checkpoint-{best}/model.safetensors"), weights) == 0
    assert "missing" not in caplog.text


def test_label_smoothing_leaves_the_validation_loss_alone(tmp_path):
    losses = []
    for smoothing in (0.0, 0.3):
        trainer = trainer_for(tmp_path, params(label_smoothing_factor=smoothing))
        losses.append(trainer.evaluate()["eval_loss"])
    assert losses[0] == losses[1]
    assert trainer.compute_loss_func.label_smoothing == 0.3


@pytest.mark.parametrize(
    ("metric", "kept"),
    [
        ("wer", [1, 2, 3, 3, 5, 6]),  # 53 is within 4 points of 50, 55 is not, 48 is the lowest
        ("loss", [1, 1, 1, 4, 4, 6]),  # of which no standard error is known
    ],
)
def test_the_latest_of_those_that_are_as_good_is_the_best(tmp_path, metric, kept):
    trainer = trainer_for(tmp_path, params(metric_for_best_model=metric))
    found = []
    for step, (wer, loss) in enumerate(
        [(60.0, 2.0), (50.0, 2.5), (53.0, 2.1), (55.0, 1.5), (54.0, 1.9), (48.0, 1.5)], start=1
    ):
        trainer.state.global_step = step
        metrics = {"eval_wer": wer, "eval_loss": loss}
        error = {} if metric == "loss" else {"eval_standard_error": 4.0}
        trainer.state.log_history += [{"loss": 3.0, "step": step}, {**metrics, **error, "step": step}]
        trainer._determine_best_metric(metrics, None)
        found.append(trainer.state.best_global_step)
    assert found == kept
    assert trainer.state.best_metric == (48.0 if metric == "wer" else 1.5)


def test_validation_tells_the_standard_error_of_what_it_chooses_by(tmp_path):
    trainer = trainer_for(tmp_path, params(metric_for_best_model="cer"))
    references, heard = ["ab cd", "ab cd", "ab", "cd", "(ab)"], ["ab cd", "ab", "abc", "x", "ab"]
    tokenizer = trainer.processing_class.tokenizer
    said, predicted = (
        tokenizer(texts, padding=True, return_tensors="np").input_ids for texts in (references, heard)
    )
    found = trainer.compute_metrics(SimpleNamespace(predictions=predicted, label_ids=said))
    assert found["cer"] == pytest.approx(error_rates(references, heard)["cer"])
    assert found["standard_error"] == pytest.approx(standard_error("cer", references, heard))
    assert found["standard_error"] != pytest.approx(standard_error("wer", references, heard))


# A threshold that nothing passes: the first look is the best, and each one after it counts.
HOPELESS = {"early_stopping_threshold": 1e9, "max_steps": 6, "eval_steps": 1, "save_steps": 1}


def test_training_stops_early_on_request_only(tmp_path):
    assert trained(tmp_path / "a", **HOPELESS)[0].state.global_step == 6
    stopped = trained(tmp_path / "b", early_stopping_patience=2, **HOPELESS)[0].state
    assert stopped.global_step == 3


def test_a_resumed_training_goes_on_counting(tmp_path):
    settings = params(early_stopping_patience=2, **HOPELESS)
    trainer_for(tmp_path, settings).train()
    state = json.loads((tmp_path / "checkpoint-3/trainer_state.json").read_text())
    saved = state["stateful_callbacks"]["EarlyStoppingCallback"]["attributes"]
    assert saved["early_stopping_patience_counter"] == 2
    again = trainer_for(tmp_path, params(early_stopping_patience=3, **HOPELESS))
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert again.state.global_step == 4


def test_validation_computes_in_the_precision_of_training(tmp_path, monkeypatch):
    """Generating, too, which calls encoder and decoder by themselves; played on a CPU, in bfloat16."""
    trainer = trainer_for(tmp_path, params())
    half = partial(torch.autocast, "cpu", torch.bfloat16)
    monkeypatch.setattr(trainer.accelerator, "autocast", half)
    monkeypatch.setattr(trainer, "compute_loss_context_manager", half)
    found = []
    for part in (trainer.model.model.encoder, trainer.model.model.decoder):
        layer = part.layers[0].self_attn.q_proj
        layer.register_forward_hook(lambda module, args, output: found.append(output.dtype))
    trainer.evaluate()
    assert len(found) > 4 and set(found) == {torch.bfloat16}


def test_a_text_that_does_not_end_is_ended(tmp_path, monkeypatch):
    """A loop after LEAST ids of it, another text after those that its clip can have, of the decoder's 448."""
    trainer = trainer_for(tmp_path, params(generation_max_length=448))

    def most(script):
        def forward(hidden):
            at.append(script(len(at)))
            ids = torch.full(hidden.shape[:2], at[-1])
            return torch.nn.functional.one_hot(ids, trainer.model.config.vocab_size).float()

        at = []
        monkeypatch.setattr(trainer.model.proj_out, "forward", forward)
        ids = trainer.predict(trainer.eval_dataset).predictions
        return (ids < trainer.model.config.eos_token_id).sum(axis=1).max()  # others are special

    assert LEAST <= most(lambda step: 70) <= LEAST + 8
    trainer.model.config.max_ids_per_s = 20.0
    clips = (trainer.eval_dataset[item, None] for item in range(len(trainer.eval_dataset)))
    seconds = max(clip["features"].shape[1] for clip in clips) / 100
    n_prompt = 3  # of a model whose task is not set
    assert most(lambda step: 30 + step % 200) == int(20 * (seconds + 1)) - n_prompt
