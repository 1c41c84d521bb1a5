"""Every registered backbone and head keeps the contract, and one of each family learns."""

from __future__ import annotations

import pytest
import torch
from tiny import BACKBONES, HEADS, SIZE
from torch import nn
from torch.nn import functional as F

from herbzoo import registry
from herbzoo.conformance import assert_conforms

SMALL = {name: {"image_size": SIZE, **options} for name, options in BACKBONES.items()}
NAMES = [name for name in registry.names("backbones") if name not in ("timm", *SMALL)]


def family(name: str) -> str:
    """What stands before the size: swinv2 of swinv2_tiny, timm of timm:test_vit."""
    return name.partition(":")[0].partition("_")[0]


@pytest.mark.parametrize("name", SMALL)
def test_one_of_each_family_keeps_the_whole_contract(name: str):
    assert_conforms("backbones", name, **SMALL[name])


@pytest.mark.parametrize("name", [*NAMES, "timm:vit_large_patch14_dinov2", *SMALL])
def test_every_backbone_keeps_the_contract_at_its_full_size_on_the_meta_device(name: str):
    assert_conforms("backbones", name, meta_only=True)


@pytest.mark.parametrize("name", registry.names("heads"))
def test_every_head_keeps_the_contract(name: str):
    assert_conforms("heads", name, **HEADS.get(name, {}))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("arcface", {"sub_centers": 3, "margin_warmup_steps": 0}),
        ("arcface", {"rare_margin": 0.5, "prototypes": True}),
        ("arcface", {"sample_rate": 0.5, "sub_centers": 2}),
        ("clip_text", {**HEADS["clip_text"], "tuned_layers": -1}),
        ("clip_text", {**HEADS["clip_text"], "pooling": "eos"}),
        ("softmax", {"label_smoothing": 0.0}),
        ("softmax", {"logit_adjustment": 1.0, "class_weighting": 0.9}),
        ("softmax", {"cosine": True}),
    ],
    ids=str,
)
def test_heads_keep_the_contract_under_other_options(name: str, options: dict):
    assert_conforms("heads", name, **options)


def test_every_family_has_one_that_is_really_run():
    assert {family(name) for name in registry.names("backbones")} == set(map(family, SMALL))


@pytest.mark.parametrize("name", SMALL)
def test_one_of_each_family_learns(name: str):
    """Two classes of noise, one brighter: a few steps must tell them apart."""
    torch.manual_seed(0)
    variant = name.partition(":")[2]
    part = registry.load("backbones", name)(*filter(None, [variant]), **SMALL[name])
    classifier = nn.Linear(part.out_features, 2)
    labels = torch.tensor([0, 1] * 4)
    images = 0.5 * torch.randn(8, 3, SIZE, SIZE) + labels.view(-1, 1, 1, 1)
    parameters = [*part.parameters(), *classifier.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3)
    losses = []
    for _ in range(8):
        loss = F.cross_entropy(classifier(part(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0], losses
