"""Losses between images and names, beside the cross-entropy over the names."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def names_to_images(logits: Tensor, labels: Tensor, present: Tensor) -> Tensor:
    """Returns the loss from names to images: which images of the batch are of this name.

    All images of a name are its positives, and share its target evenly (Khosla et al. 2020,
    https://arxiv.org/abs/2004.11362, equation 2, with names as anchors).

    Args:
        logits: `[B, n]`, of images and the names present among them.
        labels: class indices `[B]`.
        present: class indices `[n]`, each occurring in `labels`.
    """
    own = labels.unsqueeze(1) == present
    shares = (logits.log_softmax(dim=0) * own).sum(dim=0) / own.sum(dim=0)
    return -shares.mean()


def rank_loss(logits: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    """Returns the cross-entropy over groups of classes, whose probabilities are those of their own.

    Args:
        logits: `[B, C]`.
        labels: class indices `[B]`.
        groups: the group of each class, `[C]`.
    """
    own = groups[labels].unsqueeze(1) == groups
    inside = logits.masked_fill(~own, -torch.inf).logsumexp(dim=1)
    return (logits.logsumexp(dim=1) - inside).mean()


def numbered(names: Sequence[str], count: int) -> Tensor:
    """Numbers `count` taxa by a name that they share; one without is a group of its own."""
    numbers: dict[str, int] = {}
    return torch.tensor(
        [
            count + numbers.setdefault(name, len(numbers)) if name else row
            for row, name in enumerate(names or [""] * count)
        ]
    )
