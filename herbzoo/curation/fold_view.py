"""How the sheets of one fold look beside all others: three opinions on what each of them is.

- The discriminant: how well a sheet fits each species, given how sheets vary within all species.
- The prototype: how near it is to the mean of each.
- The neighbours: how near it is to the few nearest sheets of each.

All three are taken from sheets of other folds alone, in the space of their linear discriminants.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from herbzoo.discriminant import Discriminant, find_discriminant

OPINIONS = ("discriminant", "prototype", "neighbours")
SHRINKAGE = 0.3
"""Of the variation within species, which some wrong names among them blow up."""
DIRECTIONS = 512
"""Most directions that are kept; with more species than that, further ones tell little."""
LOOKED_AT = 100
"""Nearest sheets that are looked at; one of a species that is not among them counts as the last."""
OF_EACH = 3
"""Nearest sheets of a species that speak for it, however many it has."""
ABSENT = -np.inf
"""Score of a species that no other fold has."""
_BLOCK = 8192


@dataclass(frozen=True)
class Opinions:
    """What is thought of `B` rows."""

    scores: tuple[np.ndarray, ...]
    """Of each of `OPINIONS`, `[B, C]`, the higher the likelier; `ABSENT` where no other has it."""
    nearest: np.ndarray
    """`[B, M]`, the nearest rows of other folds, the nearest first."""


class FoldView:
    """The rows of a collection as seen by those that are not in a fold.

    Args:
        values: features `[N, F]`, float32.
        species: of each row, `[N]`; those not learned from may be negative.
        count: of species, `C`.
        field: whether each row is a field photo, `[N]`.
        learned: from which rows to learn, `[N]`; of two species at least.
    """

    def __init__(
        self,
        values: np.ndarray,
        species: np.ndarray,
        count: int,
        field: np.ndarray,
        learned: np.ndarray,
    ) -> None:
        self._values = torch.from_numpy(values)
        self._found = find_discriminant(
            self._values,
            torch.tensor(species),
            torch.tensor(field),
            torch.tensor(learned),
            shrinkage=SHRINKAGE,
            most=DIRECTIONS,
        )
        self._count = count
        self.rows = np.flatnonzero(learned)
        """Those learned from, `[L]`."""
        self._by_species = np.argsort(species[self.rows], kind="stable")
        self._sorted = species[self.rows][self._by_species]
        self._sheets = self._unit(self.rows)
        of_sheet = torch.from_numpy(np.searchsorted(self.classes, species[self.rows]))
        self._sizes = torch.bincount(of_sheet, minlength=len(self._found.classes))
        self._of_sheet = of_sheet
        means = torch.zeros(len(self._sizes), self._sheets.shape[1])
        means.index_add_(0, of_sheet, self._sheets)
        self._prototypes = torch.nn.functional.normalize(means)

    @property
    def classes(self) -> np.ndarray:
        """The species that are learned from, ascending."""
        return self._found.classes.numpy()

    def _embed(self, rows: np.ndarray) -> Tensor:
        found: Discriminant = self._found
        blocks = torch.from_numpy(rows).split(_BLOCK)
        parts = [found.embed(self._values[block]).float() for block in blocks]
        return torch.cat(parts) if parts else torch.empty(0, len(found.projection))

    def _unit(self, rows: np.ndarray) -> Tensor:
        return torch.nn.functional.normalize(self._embed(rows))

    def opinions(self, rows: np.ndarray) -> Opinions:
        """Returns what the other folds make of some rows of this one."""
        embedded = self._embed(rows)
        unit = torch.nn.functional.normalize(embedded)
        neighbours, nearest = self._neighbours(unit)
        scores = (
            self._found.logits(embedded.double()).float(),
            unit @ self._prototypes.T,
            neighbours,
        )
        return Opinions(tuple(self._spread(score) for score in scores), self.rows[nearest.numpy()])

    def _spread(self, scores: Tensor) -> np.ndarray:
        """Puts scores of the species that are there, `[B, T]`, among all, `[B, C]`."""
        spread = np.full((len(scores), self._count), ABSENT, dtype=np.float32)
        spread[:, self.classes] = scores.numpy()
        return spread

    def _neighbours(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mean similarity of each species' nearest sheets, and the nearest sheets."""
        count = min(LOOKED_AT, len(self.rows))
        similar, nearest = (unit @ self._sheets.T).topk(count, dim=1)
        species = self._of_sheet[nearest]
        # The nearest few of each species: sorted by species, within it still the nearest first.
        order = species.argsort(dim=1, stable=True)
        grouped, near = species.gather(1, order), similar.gather(1, order)
        places = torch.arange(count).expand_as(grouped)
        starts = torch.ones_like(grouped, dtype=torch.bool)
        starts[:, 1:] = grouped[:, 1:] != grouped[:, :-1]
        first = torch.where(starts, places, 0).cummax(dim=1).values
        farthest = similar[:, -1:]
        above = torch.where(places - first < OF_EACH, near - farthest, 0.0)
        summed = torch.zeros(len(unit), len(self._sizes)).scatter_add_(1, grouped, above)
        return farthest + summed / self._sizes.clamp(max=OF_EACH), nearest

    def look(self, row: int) -> Tensor:
        """Returns what to compare a row with others by, `[K]`."""
        return self._unit(np.array([row]))[0]

    def nearest_of(self, look: Tensor, species: int, most: int) -> list[tuple[int, float]]:
        """Returns the sheets of a species, learned from, that look most like a row.

        Args:
            look: of the row.
            species: its number.
            most: sheets to return.

        Returns:
            Rows and their cosines, the nearest first.
        """
        places = self._by_species[slice(*np.searchsorted(self._sorted, [species, species + 1]))]
        return self._nearest(look, places, most)

    def nearest_among(self, look: Tensor, wanted: np.ndarray, most: int) -> list[tuple[int, float]]:
        """Returns those of some rows `[N]`, if learned from, that look most like a row."""
        return self._nearest(look, np.flatnonzero(wanted[self.rows]), most)

    def _nearest(self, look: Tensor, places: np.ndarray, most: int) -> list[tuple[int, float]]:
        similar = (self._sheets[torch.from_numpy(places)] @ look).numpy()
        best = np.argsort(-similar, kind="stable")[:most]
        return [(int(self.rows[places[one]]), float(similar[one])) for one in best]

    def cosines(self, look: Tensor, others: np.ndarray) -> np.ndarray:
        """Returns how alike a row and some others are, `[O]`, whatever their folds."""
        return (self._unit(others) @ look).numpy()
