"""Sizes: portrait sheets, and inputs other than the one a model was built for."""

from __future__ import annotations

import pytest
import torch
from tiny import BACKBONES, TAXONOMY, save_run

from herbzoo.build import build, load_run
from herbzoo.errors import RecipeError
from herbzoo.interfaces import PartSpec

FREE = [name for name in BACKBONES if name != "timm:test_convnext"]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_portrait_size_is_kept_through_model_processor_and_file(backbone, tmp_path):
    model, processor = build(
        PartSpec(backbone, BACKBONES[backbone]),
        PartSpec("identity"),
        PartSpec("softmax"),
        TAXONOMY,
        image_size=[96, 64],
        pretrained_backbone=False,
    )
    run = load_run(save_run(tmp_path, model, processor))
    assert run.processor.crop_size == {"height": 96, "width": 64}
    assert run.model.eval()(torch.randn(1, 3, 96, 64)).logits.shape == (1, 3)


@pytest.mark.parametrize("backbone", FREE)
@pytest.mark.parametrize("shape", [(64, 64), (128, 96), (72, 100)])
def test_families_take_sizes_other_than_the_one_they_were_built_for(backbone, shape):
    model, _ = build(
        PartSpec(backbone, BACKBONES[backbone]),
        PartSpec("identity"),
        PartSpec("softmax"),
        TAXONOMY,
        image_size=64,
        pretrained_backbone=False,
    )
    features = model.eval().backbone(torch.randn(2, 3, *shape))
    assert features.shape == (2, model.backbone.out_features)
    assert features.isfinite().all()


def test_a_vision_transformer_of_fixed_size_is_built_for_the_size_asked():
    model, processor = build(
        PartSpec("timm:test_vit"),
        PartSpec("identity"),
        PartSpec("softmax"),
        TAXONOMY,
        image_size=[96, 64],
        pretrained_backbone=False,
    )
    assert processor.crop_size == {"height": 96, "width": 64}
    assert model.eval()(torch.randn(1, 3, 96, 64)).logits.isfinite().all()


@pytest.mark.parametrize("backbone", ["swin_tiny", "timm:test_vit"])
def test_a_size_that_patches_do_not_fill_is_refused_when_the_model_is_built(backbone):
    parts = PartSpec(backbone), PartSpec("identity"), PartSpec("softmax"), TAXONOMY
    with pytest.raises(RecipeError, match=r"multiple of \(\d+, \d+\) pixels"):
        build(*parts, image_size=150, pretrained_backbone=False)
