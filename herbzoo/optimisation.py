"""Learning rates by depth: the head fast, the backbone slowly, its first layers slowest."""

from __future__ import annotations

from typing import Any

from torch import nn

from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification
from herbzoo.recipe import OptimRecipe


def parameter_groups(
    model: HerbForImageClassification, recipe: OptimRecipe
) -> list[dict[str, Any]]:
    """Groups parameters by learning rate and weight decay.

    The backbone's last block learns at `lr * backbone_lr_scale`, each block below it at
    `layer_decay` times the one above (Howard and Ruder 2018, https://arxiv.org/abs/1801.06146,
    section 3.2; as a decay in Clark et al. 2020). A part of the head that came pretrained, which
    it lists in `layer_groups`, learns as the backbone does. Vectors and scalars are not decayed.

    Returns:
        Dicts with `params`, `lr` and `weight_decay`, the slowest first.
    """
    rates = _pretrained_rates(model.backbone, "backbone.", recipe)
    if hasattr(model.head, "layer_groups"):
        rates |= _pretrained_rates(model.head, "head.", recipe)
    grouped: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        default = recipe.lr
        if name.startswith("backbone."):  # a backbone need not say how deep its layers are
            default = recipe.lr * recipe.backbone_lr_scale
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        grouped.setdefault((rates.get(name, default), decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in sorted(grouped.items(), key=lambda item: item[0])
    ]


def _pretrained_rates(part: Any, prefix: str, recipe: OptimRecipe) -> dict[str, float]:
    groups = part.layer_groups() if hasattr(part, "layer_groups") else []
    top = recipe.lr * recipe.backbone_lr_scale
    return {
        prefix + name: top * recipe.layer_decay ** (len(groups) - 1 - depth)
        for depth, names in enumerate(groups)
        for name in names
    }
