"""Every switch of training that changes the model, on the sample's micro Whisper: what it does, no more."""

import numpy as np
import pytest
import torch
from peft import PeftModel

from asr.params import load_params
from asr.training.adaptation import adapt, load_for_training, merged
from tests.recipes import REPOSITORY

BASE = REPOSITORY / "sample/base"
DEFAULTS = load_params(REPOSITORY / "sample/params.yaml").train
TIME_MASKS = {"mask_time_prob": 0.3, "mask_time_length": 10, "mask_time_min_masks": 2}
FEATURE_MASKS = {"mask_feature_prob": 0.3, "mask_feature_length": 10, "mask_feature_min_masks": 1}


def params(**changes):
    tree = DEFAULTS.model_dump()
    for name in ("spec_augment", "lora"):
        tree[name] |= changes.pop(name, {})
    return type(DEFAULTS).model_validate(tree | changes)


def prepared(new_ids=(), **changes):
    torch.manual_seed(0)
    switches = params(**changes)
    return adapt(load_for_training(BASE, switches), switches, list(new_ids))


def batch(own_frames=(120, 300)):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(len(own_frames), 80, 300, generator=generator) + 5  # so that no value is 0
    mask = (torch.arange(300) < torch.tensor(own_frames)[:, None]).long()
    labels = torch.randint(0, 200, (len(own_frames), 12), generator=generator)
    return {"input_features": features, "attention_mask": mask, "labels": labels}


def loss(model, training=True, **changed):
    torch.manual_seed(2)
    return model.train(training)(**batch() | changed).loss


def masked_input(model, own_frames=(120, 300)):
    """Run a model in training; return where the encoder's input was set to 0, shape = (2, 80, 300)."""
    np.random.seed(0)  # where transformers draws its masks from
    seen = []
    hook = model.model.encoder.conv1.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    model.train()(**batch(own_frames))
    hook.remove()
    return seen[0] == 0


def test_nothing_is_random_by_default():
    model = prepared()
    assert loss(model).item() == loss(model, training=False).item()
    assert not masked_input(model).any()


@pytest.mark.parametrize("switch", ["dropout", "attention_dropout", "activation_dropout"])
def test_dropout_acts_in_training_only(switch):
    model, plain = prepared(**{switch: 0.3}), prepared()
    assert loss(model).item() != loss(plain).item()
    assert loss(model, training=False).item() == loss(plain, training=False).item()


def test_time_masks_cover_frames_of_the_clip_and_never_its_padding():
    model = prepared(spec_augment=TIME_MASKS)
    masked = masked_input(model)
    assert (masked == masked[:, :1]).all()  # whole frames
    frames = masked[:, 0].sum(dim=1)
    # About 0.3 of 120 and of 300; masks may overlap, and the last one may be one too many.
    assert 20 <= frames[0] <= 36 + 10 and 60 <= frames[1] <= 90 + 10
    assert not masked[0, :, 120:299].any()
    assert loss(model, training=False).item() == loss(prepared(), training=False).item()


def test_without_the_attention_mask_masks_would_fall_on_silence():
    model = prepared(spec_augment=TIME_MASKS)
    whole_window = masked_input(model, own_frames=(300, 300))
    assert whole_window[0, 0, 120:].any()


def test_feature_masks_cover_mel_channels():
    masked = masked_input(prepared(spec_augment=FEATURE_MASKS))
    assert (masked == masked[:, :, :1]).all()
    assert 10 <= masked[0, :, 0].sum() <= 34


def test_a_frozen_encoder_gets_no_gradient():
    model = prepared(freeze_encoder=True)
    loss(model).backward()
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    assert not [name for name in with_gradient if "encoder.layers" in name or "encoder.conv" in name]
    assert "model.decoder.layers.0.fc1.weight" in with_gradient


LORA = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0}


def trained(model, steps=3):
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(steps):
        loss(model).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def test_adapters_start_as_nothing_and_are_all_that_is_trained():
    model = prepared(lora=LORA)
    assert isinstance(model, PeftModel)
    assert loss(model, training=False).item() == pytest.approx(loss(prepared(), training=False).item())
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trainable and all("lora_" in name for name in trainable)
    assert any(".encoder.layers" in name for name in trainable)


def test_adapters_are_merged_into_the_weights_that_they_name():
    model = trained(prepared(lora=LORA))
    before = loss(model, training=False).item()
    assert before < loss(prepared(), training=False).item()
    whole = merged(model)
    assert not isinstance(whole, PeftModel)
    assert loss(whole, training=False).item() == pytest.approx(before, rel=1e-5)
    base = load_for_training(BASE, params()).state_dict()
    assert whole.state_dict().keys() == base.keys()
    moved = {name for name, value in whole.state_dict().items() if not torch.equal(value, base[name])}
    assert moved and all(name.endswith(("q_proj.weight", "v_proj.weight")) for name in moved)


def test_with_a_frozen_encoder_adapters_are_in_the_decoder_only():
    model = prepared(lora=LORA, freeze_encoder=True)
    trainable = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trainable and not [name for name in trainable if ".model.encoder." in name]
    assert [name for name in trainable if "encoder_attn" in name]  # the decoder's look at the encoder


def test_beside_adapters_new_tokens_are_trained_and_old_ones_are_not():
    base = load_for_training(BASE, params()).model.decoder.embed_tokens.weight
    whole = merged(trained(prepared(new_ids=[7, 9], lora=LORA)))
    embeddings = whole.model.decoder.embed_tokens.weight
    moved = (embeddings != base).any(dim=1).nonzero().flatten().tolist()
    assert moved == [7, 9]
    assert torch.equal(whole.proj_out.weight, embeddings)


@pytest.mark.parametrize(("kind", "most"), [("time", 300), ("feature", 80)])
def test_a_mask_larger_than_the_features_is_refused(kind, most):
    masks = {f"mask_{kind}_prob": 0.1, f"mask_{kind}_length": most + 1}
    with pytest.raises(ValueError, match=f"mask_{kind}_length is {most + 1}, of {most}: set it lower"):
        prepared(spec_augment=masks)
    prepared(spec_augment=masks | {f"mask_{kind}_length": most})
    prepared(spec_augment=masks | {f"mask_{kind}_prob": 0.0})


def test_gradient_checkpointing_reaches_the_adapters():
    gradients, passes = [], []
    for recompute in (False, True):
        model = prepared(lora=LORA)
        if recompute:
            model.activation_checkpointing_enable()
        count = []
        layer = model.model.model.encoder.layers[0].fc1
        layer.register_forward_pre_hook(lambda *_, count=count: count.append(1))
        loss(model).backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
        passes.append(len(count))
    assert passes == [1, 2]  # once forward, and again for the gradients
    assert len(gradients[0]) == len(gradients[1]) > 0
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


@pytest.mark.parametrize("kind", ["eager", "sdpa"])
def test_attention_is_the_one_asked_for_and_computes_the_same(kind):
    model = prepared(attn_implementation=kind)
    assert model.config._attn_implementation == kind
    assert loss(model).item() == pytest.approx(loss(prepared()).item(), rel=1e-4)


def test_flash_attention_that_is_not_installed_is_refused():
    with pytest.raises(ValueError, match="flash_attention_2.*set it to sdpa"):
        prepared(attn_implementation="flash_attention_2")
