"""Cross-entropy over scaled cosines with an angular margin, as one operation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

EPSILON = 1e-12
"""Shorter class vectors are divided by this, as `torch.nn.functional.normalize` does."""
SMALLEST_SQUARED_SINE = 2e-6
"""Nearer to 0 and 180 degrees the derivative of the margin would grow without bound."""


def margin_cross_entropy(
    directions: Tensor,
    vectors: Tensor,
    columns: Tensor,
    margins: Tensor,
    scale: float,
    centres: int = 1,
) -> Tensor:
    """Returns the mean cross-entropy of ArcFace (Deng et al. 2019, arXiv:1801.07698, eq. 3).

    It equals normalising the class vectors, multiplying, putting the margin on the true column and
    calling `cross_entropy`. Left to autograd these keep four tensors of the size of `vectors` and
    pass over the scores a dozen times; here the gradient is the only tensor of that size, and the
    margin costs about what a linear classifier costs without one.

    Args:
        directions: embeddings of unit length `[B, D]`.
        vectors: class vectors of any length `[K * centres, D]`, the centres of a class together.
        columns: which of the `K` classes is true, `[B]`.
        margins: angle in radians by which the true class is set back, `[B]`.
        scale: multiplier of the cosines.
        centres: vectors of each class, of which the nearest counts.
    """
    return _MarginCrossEntropy.apply(directions, vectors, columns, margins, scale, centres)


def scaled_cosines(directions: Tensor, vectors: Tensor, scale: float, centres: int = 1) -> Tensor:
    """Returns `[B, K]`: the cosine to the nearest centre of each class, times `scale`.

    The products are divided by the vectors' lengths, not the vectors: that spares a copy of them.
    """
    scores = F.linear(directions, vectors).mul_(_factors(vectors, scale))
    return scores if centres == 1 else scores.view(len(scores), -1, centres).amax(dim=-1)


def widen(cosines: Tensor, margins: Tensor) -> tuple[Tensor, Tensor]:
    """Returns `cos(angle + margin)` and its derivative by `cos(angle)`.

    Beyond `pi - margin` the cosine would rise again; there it goes on falling linearly.
    """
    sines = (1 - cosines.square()).clamp_min(SMALLEST_SQUARED_SINE).sqrt()
    cos_margins, sin_margins = torch.cos(margins), torch.sin(margins)
    within = cosines > -cos_margins
    widened = torch.where(
        within, cosines * cos_margins - sines * sin_margins, cosines - margins * sin_margins
    )
    slopes = torch.where(within, cos_margins + cosines / sines * sin_margins, 1.0)
    return widened, slopes


def _factors(vectors: Tensor, scale: float) -> Tensor:
    """Returns scale over length of each vector."""
    return scale / torch.linalg.vector_norm(vectors, dim=1).clamp_min(EPSILON)


class _MarginCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        directions: Tensor,
        vectors: Tensor,
        columns: Tensor,
        margins: Tensor,
        scale: float,
        centres: int,
    ) -> Tensor:
        column = columns.unsqueeze(1)
        factors = _factors(vectors, scale)
        scores = F.linear(directions, vectors).mul_(factors)
        nearest = None
        if centres > 1:
            scores, nearest = scores.view(len(scores), -1, centres).max(dim=-1)
        plain = scores.gather(1, column)
        widened, slopes = widen(plain / scale, margins.to(plain.dtype).unsqueeze(1))
        logs = torch.log_softmax(scores.scatter_(1, column, scale * widened), dim=1)
        target = logs.gather(1, column)
        ctx.save_for_backward(
            *(directions, vectors, column, factors, logs, nearest),
            *(plain, scale * widened - target, target.expm1() * slopes),
        )
        ctx.scale, ctx.centres = scale, centres
        return -target.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        directions, vectors, column, factors, logs, nearest, *of_items = ctx.saved_tensors
        plain, normaliser, pulls = of_items  # [B, 1] each
        share = gradient / len(logs)
        forces = logs.exp().scatter_(1, column, pulls)
        scores = (logs + normaliser).scatter_(1, column, plain)
        # A cosine does not change with its vector's length: what points along the vector goes.
        along = scores.mul_(forces)
        if ctx.centres > 1:
            forces, along = (_to_nearest(each, nearest, ctx.centres) for each in (forces, along))
        along = along.sum(dim=0).mul_((factors / ctx.scale).square_()).mul_(share)
        forces.mul_(factors)
        with torch.autocast(directions.device.type, enabled=False):
            to_directions = (forces @ vectors).mul_(share)
            to_vectors = None
            if ctx.needs_input_grad[1]:
                to_vectors = forces.T @ (directions * share)
                to_vectors.addcmul_(vectors, along.unsqueeze(1), value=-1)
        return to_directions, to_vectors, None, None, None, None


def _to_nearest(values: Tensor, nearest: Tensor, centres: int) -> Tensor:
    """Spreads `[B, K]` to `[B, K * centres]`: the nearest centres' columns, and zeros."""
    spread = values.new_zeros(*values.shape, centres)
    return spread.scatter_(2, nearest.unsqueeze(2), values.unsqueeze(2)).flatten(1)
