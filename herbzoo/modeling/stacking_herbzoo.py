"""Calibrated stacking: on field photos, species that had none in training get a head start.

A model that learned some species from sheets and photos and others from sheets alone answers field
photos with the former, whatever they show. A constant added to the scores of the latter puts that
right (Chao et al. 2016, https://arxiv.org/abs/1605.04253). Sheets do not need it, so it is weighed
by the probability that the picture is a field photo.

This file imports torch only, so that it can travel to the Hub beside the weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CalibratedStacking(nn.Module):
    """Adds an offset for each class, weighed by a logistic regression on the features.

    Args:
        in_features: width of the backbone's features.
        num_classes: classes of the head.
    """

    direction: Tensor
    intercept: Tensor
    offsets: Tensor

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("direction", torch.zeros(in_features))
        self.register_buffer("intercept", torch.zeros(()))
        self.register_buffer("offsets", torch.zeros(num_classes))

    def field_probability(self, features: Tensor) -> Tensor:
        """Returns the probability that pictures are field photos: `[B, F]` to `[B]`, float32."""
        with torch.autocast(features.device.type, enabled=False):
            return torch.sigmoid(features.float() @ self.direction.float() + self.intercept.float())

    def forward(self, logits: Tensor, features: Tensor) -> Tensor:
        """Maps `[B, C]` and `[B, F]` to scores `[B, C]`, float32."""
        field = self.field_probability(features).unsqueeze(1)
        return logits.float() + field * self.offsets.float()
