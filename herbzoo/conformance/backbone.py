"""Checks of a backbone: images in, pooled features out."""

from __future__ import annotations

import json

import torch

from herbzoo.conformance import module
from herbzoo.conformance.report import Check, Listener, Nonconformity, run
from herbzoo.conformance.subject import Subject
from herbzoo.interfaces import Backbone, ImageSpec

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")


def check_backbone_subject(subject: Subject, listener: Listener) -> tuple[Check, ...]:
    """Runs the checks of a backbone; on the meta device, those that need no values."""
    essential = (
        module.spells_out_its_options,
        module.constructs_without_network,
        offers_what_a_backbone_must,
        says_which_images_it_wants,
        maps_images_to_out_features_on_meta,
    )
    further = (
        module.seeds_no_global_generator,
        gives_finite_features,
        gives_finite_features_in_bfloat16,
        module.answers_each_item_alone_in_eval,
        module.differs_in_training_only_by_dropout_and_norm,
        sends_gradients_to_every_parameter,
        module.saves_to_safetensors_and_comes_back,
        module.loads_through_the_meta_device,
    )
    return run(subject, essential, further if subject.device == "cpu" else (), listener)


def offers_what_a_backbone_must(subject: Subject) -> None:
    """It has the members of `herbzoo.interfaces.Backbone`."""
    part = subject.outline()
    members = ("out_features", "forward", "load_pretrained", "image_spec")
    missing = [name for name in members if not hasattr(part, name)]
    if missing or not isinstance(part, Backbone):
        raise Nonconformity(f"it lacks {', '.join(missing)}")
    if not isinstance(part.out_features, int) or part.out_features < 1:
        raise Nonconformity(f"out_features is {part.out_features!r}, not a width")


def says_which_images_it_wants(subject: Subject) -> str:
    """`image_spec()` is plain data with values that can be true."""
    plain = subject.outline().image_spec()
    try:
        spec = ImageSpec.from_dict(json.loads(json.dumps(plain)))
    except KeyError as error:
        raise Nonconformity(f"image_spec() lacks {error}") from error
    faults = {
        f"size {spec.size}": min(spec.size) < 1,
        f"mean {spec.mean}": len(spec.mean) != 3,
        f"std {spec.std}": len(spec.std) != 3 or min(spec.std) <= 0,
        f"interpolation {spec.interpolation!r}": spec.interpolation not in INTERPOLATIONS,
        f"crop_pct {spec.crop_pct}": not 0 < spec.crop_pct <= 1,
    }
    wrong = [fault for fault, found in faults.items() if found]
    if wrong:
        raise Nonconformity(f"image_spec() has {', '.join(wrong)}")
    return f"{spec.size[0]} x {spec.size[1]} pixels"


def maps_images_to_out_features_on_meta(subject: Subject) -> str:
    """On the meta device `[B, 3, H, W]` becomes `[B, out_features]`."""
    part = subject.outline()
    features = part.eval()(subject.inputs(2).to("meta"))
    if list(features.shape) != [2, part.out_features]:
        raise Nonconformity(
            f"2 images give {list(features.shape)}, but out_features is {part.out_features}"
        )
    return f"{part.out_features} features"


def gives_finite_features(subject: Subject) -> None:
    """Features are finite numbers."""
    with torch.no_grad():
        module.expect_finite(subject.build().eval()(subject.inputs(2)), "features")


def gives_finite_features_in_bfloat16(subject: Subject) -> None:
    """Features stay finite under autocast."""
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        module.expect_finite(subject.build().eval()(subject.inputs(2)), "features")


def sends_gradients_to_every_parameter(subject: Subject) -> str:
    """No trainable parameter is left out of the forward pass."""
    part = subject.build().train()
    part(subject.inputs(2)).square().mean().backward()
    return module.expect_gradients(part)
