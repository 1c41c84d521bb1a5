"""Scores that say how little an image is like any known species; those of pytorch-ood.

All work on what the backbone sees, and on a discriminant of the known specimens, so that the same
can be done with some of the species left out. The higher a score, the stranger the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from herbzoo.discriminant import Discriminant, find_discriminant
from herbzoo.errors import HerbzooError

BLOCK = 8192
"""Rows that are scored at a time."""
MOST_DIRECTIONS = 256
"""Directions of a discriminant that scores look along."""
MOST_NEIGHBOURS = 20_000
"""Known images that nearest neighbours are looked for among; of more, some of each species."""
_NEIGHBOURS = 10
_PRINCIPAL = 5
"""ViM takes a fifth of the features' dimensions for those that known images vary along."""
_ROWS_A_DIRECTION = 4
_SMALLEST = 1e-6


@dataclass(frozen=True)
class Seen:
    """What is known of some images, `B` of them."""

    features: Tensor
    """`[B, F]`, float32, of the backbone."""
    embedded: Tensor
    """`[B, K]`, float32, along the discriminant's directions."""
    logits: Tensor
    """`[B, T]`, float32."""


Score = Callable[[Seen], Tensor]
"""Maps images to their strangeness, `[B]`."""


@dataclass(frozen=True)
class KnownSpace:
    """Known images in the space that tells their species apart best."""

    labels: Tensor
    """`[N]`, species from 0 to T - 1; each has an image."""
    seen: Seen
    """Of all `N` images."""
    discriminant: Discriminant
    temperature: float = 1.0
    """By what the discriminant's logits are divided."""

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray, field: np.ndarray) -> KnownSpace:
        """Finds the space of known images.

        Args:
            features: `[N, F]`, float32.
            labels: `[N]`, species; numbers may be missing.
            field: whether each is a field photo, `[N]`.
        """
        values = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32))
        numbers = torch.from_numpy(np.unique(labels, return_inverse=True)[1])
        species = int(numbers.max()) + 1
        # With few images a species, variation within them is known along few directions only.
        most = max(1, min(MOST_DIRECTIONS, (len(numbers) - species) // _ROWS_A_DIRECTION))
        photos = torch.from_numpy(np.array(field, dtype=bool))
        found = find_discriminant(values, numbers, photos, most=most)
        return cls(numbers, _seen(found, values), found)

    def at(self, temperature: float) -> KnownSpace:
        """Returns the same space with logits at a temperature that suits images not learned from.

        A discriminant is far too sure of itself: there are as many features as images.
        """
        scale = self.temperature / temperature
        seen = replace(self.seen, logits=self.seen.logits * scale)
        return replace(self, seen=seen, temperature=temperature)

    @property
    def directions(self) -> int:
        """Returns along how many directions species are told apart; 0 of a single species."""
        return len(self.discriminant.projection)

    def look(self, features: np.ndarray) -> Seen:
        """Brings features `[B, F]` of other images into this space."""
        seen = _seen(self.discriminant, torch.from_numpy(np.ascontiguousarray(features)))
        return replace(seen, logits=seen.logits / self.temperature)

    def embed(self, features: np.ndarray) -> Tensor:
        """Brings features `[B, F]` along the discriminant's directions: `[B, K]`, float32."""
        blocks = torch.from_numpy(np.ascontiguousarray(features)).split(BLOCK)
        return torch.cat([self.discriminant.embed(block).float() for block in blocks])

    def head(self, embedded: Tensor) -> Tensor:
        """Returns logits `[B, T]` of embeddings `[B, K]`."""
        return self.discriminant.logits(embedded.double()).float() / self.temperature


def require_pytorch_ood() -> None:
    """Checks that the library of scores is there.

    Raises:
        HerbzooError: if it is not installed.
    """
    if find_spec("pytorch_ood") is None:
        raise HerbzooError(
            "scores of novelty come from pytorch-ood, which is not installed: "
            'pip install "herbzoo[curation]"'
        )


def fit_scores(
    space: KnownSpace, names: Iterable[str], scales: Mapping[str, float] | None = None
) -> tuple[dict[str, Score], dict[str, str]]:
    """Fits scores on known images.

    Args:
        space: the known images.
        names: which of `SCORES`.
        scales: what each part of `COMBINED` is divided by; needed for that score alone.

    Returns:
        The scores by name, and for those that cannot be had of these images, why.
    """
    fitted: dict[str, Score] = {}
    refused: dict[str, str] = {}
    for name in names:
        if not space.directions and name not in WITH_ONE_SPECIES:
            refused[name] = "there is one known species only"
            continue
        if name == COMBINED:
            fitted[name] = _combined(space, scales or {})
            continue
        try:
            fitted[name] = _BUILDERS[name](space)
        except ValueError as error:  # pytorch-ood's word for too few or unsuitable images
            refused[name] = str(error)
    return fitted, refused


def score_rows(
    space: KnownSpace, scores: Mapping[str, Score], features: np.ndarray
) -> dict[str, np.ndarray]:
    """Scores images a block at a time; returns `[B]` in double precision for each score."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in scores}
    for start in range(0, len(features), BLOCK):
        seen = space.look(features[start : start + BLOCK])
        for name, score in scores.items():
            found[name].append(score(seen).double().numpy())
    return {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in found.items()}


def check_score(name: str) -> str:
    """Returns the name of a score that there is.

    Raises:
        HerbzooError: if there is none of that name; the message lists them.
    """
    if name not in SCORES:
        raise HerbzooError(f"there is no score {name!r}; there are {', '.join(SCORES)}")
    return name


def _seen(discriminant: Discriminant, features: Tensor) -> Seen:
    embedded, logits = [], []
    for block in features.split(BLOCK):
        place = discriminant.embed(block)
        embedded.append(place.float())
        logits.append(discriminant.logits(place).float())
    return Seen(features, torch.cat(embedded), torch.cat(logits))


def _on_logits(detector: str, **options: Any) -> Callable[[KnownSpace], Score]:
    def build(space: KnownSpace) -> Score:
        import pytorch_ood.detector as detectors

        made = getattr(detectors, detector)(None, **options)
        return lambda seen: made.predict_logits(seen.logits)

    return build


def _kl_matching(space: KnownSpace) -> Score:
    from pytorch_ood.detector import KLMatching

    made = KLMatching(None).fit_logits(space.seen.logits)
    return lambda seen: made.predict_logits(seen.logits)


def _mahalanobis(space: KnownSpace) -> Score:
    from pytorch_ood.detector import Mahalanobis

    made = Mahalanobis(None).fit_features(space.seen.embedded, space.labels)
    distances = _distances(made.mu, made.cov)
    made._calc_gaussian_scores = lambda z: -0.5 * distances(z)
    return lambda seen: made.predict_features(seen.embedded)


def _relative_mahalanobis(space: KnownSpace) -> Score:
    from pytorch_ood.detector import RMD

    made = RMD(None).fit_features(space.seen.embedded, space.labels)
    made._calc_gaussian_scores = _distances(made.mu, made.cov)
    return lambda seen: made.predict_features(seen.embedded)


def _distances(means: Tensor, covariance: Tensor) -> Callable[[Tensor], Tensor]:
    """Returns what gives squared Mahalanobis distances `[B, T]` to all species at once.

    pytorch-ood goes through them one by one, and there may be thousands.

    Raises:
        ValueError: if the covariance has no inverse.
    """
    root, failed = torch.linalg.cholesky_ex(covariance.double())
    if failed:
        raise ValueError("the known images vary in too few ways")
    centres = torch.linalg.solve_triangular(root, means.double().T, upper=False).T

    def distances(rows: Tensor) -> Tensor:
        whitened = torch.linalg.solve_triangular(root, rows.double().T, upper=False).T
        squares = whitened.square().sum(1, keepdim=True) + centres.square().sum(1)
        return (squares - 2 * whitened @ centres.T).clamp(min=0).float()

    return distances


def _knn(space: KnownSpace) -> Score:
    """Distance to the nearest known image; the first neighbour is the most telling."""
    from pytorch_ood.detector import KNN

    some = _some_of_each(space.labels)
    made = KNN(None, k=1).fit_features(space.seen.features[some], space.labels[some])
    return lambda seen: made.predict_features(seen.features)


def _knn_embedded(space: KnownSpace) -> Score:
    from pytorch_ood.detector import KNN

    some = _some_of_each(space.labels)
    near = min(_NEIGHBOURS // 2, len(some))
    made = KNN(None, k=near).fit_features(space.seen.embedded[some], space.labels[some])
    return lambda seen: made.predict_features(seen.embedded)


def _nn_guide(space: KnownSpace) -> Score:
    from pytorch_ood.detector import NNGuide

    some = _some_of_each(space.labels)
    made = NNGuide(None, space.head, k=min(_NEIGHBOURS, len(some)))
    made.fit_features(space.seen.embedded[some], space.labels[some])
    return lambda seen: made.predict_features(seen.embedded)


def _she(space: KnownSpace) -> Score:
    from pytorch_ood.detector import SHE

    made = SHE(None, space.head).fit_features(space.seen.embedded, space.labels)
    return lambda seen: made.predict_features(seen.embedded)


def _vim(space: KnownSpace) -> Score:
    from pytorch_ood.detector import ViM

    found = space.discriminant
    means = found.means / space.temperature
    weights = means @ found.projection
    bias = -(weights @ found.centre) - 0.5 * (means * found.means).sum(1)
    principal = max(1, min(space.seen.features.shape[1] // _PRINCIPAL, len(space.labels) // 4))
    made = ViM(None, principal, weights, bias).fit_features(space.seen.features, space.labels)
    return lambda seen: made.predict_features(seen.features)


def _fdbd(space: KnownSpace) -> Score:
    from pytorch_ood.detector import fDBD

    means = space.discriminant.means / space.temperature
    head = torch.nn.Linear(means.shape[1], len(means))
    with torch.no_grad():
        head.weight.copy_(means)
        head.bias.copy_(-0.5 * (means * space.discriminant.means).sum(1))
    made = fDBD(None, head.requires_grad_(False)).fit_features(space.seen.embedded)
    return lambda seen: made.predict_features(seen.embedded)


def _combined(space: KnownSpace, scales: Mapping[str, float]) -> Score:
    """Adds up scores that err differently, each in units of its spread over known images."""
    parts = [
        (_BUILDERS[name](space), max(scales.get(name, 1.0), _SMALLEST)) for name in COMBINED_PARTS
    ]

    def score(seen: Seen) -> Tensor:
        return torch.stack([part(seen).double() / scale for part, scale in parts]).sum(0)

    return score


def _some_of_each(labels: Tensor) -> Tensor:
    """Returns rows to look for neighbours among: all, or as many of each species as there is room.

    Species with few images keep them all.
    """
    if len(labels) <= MOST_NEIGHBOURS:
        return torch.arange(len(labels))
    order = torch.argsort(labels, stable=True)
    counts = torch.bincount(labels)
    place = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[labels[order]]
    least = torch.sort(place, stable=True).indices[:MOST_NEIGHBOURS]
    return order[least].sort().values


KNN_SCORE = "knn"
COMBINED = "combined"
COMBINED_PARTS: Sequence[str] = ("relative_mahalanobis", KNN_SCORE, "entropy")
_BUILDERS: dict[str, Callable[[KnownSpace], Score]] = {
    "max_softmax": _on_logits("MaxSoftmax"),
    "max_logit": _on_logits("MaxLogit"),
    "energy": _on_logits("EnergyBased"),
    "entropy": _on_logits("Entropy"),
    "gen": _on_logits("GEN"),
    "kl_matching": _kl_matching,
    "mahalanobis": _mahalanobis,
    "relative_mahalanobis": _relative_mahalanobis,
    KNN_SCORE: _knn,
    "knn_discriminant": _knn_embedded,
    "nn_guide": _nn_guide,
    "she": _she,
    "vim": _vim,
    "fdbd": _fdbd,
}
SCORES: tuple[str, ...] = (*_BUILDERS, COMBINED)
"""The scores that there are; `COMBINED` is the sum of three that err differently."""
WITH_ONE_SPECIES = (KNN_SCORE,)
"""Those that need no other species to compare with."""
