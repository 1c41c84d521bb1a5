"""ArcFace: an angular margin between classes (Deng et al. 2019, arXiv:1801.07698)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ArcFace(nn.Module):
    """Scaled cosines to class vectors; in training the true class must win by a margin.

    Angles are computed in single precision with autocast off, and kept away from 0 and 180
    degrees, where the derivative of `acos` is infinite. The margin lives in `loss` alone, so
    inference never sees a label.

    Args:
        in_features: width of the embedding.
        num_classes: number of taxa.
        scale: by which cosines are multiplied; the `s` of the paper.
        margin: angle in radians that the true class is set back by; the `m` of the paper.
        margin_warmup_steps: training batches over which the margin grows from zero.
        sub_centers: class vectors of each class, of which the nearest counts (Deng et al. 2020,
            "Sub-center ArcFace"): mislabelled and deviant specimens gather at a centre of their
            own.
    """

    steps: Tensor

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        scale: float = 30.0,
        margin: float = 0.3,
        margin_warmup_steps: int = 100,
        sub_centers: int = 1,
    ) -> None:
        super().__init__()
        if scale <= 0 or not 0 <= margin < math.pi / 2 or sub_centers < 1:
            raise ValueError(
                f"scale {scale} must be positive, margin {margin} in [0, pi/2) and sub_centers "
                f"{sub_centers} at least 1"
            )
        self.scale = scale
        self.margin = margin
        self.margin_warmup_steps = margin_warmup_steps
        self.sub_centers = sub_centers
        self.num_classes = num_classes
        self.weight = nn.Parameter(torch.empty(num_classes * sub_centers, in_features))
        # Saved with the model, so that a resumed run does not warm up twice.
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws class vectors of random direction and starts the margin warm-up anew."""
        nn.init.normal_(self.weight, std=0.01)
        self.steps.zero_()

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Returns the cosine of `[B, D]` to the nearest centre of each class, `[B, C]`, float32."""
        with torch.autocast(embeddings.device.type, enabled=False):
            cosines = F.linear(
                F.normalize(embeddings.float(), dim=-1), F.normalize(self.weight.float(), dim=-1)
            )
        if self.sub_centers == 1:
            return cosines
        return cosines.view(-1, self.num_classes, self.sub_centers).amax(dim=-1)

    def current_margin(self) -> Tensor:
        """Returns the margin in radians at this step of the warm-up, a scalar."""
        warmup = max(1, self.margin_warmup_steps)
        done = self.steps.clamp(max=warmup) if self.margin_warmup_steps > 0 else warmup
        return torch.as_tensor(self.margin * done / warmup, device=self.steps.device)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Maps `[B, D]` to `[B, C]`: scaled cosines, without margin."""
        return self.scale * self.cosines(embeddings)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean cross-entropy with the margin on the true class.

        Args:
            embeddings: `[B, D]`.
            labels: class indices `[B]`.
        """
        margin = self.current_margin()
        if self.training:
            self.steps += 1
        cosines = self.cosines(embeddings)
        column = labels.unsqueeze(1)
        target = cosines.gather(1, column).clamp(-1 + 1e-6, 1 - 1e-6)
        # Beyond pi - m adding the margin would raise the cosine again; go on falling linearly.
        widened = torch.where(
            target > -torch.cos(margin),
            torch.cos(torch.acos(target) + margin),
            target - margin * torch.sin(margin),
        )
        return F.cross_entropy(self.scale * cosines.scatter(1, column, widened), labels)
