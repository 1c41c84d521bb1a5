"""Cross-entropy over scaled cosines with an angular margin, as one operation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

EPSILON = 1e-12
"""Shorter class vectors are divided by this, as `torch.nn.functional.normalize` does."""
SMALLEST_SQUARED_SINE = 2e-6
"""Nearer to 0 and 180 degrees the derivative of the margin would grow without bound."""
BLOCK = 2048
"""Vectors that a CPU takes at a time: 2 MB of them at a width of 256."""


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
    pass over the scores a dozen times; here the gradient is the only tensor of that size, and a
    step costs about what a linear classifier costs without a margin.

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
    return scores if centres == 1 else scores.view(scores.shape[0], -1, centres).amax(dim=-1)


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
    """Goes through the vectors in blocks, so that each is in the processor's cache when needed.

    Where probabilities and scores are kept for the way back, the true columns already hold what
    their gradient needs: its slope, and the cosine without the margin.
    """

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
        column, rows, classes = columns.unsqueeze(1), len(columns), len(vectors) // centres
        factors = vectors.new_empty(len(vectors))
        scores = directions.new_empty(rows, classes)
        nearest = None if centres == 1 else columns.new_empty(rows, classes)
        for some, held in _blocks(vectors, centres):
            factors[held] = _factors(vectors[held], scale)
            products = F.linear(directions, vectors[held])
            if nearest is None:
                torch.mul(products, factors[held], out=scores[:, some])
            else:
                products = products.mul_(factors[held]).view(rows, -1, centres)
                scores[:, some], nearest[:, some] = products.max(dim=-1)
        plain = scores.gather(1, column)
        widened, slopes = widen(plain / scale, margins.to(plain.dtype).unsqueeze(1))
        target = scale * widened
        forces = torch.softmax(scores.scatter_(1, column, target), dim=1)
        best, place = scores.max(dim=1, keepdim=True)
        normaliser = best - forces.gather(1, place).log()
        forces.scatter_(1, column, (target - normaliser).expm1() * slopes)
        scores.scatter_(1, column, plain)
        ctx.save_for_backward(directions, vectors, factors, scores, forces, nearest)
        ctx.scale, ctx.centres = scale, centres
        return (normaliser - target).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        directions, vectors, factors, scores, forces, nearest = ctx.saved_tensors
        share = gradient / len(directions)
        shares = directions * share
        to_directions = torch.zeros_like(directions)
        to_vectors = torch.empty_like(vectors) if ctx.needs_input_grad[1] else None
        with torch.autocast(directions.device.type, enabled=False):
            for some, held in _blocks(vectors, ctx.centres):
                force, along = forces[:, some], forces[:, some] * scores[:, some]
                if nearest is not None:
                    force, along = (
                        _to_nearest(each, nearest[:, some], ctx.centres) for each in (force, along)
                    )
                force = force * factors[held]
                to_directions.addmm_(force, vectors[held])
                if to_vectors is None:
                    continue
                # A cosine does not change with its vector's length: what points along it goes.
                lengths = (factors[held] / ctx.scale).square_().mul_(along.sum(dim=0)).mul_(share)
                block = torch.mm(force.T, shares, out=to_vectors[held])
                block.addcmul_(vectors[held], lengths.unsqueeze(1), value=-1)
        return to_directions.mul_(share), to_vectors, None, None, None, None


def _blocks(vectors: Tensor, centres: int) -> Iterator[tuple[slice, slice]]:
    """Yields the classes and the vectors of each block; one block where caches do not matter."""
    classes = len(vectors) // centres
    step = max(1, BLOCK // centres) if vectors.device.type == "cpu" else classes
    for start in range(0, classes, step):
        end = min(start + step, classes)
        yield slice(start, end), slice(start * centres, end * centres)


def _to_nearest(values: Tensor, nearest: Tensor, centres: int) -> Tensor:
    """Spreads `[B, K]` to `[B, K * centres]`: the nearest centres' columns, and zeros."""
    spread = values.new_zeros(*values.shape, centres)
    return spread.scatter_(2, nearest.unsqueeze(2), values.unsqueeze(2)).flatten(1)
