"""Neck and class vectors in closed form: linear discriminants of the backbone's features.

Gradient steps shape the classes against one another, so those with images of one domain alone
never learn the other. A discriminant analysis pools what varies within classes, the change of
domain among it, over all classes, and so lends it to those.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from herbzoo.errors import RecipeError
from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification
from herbzoo.modeling.necks_herbzoo import LinearBatchNorm

logger = logging.getLogger(__name__)

SHRINKAGE = 0.1
"""How far the covariance within classes is drawn to a multiple of the identity; features are many
and images few (Ledoit and Wolf 2004, doi:10.1016/S0047-259X(03)00096-4)."""


def check_discriminant(model: HerbForImageClassification) -> None:
    """Refuses models whose neck or head cannot be set.

    Raises:
        RecipeError: if the neck is not linear, or the head takes no class means.
    """
    neck, head = model.config.neck["name"], model.config.head["name"]
    if not isinstance(model.neck, LinearBatchNorm):
        raise RecipeError(f"training.discriminant sets a linear neck, and this one is {neck!r}")
    if not getattr(model.head, "has_prototypes", False):
        raise RecipeError(
            f"training.discriminant sets class means, which the head {head!r} does not score by: "
            "choose one with the option prototypes, and switch it on (--set head.prototypes=true)"
        )


@torch.no_grad()
def fit_discriminant(
    model: HerbForImageClassification, features: Tensor, labels: Tensor, field: Tensor
) -> None:
    """Sets neck and class means from the features of training images.

    The neck becomes the projection onto the directions that separate classes best, relative to the
    variation within them (Fisher 1936, doi:10.1111/j.1469-1809.1936.tb02137.x; Rao 1948); the
    embedding of `D` values then has at most `min(D, C - 1)` that are not zero. Both domains weigh
    the same in the mean of a class and in the variation within classes.

    Args:
        model: with a linear neck, and a head that takes class means.
        features: `[N, F]` of the backbone.
        labels: class indices `[N]`; every class has one image at least.
        field: whether each is a field photo, `[N]`.
    """
    features = features.double()
    classes = int(labels.max()) + 1
    per_domain = [_means(features[rows], labels[rows], classes) for rows in (~field, field)]
    there = torch.stack([known for _, known in per_domain]).unsqueeze(-1)
    means = torch.stack([mean for mean, _ in per_domain])
    means = (means * there).sum(0) / there.sum(0).clamp(min=1)
    apart = features - means[labels]
    shares = [1 / int(rows.sum()) for rows in (~field, field) if rows.any()]
    weights = torch.where(field, shares[-1], shares[0]) / len(shares)
    within = (apart * weights.unsqueeze(1)).T @ apart
    identity = torch.eye(len(within), dtype=within.dtype)
    within = (1 - SHRINKAGE) * within + SHRINKAGE * within.diagonal().mean() * identity
    root = torch.linalg.cholesky(within)
    centre = means.mean(0)
    whitened = torch.linalg.solve_triangular(root, (means - centre).T, upper=False).T
    directions = torch.linalg.svd(whitened, full_matrices=False)[2]
    kept = min(model.neck.out_features, classes - 1, len(directions))
    # Rows of the projection: a direction, seen from before the whitening.
    projection = torch.linalg.solve_triangular(root.T, directions[:kept].T, upper=True).T
    _set_neck(model.neck, projection, centre)
    embedded = whitened @ directions[:kept].T
    padded = torch.nn.functional.pad(embedded, (0, model.neck.out_features - kept))
    model.head.set_prototypes(padded.float(), torch.arange(classes))


def field_direction(features: Tensor, field: Tensor) -> tuple[Tensor, float]:
    """Fits a logistic regression that tells field photos from sheets.

    Args:
        features: `[N, F]`.
        field: whether each is a field photo, `[N]`; both kinds occur.

    Returns:
        Weights `[F]` and intercept, for features as they are.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    steps = make_pipeline(
        StandardScaler(), LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000)
    ).fit(features.double().numpy(), field.numpy())
    scaler, regression = steps[0], steps[1]
    weights = regression.coef_[0] / scaler.scale_
    intercept = float(regression.intercept_[0] - weights @ scaler.mean_)
    logger.info("field photos told from sheets: %.3f", steps.score(features.numpy(), field.numpy()))
    return torch.from_numpy(np.asarray(weights, dtype=np.float32)), intercept


def _means(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Returns class means `[C, F]`, and which classes there are."""
    sums = torch.zeros(classes, features.shape[1], dtype=features.dtype)
    sums.index_add_(0, labels, features)
    counts = torch.bincount(labels, minlength=classes)
    return sums / counts.clamp(min=1).unsqueeze(1), counts > 0


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
