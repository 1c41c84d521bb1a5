"""CosFace: an additive margin on the cosine (Wang et al. 2018, https://arxiv.org/abs/1801.09414).

A head from outside herbzoo. It imports torch alone: what makes it a head is its shape, and what
makes herbzoo find it is one entry point in pyproject.toml.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CosFace(nn.Module):
    """Scaled cosines to class vectors; in training the true class is set back by a margin.

    Args:
        in_features: width of the embedding.
        num_classes: number of taxa.
        scale: by which cosines are multiplied; the `s` of the paper.
        margin: taken off the cosine of the true class in training; the `m` of the paper.
    """

    def __init__(
        self, in_features: int, num_classes: int, scale: float = 30.0, margin: float = 0.35
    ) -> None:
        super().__init__()
        self.scale = scale
        self.margin = margin
        self.weight = nn.Parameter(torch.empty(num_classes, in_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws class vectors of random direction."""
        nn.init.normal_(self.weight, std=0.01)

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Returns the cosine of each embedding `[B, D]` to each class vector, `[B, C]`, float32."""
        with torch.autocast(embeddings.device.type, enabled=False):
            return F.linear(F.normalize(embeddings.float()), F.normalize(self.weight.float()))

    def logits(self, embeddings: Tensor) -> Tensor:
        """Maps `[B, D]` to `[B, C]`: scaled cosines, without margin."""
        return self.scale * self.cosines(embeddings)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean cross-entropy with the margin on the true class of each `[B]` label."""
        cosines = self.cosines(embeddings)
        column = labels.unsqueeze(1)
        harder = cosines.scatter(1, column, cosines.gather(1, column) - self.margin)
        return F.cross_entropy(self.scale * harder, labels)
