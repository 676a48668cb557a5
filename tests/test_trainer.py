"""The trainer on the sample's micro Whisper and random features: what each setting does to training."""

from types import SimpleNamespace

import pytest
import torch
from transformers import Seq2SeqTrainingArguments

from asr.model import whisper
from asr.training.arguments import resolve_precision, training_arguments
from asr.training.batches import NO_LOSS
from asr.training.trainer import EpochOrder, TokenLoss
from tests.trainers import BASE, largest_difference, params, small_sampler, trained, trainer_for


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize(
    ("change", "is_trained"),
    [
        ({}, lambda name: name != "model.encoder.embed_positions.weight"),
        ({"freeze_encoder": True}, lambda name: not name.startswith("model.encoder.")),
        ({"lora": {"r": 4}}, lambda name: name.endswith(("q_proj.weight", "v_proj.weight"))),
        (
            {"lora": {"r": 4}, "freeze_encoder": True},
            lambda name: ".decoder." in name and name.endswith(("q_proj.weight", "v_proj.weight")),
        ),
    ],
    ids=["all", "frozen encoder", "adapters", "both"],
)
def test_only_what_is_to_be_trained_moves(tmp_path, change, is_trained):
    before, after = whisper.load_model(BASE).state_dict(), trained(tmp_path, **change)[1]
    moved = {name for name in before if not torch.equal(after[name], before[name])}
    assert moved and moved == {name for name in before if is_trained(name)}


def test_the_seed_gives_the_order_of_the_rows(tmp_path):
    orders = [list(trainer_for(tmp_path, params(seed=s))._get_train_sampler()) for s in (42, 42, 43)]
    assert orders[0] == orders[1] != orders[2]


def test_padding_and_joining_are_as_the_parameters_say(tmp_path):
    def frames(**changes):
        return {frames for _, frames in trainer_for(tmp_path, params(**changes))._get_train_sampler()}

    assert frames(padding="max_length", full_window_fraction=0.0) == {300}
    assert frames(padding="longest", full_window_fraction=0.0) > {250, 300}
    assert frames(padding="longest", full_window_fraction=1.0) == {None}


@pytest.mark.parametrize("rank", [0, 4], ids=["all", "adapters"])
def test_recomputed_activations_change_nothing_but_memory(tmp_path, rank):
    stored = trained(tmp_path / "stored", lora={"r": rank})[1]
    trainer, recomputed, _ = trained(tmp_path / "recomputed", lora={"r": rank}, gradient_checkpointing=True)
    assert trainer.model.is_activation_checkpointing
    assert largest_difference(stored, recomputed) < 1e-5


@pytest.mark.parametrize(("size", "accumulated"), [(2, 2), (1, 4)])
def test_accumulated_steps_are_those_of_the_whole_batch(plain, tmp_path, size, accumulated):
    """Of batches with unequal numbers of labels: the mean is over ids, not over passes."""
    _, weights, losses = trained(
        tmp_path, per_device_train_batch_size=size, gradient_accumulation_steps=accumulated
    )
    assert losses == pytest.approx(plain[2], rel=1e-4)
    assert largest_difference(plain[1], weights) < 1e-4  # rounding, which Adam's first steps enlarge


def test_parameters_reach_the_trainer_under_its_own_names(tmp_path):
    changes = {
        "lr_scheduler_type": "cosine", "warmup_steps": 2, "weight_decay": 0.1, "max_grad_norm": 0.5,
        "generation_max_length": 9, "dataloader_num_workers": 1,
    }  # fmt: skip
    arguments = training_arguments(params(**changes), tmp_path)
    assert {name: getattr(arguments, name) for name in changes} == changes


def outputs_of(logits):
    return type("Outputs", (), {"logits": logits})()


def test_the_loss_is_the_mean_over_label_ids():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 5, 7), torch.tensor([[1, 2, 3, 4, 5], [6, 0, *[NO_LOSS] * 3]])
    nll = -logits.log_softmax(-1)
    known = [(row, at) for row in range(2) for at in range(5) if labels[row, at] != NO_LOSS]
    each = [nll[row, at, labels[row, at]] for row, at in known]
    assert TokenLoss(0.0)(outputs_of(logits), labels).item() == pytest.approx(sum(each).item() / 7)
    assert TokenLoss(0.0)(outputs_of(logits), labels, torch.tensor(14)).item() == pytest.approx(
        sum(each).item() / 14
    )
    uniform = nll.mean(-1)[labels != NO_LOSS].sum()
    expected = (0.9 * sum(each) + 0.1 * uniform).item() / 7
    assert TokenLoss(0.1)(outputs_of(logits), labels).item() == pytest.approx(expected)


@pytest.mark.parametrize(("step", "epoch"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2)])
def test_a_training_resumed_within_an_epoch_has_its_order(step, epoch):
    sampler = small_sampler(22, 8, seed=1)
    EpochOrder(sampler, steps_per_epoch=2).on_epoch_begin(None, SimpleNamespace(global_step=step), None)
    assert sampler.epoch == epoch


def test_processes_draw_a_dropout_of_their_own(tmp_path, monkeypatch):
    drawn = []
    for number in (0, 1, 0):
        monkeypatch.setattr(Seq2SeqTrainingArguments, "process_index", number)
        trainer_for(tmp_path, params())
        drawn.append(torch.rand(4).tolist())
    assert drawn[0] == drawn[2] != drawn[1]


def test_a_resumed_training_logs_what_an_undisturbed_one_does(tmp_path):
    """Also where a mean loss would span the checkpoint, which knows no losses from before it."""
    settings = params(max_steps=8, eval_steps=2, save_steps=2, save_total_limit=9, logging_steps=3)
    undisturbed = trainer_for(tmp_path, settings)
    undisturbed.train()
    resumed = trainer_for(tmp_path, settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    logs = [
        {entry["step"]: entry["loss"] for entry in trainer.state.log_history if "loss" in entry}
        for trainer in (undisturbed, resumed)
    ]
    assert list(logs[0]) == [2, 3, 4, 6, 8]
    assert logs[0] == logs[1]


def test_flash_attention_takes_half_precision(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="flash_attention_2, which computes in half precision only"):
        training_arguments(params(attn_implementation="flash_attention_2"), tmp_path)


@pytest.mark.parametrize(
    ("asked", "gpu", "has_bf16", "expected"),
    [
        ("auto", False, False, "fp32"),
        ("auto", False, True, "bf16"),
        ("fp32", False, True, "fp32"),
        ("bf16", False, True, "bf16"),
        ("auto", True, True, "bf16"),
        ("auto", True, False, "fp16"),
        ("fp32", True, True, "fp32"),
        ("fp16", True, True, "fp16"),
        ("bf16", True, True, "bf16"),
    ],
)
def test_precision_is_what_the_machine_has(monkeypatch, asked, gpu, has_bf16, expected):
    on(monkeypatch, gpu, has_bf16)
    assert resolve_precision(asked) == expected


@pytest.mark.parametrize(("precision", "has_bf16"), [("fp16", False), ("fp16", True), ("bf16", False)])
def test_what_a_processor_does_not_have_is_refused(monkeypatch, precision, has_bf16):
    on(monkeypatch, False, has_bf16)
    with pytest.raises(ValueError, match="set it to auto or fp32"):
        resolve_precision(precision)


def on(monkeypatch, gpu: bool, has_bf16: bool) -> None:
    """Let this machine have a GPU or not, and bf16 in what computes."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": has_bf16})


def test_bf16_on_a_processor_trains_much_as_fp32_does(tmp_path, monkeypatch):
    on(monkeypatch, False, True)
    losses = [trained(tmp_path / precision, precision=precision)[2] for precision in ("fp32", "bf16")]
    assert losses[0] != losses[1] and losses[1] == pytest.approx(losses[0], rel=0.02)


def test_a_loss_that_is_no_number_stops_training(tmp_path):
    with pytest.raises(ValueError, match="training loss is nan at step 2: lower train.learning_rate"):
        trained(tmp_path, learning_rate=1e30)


def test_events_for_tensorboard_are_written_on_request(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "runs"))
    trained(tmp_path / "none")
    assert not (tmp_path / "runs").exists()
    trained(tmp_path / "board", report_to="tensorboard")
    assert list((tmp_path / "runs").glob("events*"))


@pytest.mark.parametrize("metric", ["wer", "loss"])
def test_weights_that_are_no_numbers_are_not_saved(tmp_path, metric):
    """The first step's own loss is finite: only the validation after it tells."""
    changes = {"max_steps": 1, "eval_steps": 1, "save_steps": 1, "metric_for_best_model": metric}
    with pytest.raises(ValueError, match="validation loss is nan at step 1: lower train.learning_rate"):
        trained(tmp_path, learning_rate=1e38, **changes)
    assert not list(tmp_path.glob("checkpoint-*"))
