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


def batch():
    """Return two clips, of 120 frames and of 300."""
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 80, 300, generator=generator) + 5  # so that no value is 0
    mask = (torch.arange(300) < torch.tensor([[120], [300]])).long()
    labels = torch.randint(0, 200, (2, 12), generator=generator)
    return {"input_features": features, "attention_mask": mask, "labels": labels}


def loss(model, training=True):
    torch.manual_seed(2)
    return model.train(training)(**batch()).loss


def masked_input(model):
    """Run a model in training; return where the encoder's input was set to 0, shape = (2, 80, 300)."""
    np.random.seed(0)  # where transformers draws its masks from
    seen = []
    hook = model.model.encoder.conv1.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    model.train()(**batch())
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


def test_feature_masks_cover_mel_channels():
    masked = masked_input(prepared(spec_augment=FEATURE_MASKS))
    assert (masked == masked[:, :, :1]).all()
    assert 10 <= masked[0, :, 0].sum() <= 34


LORA = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0}


def trained(model, steps=3):
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(steps):
        loss(model).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def test_adapters_start_as_nothing_and_are_merged_into_the_weights():
    model, plain = prepared(lora=LORA), prepared()
    start = loss(plain, training=False).item()
    assert loss(model, training=False).item() == pytest.approx(start)
    after = loss(trained(model), training=False).item()
    assert after < start
    whole = merged(model)
    assert not isinstance(whole, PeftModel) and whole.state_dict().keys() == plain.state_dict().keys()
    assert loss(whole, training=False).item() == pytest.approx(after, rel=1e-5)


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


@pytest.mark.parametrize("kind", ["eager", "sdpa"])
def test_attention_is_the_one_asked_for_and_computes_the_same(kind):
    model = prepared(attn_implementation=kind)
    assert model.config._attn_implementation == kind
    assert loss(model).item() == pytest.approx(loss(prepared()).item(), rel=1e-4)


def test_flash_attention_that_is_not_installed_is_refused():
    with pytest.raises(ValueError, match="flash_attention_2.*set it to sdpa"):
        prepared(attn_implementation="flash_attention_2")
