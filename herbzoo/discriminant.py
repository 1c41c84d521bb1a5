"""Linear discriminants of the backbone's features, and neck and class vectors made of them.

Gradient steps shape the classes against one another, so those with images of one domain alone
never learn the other. A discriminant analysis pools what varies within classes, the change of
domain among it, over all classes, and so lends it to those.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from herbzoo.errors import RecipeError, RunError
from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification
from herbzoo.modeling.necks_herbzoo import LinearBatchNorm

logger = logging.getLogger(__name__)

SHRINKAGE = 0.1
"""How far the covariance within classes is drawn to a multiple of the identity; features are many
and images few (Ledoit and Wolf 2004, doi:10.1016/S0047-259X(03)00096-4)."""
BLOCK = 8192
"""Images whose features are looked at together."""
MOST_TO_TELL = 20_000
"""Images of a domain that suffice to tell it from the other."""


def check_discriminant(model: HerbForImageClassification) -> None:
    """Refuses models whose neck or head cannot be set.

    Raises:
        RecipeError: if the neck is not linear, or the head takes no class means.
    """
    neck, head = model.config.neck["name"], model.config.head["name"]
    if not isinstance(model.neck, LinearBatchNorm):
        raise RecipeError(f"training.discriminant sets a linear neck, and this one is {neck!r}")
    if not (hasattr(model.head, "fit_means") or getattr(model.head, "has_prototypes", False)):
        raise RecipeError(
            f"training.discriminant sets class means, which the head {head!r} does not score by: "
            "choose one with the option prototypes, and switch it on (--set head.prototypes=true)"
        )


@dataclass(frozen=True)
class Discriminant:
    """What tells `T` classes apart in a space of `F` features; all in double precision."""

    projection: Tensor
    """`[K, F]`: onto the directions that separate classes best, in units of the variation within
    them, the most telling first."""
    centre: Tensor
    """`[F]`, the mean of the class means."""
    means: Tensor
    """`[T, K]`, of the classes, projected."""
    classes: Tensor
    """`[T]`, their numbers among the labels, ascending."""

    def embed(self, features: Tensor) -> Tensor:
        """Projects features `[N, F]`; returns `[N, K]`."""
        return (features.double() - self.centre) @ self.projection.T

    def logits(self, embedded: Tensor) -> Tensor:
        """Scores embeddings `[N, K]` for each class; returns `[N, T]`.

        Up to what all classes of a row have in common, these are the log densities of Gaussians
        around the means with the covariance within classes (Rao 1948); all classes are held equally
        likely beforehand.
        """
        return embedded @ self.means.T - 0.5 * self.means.square().sum(1)


@torch.no_grad()
def find_discriminant(
    features: Tensor,
    labels: Tensor,
    field: Tensor,
    chosen: Tensor | None = None,
    *,
    shrinkage: float = SHRINKAGE,
    most: int | None = None,
) -> Discriminant:
    """Finds the linear discriminants of features.

    Both domains weigh the same in the mean of a class and in the variation within classes. Where
    nothing varies within classes, every direction counts the same.

    Args:
        features: `[N, F]`, or `[views, N, F]`; they are read a block at a time.
        labels: class indices `[N]`; classes without a chosen image are left out.
        field: whether each is a field photo, `[N]`.
        chosen: which images to learn from, `[N]`; all, if not given.
        shrinkage: see `SHRINKAGE`; from 0 to 1.
        most: directions to keep; all that separate classes, one less than these, if not given.

    Raises:
        RunError: if features are not finite, as those of a training that has diverged.
    """
    views = features if features.ndim == 3 else features.unsqueeze(0)
    rows = torch.arange(len(labels)) if chosen is None else chosen.nonzero().squeeze(1)
    classes = int(labels.max()) + 1
    means = _class_means(views, rows, labels, field, classes)
    within = _variation_within(views, rows, means, labels, field)
    there = labels[rows].unique()
    means = means[there]
    scale = within.diagonal().mean()
    if not torch.isfinite(within).all():
        raise RunError(
            "the backbone's features are not finite, so its training has diverged: lower --lr"
        )
    identity = torch.eye(len(within), dtype=within.dtype)
    within = (1 - shrinkage) * within + shrinkage * scale * identity if scale > 0 else identity
    root = torch.linalg.cholesky(within)
    centre = means.mean(0)
    whitened = torch.linalg.solve_triangular(root, (means - centre).T, upper=False).T
    directions = torch.linalg.svd(whitened, full_matrices=False)[2]
    kept = min(len(there) - 1, len(directions), len(there) if most is None else most)
    # Rows of the projection: a direction, seen from before the whitening.
    projection = torch.linalg.solve_triangular(root.T, directions[:kept].T, upper=True).T
    return Discriminant(projection, centre, whitened @ directions[:kept].T, there)


@torch.no_grad()
def fit_discriminant(
    model: HerbForImageClassification,
    features: Tensor,
    labels: Tensor,
    field: Tensor,
    chosen: Tensor | None = None,
) -> None:
    """Sets neck and class means from the features of training images.

    The neck becomes the projection onto the directions that separate classes best, relative to the
    variation within them (Fisher 1936, doi:10.1111/j.1469-1809.1936.tb02137.x; Rao 1948); the
    embedding of `D` values then has at most `min(D, C - 1)` that are not zero.

    Args:
        model: with a linear neck, and a head that takes class means.
        features: as `find_discriminant` takes them, of the backbone.
        labels: class indices `[N]`; classes without a chosen image keep what they have.
        field: whether each is a field photo, `[N]`.
        chosen: which images to learn from, `[N]`; all, if not given.

    Raises:
        RunError: if features are not finite, as those of a training that has diverged.
    """
    width = model.neck.out_features
    found = find_discriminant(features, labels, field, chosen, most=width)
    _set_neck(model.neck, found.projection, found.centre)
    padded = torch.nn.functional.pad(found.means, (0, width - found.means.shape[1]))
    settle = getattr(model.head, "fit_means", None) or model.head.set_prototypes
    settle(padded.float(), found.classes)


def field_direction(features: Tensor, field: Tensor) -> tuple[Tensor, float]:
    """Fits a logistic regression that tells field photos from sheets.

    Args:
        features: `[N, F]`; of a domain with very many images, some at even distances are taken.
        field: whether each is a field photo, `[N]`; both kinds occur.

    Returns:
        Weights `[F]` and intercept, for features as they are.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = torch.cat([_some(domain.nonzero().squeeze(1)) for domain in (~field, field)])
    known, truth = features[rows].double().numpy(), field[rows].numpy()
    steps = make_pipeline(
        StandardScaler(), LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000)
    ).fit(known, truth)
    scaler, regression = steps[0], steps[1]
    weights = regression.coef_[0] / scaler.scale_
    intercept = float(regression.intercept_[0] - weights @ scaler.mean_)
    logger.info("field photos told from sheets: %.3f", steps.score(known, truth))
    return torch.from_numpy(np.asarray(weights, dtype=np.float32)), intercept


def _some(rows: Tensor) -> Tensor:
    return rows[:: max(1, -(-len(rows) // MOST_TO_TELL))]


def _blocks(views: Tensor, rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields features of some rows in double precision, and which rows they are, view by view."""
    for view in views:
        for block in rows.split(BLOCK):
            yield view[block].double(), block


def _class_means(
    views: Tensor, rows: Tensor, labels: Tensor, field: Tensor, classes: int
) -> Tensor:
    """Returns class means `[C, F]`, in which both domains weigh the same where there are both."""
    cells = labels + classes * field  # classes on sheets, then classes on photos
    sums = torch.zeros(2 * classes, views.shape[-1], dtype=torch.double)
    for values, block in _blocks(views, rows):
        sums.index_add_(0, cells[block], values)
    counts = torch.bincount(cells[rows], minlength=2 * classes).unsqueeze(1) * len(views)
    means = (sums / counts.clamp(min=1)).view(2, classes, -1)
    there = (counts > 0).view(2, classes, 1)
    return means.sum(0) / there.sum(0).clamp(min=1)


def _variation_within(
    views: Tensor, rows: Tensor, means: Tensor, labels: Tensor, field: Tensor
) -> Tensor:
    """Returns the covariance within classes `[F, F]`, in which both domains weigh the same."""
    domains = [int(found.sum()) * len(views) for found in (~field[rows], field[rows])]
    shares = torch.tensor([1 / max(count, 1) for count in domains], dtype=torch.double)
    shares /= sum(count > 0 for count in domains)
    within = torch.zeros(views.shape[-1], views.shape[-1], dtype=torch.double)
    for values, block in _blocks(views, rows):
        apart = values - means[labels[block]]
        within += (apart * shares[field[block].long()].unsqueeze(1)).T @ apart
    return within


def _set_neck(neck: LinearBatchNorm, projection: Tensor, centre: Tensor) -> None:
    kept = len(projection)
    neck.linear.weight.zero_()
    neck.linear.weight[:kept] = projection.to(neck.linear.weight)
    values = neck.norm.state_dict()  # the tensors themselves
    values["running_mean"].zero_()
    values["running_mean"][:kept] = (projection @ centre).to(values["running_mean"])
    values["running_var"].fill_(1.0)
    values["weight"].fill_(1.0)
    values["bias"].zero_()
