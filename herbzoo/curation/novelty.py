"""Which images fit no known species, which fit another one than they are filed under."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from herbzoo.curation.case import BAD_IMAGE, MISNAMED, UNKNOWN
from herbzoo.curation.conformal import HeldScores, p_values_by_domain
from herbzoo.curation.features import Features
from herbzoo.curation.known_specimens import Known
from herbzoo.curation.linkage import best_limit, grouped, place
from herbzoo.curation.named_rows import UNNAMED, named_rows
from herbzoo.curation.novelty_choice import best_score
from herbzoo.curation.novelty_scores import (
    BLOCK,
    SCORES,
    KnownSpace,
    check_score,
    fit_scores,
    score_rows,
)
from herbzoo.curation.posterior import SureRank, higher_ranks, rolled_up, sure_ranks
from herbzoo.curation.rehearsal import Rehearsal, rehearse
from herbzoo.data.records import SpecimenRecord
from herbzoo.errors import DataError
from herbzoo.taxonomy import Taxonomy

CANDIDATES = 5
"""Known species that are kept for each image, the likeliest first."""
CLEAR = 0.5
"""Probability from which an image is clearly of another species than it is filed under."""
NO_GROUP = -1


@dataclass(frozen=True)
class HigherAnswer:
    """The likeliest taxon of a higher rank of each of `B` images."""

    names: tuple[str, ...]
    best: np.ndarray
    """`[B]`, positions in `names`."""
    probability: np.ndarray
    """`[B]`."""


@dataclass(frozen=True)
class Novelty:
    """What was found about `B` images."""

    rows: Features
    """The images."""
    known: Known
    """What they were compared with."""
    space: KnownSpace
    """Made of all known images that may be learned from."""
    score: str
    """One of `SCORES`."""
    rehearsal: Rehearsal
    held: HeldScores
    """Scores of known images in the turns in which they were held out."""
    species_held: int
    """How many of the known species these are of."""
    rate: float
    """Of false alarms that is promised."""
    strangeness: np.ndarray
    """`[B]`, mean over the turns; for ties of `p`."""
    p: np.ndarray
    """`[B]`, share of known specimens at least as strange."""
    promised: np.ndarray
    """`[B]`, whether the rate is promised for images of this domain."""
    present: np.ndarray
    """`[B]`, the known species that each is filed under; `UNNAMED` for none."""
    name_p: np.ndarray
    """`[B]`, share of known specimens that fit their own names as badly; NaN where not known."""
    candidates: np.ndarray
    """`[B, K]`, likeliest known species, best first."""
    probabilities: np.ndarray
    """`[B, K]`, if the image is of a known species."""
    higher: Mapping[str, HigherAnswer]
    """By rank."""
    sure: Mapping[str, SureRank]
    """By rank, from which probability on it is believed of an unknown species."""
    faults: Sequence[str]
    """`[B]`, what is wrong with each image, or ''."""
    limit: float
    """Distance up to which unknown images are of one group."""
    group: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """`[B]`, group of each unknown image, the largest first; `NO_GROUP` for all others."""

    @cached_property
    def lists(self) -> list[str]:
        """What each image is listed as, `[B]`; '' for what fits its name, or has none."""
        return [self._listed(row) for row in range(len(self.p))]

    @cached_property
    def records(self) -> tuple[SpecimenRecord, ...]:
        """The record of each image, `B` of them."""
        return tuple(self.rows.collection.records())

    def in_order(self, name: str) -> np.ndarray:
        """Returns the rows of a list, the strangest or worst named first."""
        rows = np.flatnonzero(np.array(self.lists, dtype=object) == name)
        main = self.name_p[rows] if name == MISNAMED else self.p[rows]
        return rows[np.lexsort((-self.strangeness[rows], main))]

    def sure_rank(self, row: int) -> tuple[str, str, float]:
        """Returns the deepest rank at which an unknown image is believed, the taxon, how surely.

        All are empty, or 0, where there is none.
        """
        for rank, answer in self.higher.items():
            probability = float(answer.probability[row])
            if rank in self.sure and probability >= self.sure[rank].threshold:
                return rank, answer.names[answer.best[row]], probability
        return "", "", 0.0

    def _listed(self, row: int) -> str:
        if self.faults[row]:
            return BAD_IMAGE
        if self.p[row] <= self.rate:
            return UNKNOWN
        other = self.present[row] != UNNAMED and self.candidates[row, 0] != self.present[row]
        doubtful = other and self.name_p[row] <= self.rate
        return MISNAMED if doubtful and self.probabilities[row, 0] >= CLEAR else ""


def find_novel(
    rows: Features,
    known: Known,
    *,
    taxonomy: Taxonomy,
    faults: Sequence[str] = (),
    rate: float = 0.05,
    score: str = "",
    seed: int = 0,
    report: Callable[[str], object] = lambda line: None,
) -> Novelty:
    """Compares images with the known specimens.

    Nothing is chosen or fitted by the images that are asked about.

    Args:
        rows: the images; their names may be of known species, of others, or lacking.
        known: the known specimens.
        taxonomy: says which names are synonyms of which.
        faults: what is wrong with each image, `[B]`; none if not given.
        rate: of false alarms to promise, above 0 and below 1.
        score: one of `SCORES`; '' for the one that does best with species that are left out.
        seed: decides the rounds and turns.
        report: told what goes on.

    Raises:
        DataError: if the known specimens cannot be divided.
        HerbzooError: if there is no such score, or it cannot be had of these specimens.
    """
    tried = SCORES if not score else (check_score(score),)
    rehearsal = rehearse(known, tried, seed, report)
    chosen = score or best_score(rehearsal)
    held, species_held, strange, names = _turns(rows, known, rehearsal, chosen, seed, report)
    present = _present(rows, known, taxonomy)
    domain = rows.collection.frame["basisOfRecord"].to_numpy(dtype=str)
    p, promised = p_values_by_domain(held, strange, domain, rate)
    name_p = names.p_values(rows, present, domain, rate)
    learn = known.learnable
    space = KnownSpace.of(known.features[learn], known.species[learn], known.field[learn])
    space = space.at(rehearsal.temperature)
    candidates, probabilities, higher = _likeliest(rows.values, known, space)
    found = Novelty(
        rows,
        known,
        space,
        chosen,
        rehearsal,
        held,
        species_held,
        rate,
        strange.mean(1),
        p,
        promised,
        present,
        name_p,
        candidates,
        probabilities,
        higher,
        sure_ranks(rehearsal.answers_on_strange(chosen, rate)),
        faults or [""] * len(rows),
        best_limit(rehearsal.agreements),
    )
    return _grouped(found)


@dataclass(frozen=True)
class _NameFit:
    """How badly known specimens fit their names in turns in which they were held out."""

    held: HeldScores
    spaces: list[tuple[KnownSpace, np.ndarray]]
    """Of each turn, and which of the known species it has."""

    def p_values(
        self, rows: Features, present: np.ndarray, domain: np.ndarray, rate: float
    ) -> np.ndarray:
        found = np.full(len(present), np.nan)
        named = np.flatnonzero(present != UNNAMED)
        if len(named):
            misfit = [
                misfits(space, classes, rows.values[named], present[named])
                for space, classes in self.spaces
            ]
            scores = np.stack(misfit, axis=1)
            whole = np.isfinite(scores).all(axis=1)
            some = named[whole]
            found[some] = p_values_by_domain(self.held, scores[whole], domain[some], rate)[0]
        return found


def misfits(
    space: KnownSpace, classes: np.ndarray, features: np.ndarray, species: np.ndarray
) -> np.ndarray:
    """Returns by how much another species fits better than the one named, `[B]`.

    NaN where the space does not have the species named, or has no other.
    """
    place_of = np.searchsorted(classes, species).clip(max=len(classes) - 1)
    there = classes[place_of] == species
    found = np.full(len(species), np.nan)
    if len(classes) < 2:
        return found
    for start in range(0, len(species), BLOCK):
        some = slice(start, start + BLOCK)
        logits = space.look(features[some]).logits
        own = torch.from_numpy(place_of[some]).unsqueeze(1)
        fit = logits.gather(1, own).squeeze(1)
        other = logits.scatter(1, own, -torch.inf).amax(1)
        found[some] = (other - fit).double().numpy()
    found[~there] = np.nan
    return found


def _turns(
    rows: Features,
    known: Known,
    rehearsal: Rehearsal,
    chosen: str,
    seed: int,
    report: Callable[[str], object],
) -> tuple[HeldScores, int, np.ndarray, _NameFit]:
    """Scores known specimens that were held out and the images in question, turn by turn.

    Returns:
        The scores of the known ones, of how many species they are, the scores of the others
        `[B, turns]`, and how badly the known ones fit their names.
    """
    ours: list[np.ndarray] = []
    theirs: list[np.ndarray] = []
    misfit: list[np.ndarray] = []
    order: list[np.ndarray] = []
    spaces: list[tuple[KnownSpace, np.ndarray]] = []
    for number, part in enumerate(known.parts(seed)):
        report(f"measuring what known species score, turn {number + 1}")
        fit, held = part.fit, part.held
        space = KnownSpace.of(known.features[fit], known.species[fit], known.field[fit])
        space = space.at(rehearsal.temperature)
        fitted, refused = fit_scores(space, [chosen], rehearsal.scales)
        if refused:
            raise DataError(
                f"the score {chosen} cannot be had of these known specimens ({refused[chosen]}): "
                "leave out --score"
            )
        ours.append(score_rows(space, fitted, known.features[held])[chosen])
        theirs.append(score_rows(space, fitted, rows.values)[chosen])
        classes = np.unique(known.species[fit])
        misfit.append(misfits(space, classes, known.features[held], known.species[held]))
        order.append(held)
        spaces.append((space, classes))
    if not order:
        raise DataError(
            "the known specimens are of one gathering, or each of a species of its own, so nothing "
            "says how known species score: give more of each with --known"
        )
    all_held = np.concatenate(order)
    turn = np.repeat(np.arange(len(order)), [len(part) for part in order])
    gathering, domain = known.gathering[all_held], known.domain[all_held]
    scores = HeldScores(np.concatenate(ours), turn, gathering, domain)
    fits = HeldScores(np.concatenate(misfit), turn, gathering, domain)
    species = len(np.unique(known.species[all_held]))
    return scores, species, np.stack(theirs, axis=1), _NameFit(fits, spaces)


def _present(rows: Features, known: Known, taxonomy: Taxonomy) -> np.ndarray:
    found = np.full(len(rows), UNNAMED)
    named = np.flatnonzero((rows.collection.frame["scientificName"] != "").to_numpy())
    if not len(named):
        return found
    names = named_rows(rows.collection.select(named), taxonomy)
    number = {taxon.scientificName: place for place, taxon in enumerate(known.taxa)}
    of_taxon = np.array(
        [number.get(taxon.scientificName, UNNAMED) for taxon in names.taxa] + [UNNAMED]
    )
    found[named] = of_taxon[names.species]  # a row above species is the last, which is none
    return found


def _likeliest(
    features: np.ndarray, known: Known, space: KnownSpace
) -> tuple[np.ndarray, np.ndarray, dict[str, HigherAnswer]]:
    classes = np.unique(known.species[known.learnable])
    ranks = higher_ranks(known.taxa)
    most = min(CANDIDATES, len(classes))
    candidates = np.empty((len(features), most), dtype=np.int64)
    chances = np.empty((len(features), most))
    best = {rank: np.zeros(len(features), dtype=np.int64) for rank in ranks}
    sums = {rank: np.zeros(len(features)) for rank in ranks}
    for start in range(0, len(features), BLOCK):
        some = slice(start, start + BLOCK)
        probabilities = torch.softmax(space.look(features[some]).logits.double(), 1)
        top = probabilities.topk(most, dim=1)
        candidates[some], chances[some] = classes[top.indices.numpy()], top.values.numpy()
        for rank, taxa in ranks.items():
            if taxa.names:
                pooled = rolled_up(probabilities.numpy(), taxa.of_species[classes], len(taxa.names))
                best[rank][some], sums[rank][some] = pooled.argmax(1), pooled.max(1)
    answers = {
        rank: HigherAnswer(taxa.names, best[rank], sums[rank])
        for rank, taxa in ranks.items()
        if taxa.names
    }
    return candidates, chances, answers


def _grouped(found: Novelty) -> Novelty:
    """Groups the unknown images; the largest is 0, of equal ones the strangest comes first."""
    group = np.full(len(found.p), NO_GROUP)
    rows = found.in_order(UNKNOWN)
    if len(rows):
        raw = grouped(place(found.space, found.rows.values[rows]), found.limit)
        _, first, raw, sizes = np.unique(
            raw, return_index=True, return_inverse=True, return_counts=True
        )
        rank = np.empty(len(sizes), dtype=np.int64)
        rank[np.lexsort((first, -sizes))] = np.arange(len(sizes))
        group[rows] = rank[raw]
    return replace(found, group=group)
