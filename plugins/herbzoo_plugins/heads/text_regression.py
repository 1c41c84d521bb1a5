"""From texts to images in closed form."""

from __future__ import annotations

import torch
from torch import Tensor


def regress(texts: Tensor, means: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Fits class means by their texts, linearly, with ridge regression.

    From text to image, and not back, because nearest neighbours in the space of the images are
    less often the same few hubs (Shigeto et al. 2015, https://arxiv.org/abs/1507.00825).

    Args:
        texts: `[n, T]`.
        means: `[n, D]` of images.
        ridge: how far to shrink, relative to the variance of the texts.

    Returns:
        Weight `[D, T]` and bias `[D]`, double precision.
    """
    texts, means = texts.double(), means.double()
    centre = texts.mean(dim=0)
    apart = texts - centre
    gram = apart.T @ apart
    spread = apart.square().sum(dim=1).mean().clamp(min=1e-12)
    gram.diagonal().add_(ridge * spread)
    weight = torch.linalg.solve(gram, apart.T @ means).T
    return weight, means.mean(dim=0) - weight @ centre
