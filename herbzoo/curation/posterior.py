"""What the known species make of an image, and how far that can be believed of an unknown one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from herbzoo.evaluation.selective import lowest_threshold
from herbzoo.evaluation.temperature import TemperatureFit
from herbzoo.taxonomy import Taxon

HIGHER = ("genus", "family")
"""Ranks above species, the deeper one first."""
PRECISION = 0.8
"""Share of the answers at a higher rank that are to be right for species never seen."""
FEWEST_SPECIES = 5
"""Left-out species that a promise at a rank must rest on."""
NO_TAXON = -1


@dataclass(frozen=True)
class HigherRank:
    """Genera, or families, and the species in them."""

    names: tuple[str, ...]
    of_species: np.ndarray
    """`[T]`, positions in `names`; `NO_TAXON` where it is not known."""


@dataclass(frozen=True)
class RankAnswers:
    """Which taxon of a higher rank each of some left-out images was put in; `M` of them."""

    confidence: np.ndarray
    """`[M]`, probability of the taxon."""
    right: np.ndarray
    """`[M]`."""
    species: np.ndarray
    """`[M]`, the true one."""

    @classmethod
    def joined(cls, parts: Sequence[RankAnswers]) -> RankAnswers:
        """Puts the answers of several rounds one after the other."""
        return cls(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("confidence", "right", "species")
            )
        )

    def select(self, rows: np.ndarray) -> RankAnswers:
        """Returns the answers that a mask chooses."""
        return RankAnswers(self.confidence[rows], self.right[rows], self.species[rows])


@dataclass(frozen=True)
class SureRank:
    """From which probability on a taxon of a higher rank is believed."""

    threshold: float
    precision: float
    """Share of the answers on left-out species above it that were right."""
    answered: float
    """Share of the left-out images that were answered."""
    species: int
    """Left-out species among those answered."""


def higher_ranks(taxa: Sequence[Taxon]) -> dict[str, HigherRank]:
    """Returns the genera and the families of species, by rank."""
    found = {}
    for rank in HIGHER:
        own = [taxon.at_rank(rank) for taxon in taxa]
        names = tuple(sorted({*own} - {""}))
        place = {name: number for number, name in enumerate(names)} | {"": NO_TAXON}
        found[rank] = HigherRank(names, np.array([place[name] for name in own], dtype=np.int64))
    return found


def fit_temperature(logits: Tensor, truth: np.ndarray) -> float:
    """Returns the temperature at which the true species of known images are likeliest."""
    fit = TemperatureFit()
    fit.update(logits, truth)
    return fit.temperature


def rolled_up(probabilities: np.ndarray, of_species: np.ndarray, taxa: int) -> np.ndarray:
    """Sums probabilities `[B, T]` to `[B, taxa]`; species without a taxon are left out."""
    found = np.zeros((len(probabilities), taxa))
    for species, taxon in enumerate(of_species.tolist()):
        if taxon != NO_TAXON:
            found[:, taxon] += probabilities[:, species]
    return found


def rank_answers(
    logits: Tensor, rank: HigherRank, classes: np.ndarray, truth: np.ndarray
) -> RankAnswers:
    """Puts images of left-out species into taxa of the others.

    An answer is right if it is the true species' own genus or family; where no other species of
    that is known, no answer can be.

    Args:
        logits: `[M, C]`, divided by their temperature.
        rank: genera or families of all known species.
        classes: the `C` species of the logits, among these.
        truth: the species of each image, `[M]`.
    """
    probabilities = torch.softmax(logits.double(), dim=1).numpy()
    sums = rolled_up(probabilities, rank.of_species[classes], max(1, len(rank.names)))
    best = sums.argmax(1)
    return RankAnswers(sums.max(1), best == rank.of_species[truth], truth)


def sure_ranks(
    answers: Mapping[str, RankAnswers], precision: float = PRECISION
) -> dict[str, SureRank]:
    """Returns, for each rank at which the promise can be kept, from where on it is.

    A higher rank is answered only where the deeper one is not, and tried on those images alone.

    Args:
        answers: by rank, the deeper one first; of left-out images that passed for unknown, which
            are the same at each rank.
        precision: that is promised.
    """
    found: dict[str, SureRank] = {}
    rest: np.ndarray | None = None
    for rank, every in answers.items():
        rest = np.ones(len(every.right), dtype=bool) if rest is None else rest
        given = every.select(rest)
        threshold = lowest_threshold(given.confidence, given.right, precision)
        if threshold is None:
            continue
        above = given.confidence >= threshold
        species = len(np.unique(given.species[above]))
        if species >= FEWEST_SPECIES:
            precise, answered = float(given.right[above].mean()), int(above.sum())
            found[rank] = SureRank(threshold, precise, answered / len(rest), species)
            rest = rest & (every.confidence < threshold)
    return found
