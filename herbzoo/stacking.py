"""How much to favour species without images, learned on species whose images are withheld.

The offset of `herbzoo.modeling.stacking_herbzoo`, for species without field photos, and that of a
head that reads names, for species without any image, must not be chosen on test rows; and of the
species they are for there is no image to choose on. So they are chosen on species that have some:
these are withheld, and the offset that serves the withheld and the others alike is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from herbzoo.data.batches import class_indices
from herbzoo.data.records import FIELD, HERBARIUM
from herbzoo.data.splits import hold_out
from herbzoo.errors import DataError
from herbzoo.prepared import Prepared
from herbzoo.recipe import OptimRecipe

SEEN_SHARE = 0.25
"""Share of the field photos of all other species that is measured on, too."""
STEPS = 101
"""Offsets that are tried."""


@dataclass(frozen=True)
class Withheld:
    """Training rows that an offset is chosen on."""

    rows: np.ndarray
    """Mask of the training rows that are measured on, of both kinds."""
    unseen: np.ndarray
    """Mask of those, over the training rows, whose species keeps no image of their kind."""
    hidden: np.ndarray
    """Mask of the training rows that are not learned from: `rows` and, of species of which nothing
    is to be seen, all others."""
    species: tuple[str, ...]

    @property
    def seen_count(self) -> int:
        """How many of the rows are of species that keep images."""
        return int((self.rows & ~self.unseen).sum())


@dataclass(frozen=True)
class Round:
    """What the offset does to the withheld rows of one round."""

    species: tuple[str, ...]
    """Those that were withheld."""
    unseen: int
    """Images of them that were measured on."""
    seen: int
    """Withheld images of the others."""
    before: float
    """Harmonic mean of the top-1 on both, without an offset."""
    after: float
    """The same with the offset chosen over all rounds."""


@dataclass(frozen=True)
class Stacking:
    """A chosen offset and how it was found: what `stacking.json` holds."""

    offset: float
    """Added to the logits of species without images."""
    favoured: int
    """Species it is added for; those that are known by name alone come later."""
    rounds: tuple[Round, ...]
    hubness: float = 0.0
    """How much of what names have in common with the mean image is taken off."""

    def to_dict(self) -> dict[str, Any]:
        """Returns nested plain values."""
        return asdict(self)


def turns(optim: OptimRecipe) -> range:
    """Returns the rounds; only one with a trained backbone, which must not see what is withheld."""
    return range(optim.stacking_rounds if optim.freeze_backbone else 1)


def withheld(prepared: Prepared, turn: int) -> Withheld:
    """Chooses the rows of a round, by the recipe's seed and the number of the round.

    Raises:
        DataError: if there are too few species to withhold, or too few images of the others.
    """
    train, recipe = prepared.split.train, prepared.recipe
    labels = class_indices(train, prepared.taxonomy)
    domains = train.column("basisOfRecord").to_numpy(dtype=object)
    field = domains == FIELD
    whole = recipe.training.stacking_withholds == "species"
    # Where there are field photos, they are what a model is for.
    measured = np.ones(len(train), dtype=bool) if whole and not field.any() else field
    able = np.unique(labels[measured])
    what = f"{FIELD} rows" if field.any() else "rows"
    if not whole:
        able = np.intersect1d(able, labels[domains == HERBARIUM])
        what = f"both {HERBARIUM} and {FIELD} rows"
    wanted = recipe.training.stacking_species
    if len(able) < 2 * wanted:
        raise DataError(
            f"training.stacking_species is {wanted}, and {len(able)} species have {what} to train "
            "on: at least twice as many are needed, or 0 to withhold none"
        )
    order = np.random.default_rng((recipe.seed, 1)).permutation(able)
    chosen = np.roll(order, -turn * wanted)[:wanted]
    gone = np.isin(labels, chosen)
    others = np.flatnonzero(measured & ~gone)
    _, seen_rows = hold_out(train.select(others), SEEN_SHARE, recipe.seed + turn)
    seen = measured & ~gone & train.frame["image"].isin(seen_rows.frame["image"]).to_numpy()
    if not seen.any():
        raise DataError(
            f"training.stacking_species is {wanted}, and the {len(others)} {FIELD} rows of other "
            "species are too few to withhold some of: a species keeps one specimen at least"
        )
    names = tuple(sorted(prepared.taxonomy.taxa[label].scientificName for label in chosen))
    unseen = measured & gone
    return Withheld(unseen | seen, unseen, seen | (gone if whole else unseen), names)


def as_in_use(parts: Sequence[Withheld], share: float, seed: int, most: int) -> list[np.ndarray]:
    """Chooses withheld photos that are mixed as photos are in use, each of them once.

    Several rounds withhold the same photo, and more are withheld of species that lose all theirs
    than of the others; a calibration wants neither.

    Args:
        parts: what was withheld, by round.
        share: of photos whose species has no field photo in training; below 1.
        seed: of the draw.
        most: photos of all rounds together.

    Returns:
        For each round, which training rows, in order.
    """
    rounds = np.full((2, len(parts[0].rows)), -1)  # as one of the others, and as an unseen species
    for turn, part in reversed(list(enumerate(parts))):
        rounds[0, part.rows & ~part.unseen] = turn
        rounds[1, part.unseen] = turn
    seen = np.flatnonzero(rounds[0] >= 0)
    unseen = np.flatnonzero((rounds[1] >= 0) & (rounds[0] < 0))
    odds = share / (1 - share)
    draw = np.random.default_rng((seed, 2))
    seen = draw.permutation(seen)[: round(len(unseen) / odds) if odds else None]
    seen = seen[: round(most * (1 - share))]
    unseen = draw.permutation(unseen)[: round(len(seen) * odds)]
    return [
        np.sort(np.concatenate([seen[rounds[0, seen] == turn], unseen[rounds[1, unseen] == turn]]))
        for turn in range(len(parts))
    ]


@dataclass(frozen=True)
class Contest:
    """How the best class with images does against the best without, on withheld images.

    The offset moves all classes without images alike, so nothing else of a row's scores matters.
    """

    lead: Tensor
    """By how much the best class with images is ahead, `[N]`."""
    right: Tensor
    """Whether that class is the right one, `[N]`."""
    other_right: Tensor
    """Whether the best class without images is the right one, `[N]`."""
    unseen: Tensor
    """Whether the row's species had no image of its kind in training, `[N]`."""

    @classmethod
    def of(cls, logits: Tensor, truth: Tensor, unseen: Tensor, favoured: Tensor) -> Contest:
        """Sums up scores.

        Args:
            logits: `[N, C]`.
            truth: class indices `[N]`.
            unseen: whether a row's species had no image of its kind in training, `[N]`.
            favoured: which classes had none, `[C]`.
        """
        best, name = logits.masked_fill(favoured, -torch.inf).max(dim=1)
        other, other_name = logits.masked_fill(~favoured, -torch.inf).max(dim=1)
        return cls(best - other, name == truth, other_name == truth, unseen)

    @classmethod
    def joined(cls, parts: Sequence[Contest]) -> Contest:
        """Joins parts, in their order."""
        return cls(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def harmonic(self, offset: float) -> float:
        """Returns the harmonic mean of the top-1 on seen and on unseen species, with an offset."""
        right = torch.where(self.lead < offset, self.other_right, self.right).float()
        seen, unseen = float(right[~self.unseen].mean()), float(right[self.unseen].mean())
        return 2 * seen * unseen / max(seen + unseen, 1e-12)


def choose_offset(contests: Sequence[Contest]) -> tuple[float, list[tuple[float, float]]]:
    """Chooses the offset with the best harmonic mean, averaged over rounds.

    Args:
        contests: one a round.

    Returns:
        The offset, and of each round the harmonic mean without and with it.
    """
    need = torch.cat([contest.lead for contest in contests])
    tried = torch.linspace(0, max(0.0, float(need.quantile(0.99))), STEPS).tolist()
    means = np.array([[contest.harmonic(offset) for offset in tried] for contest in contests])
    best = int(means.mean(axis=0).argmax())
    return tried[best], [(float(row[0]), float(row[best])) for row in means]
