"""Novelty on trial: some of the known species are left out and play the unknown ones.

What is chosen for the real thing is chosen here, by what it does with species whose names are
known after all: the score, how far a genus can be told of a species never seen, and how alike two
images of one unknown species are. The rows that are asked about have no part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from herbzoo.curation.folds import gathering_folds
from herbzoo.curation.known_specimens import Known
from herbzoo.curation.linkage import LIMITS, agreement
from herbzoo.curation.novelty_scores import (
    COMBINED,
    COMBINED_PARTS,
    KnownSpace,
    fit_scores,
    score_rows,
)
from herbzoo.curation.posterior import RankAnswers, fit_temperature, higher_ranks, rank_answers

ROUNDS = 4
"""Each known species is left out in one of so many rounds."""
MOST_ROWS = 20_000
"""Known images that take part; of more, some gatherings are drawn."""
FEWEST = 5
"""Images of each side that it takes to say how well they are told apart."""


@dataclass(frozen=True)
class Trial:
    """How well a score told left-out species from known ones in one round."""

    score: str
    domain: str
    """`basisOfRecord` of the images."""
    round: int
    auroc: float
    """Chance that an image of a left-out species is stranger than one of a known species."""
    fpr95: float
    """Share of the left-out images that pass for known when 95% of the known do."""


@dataclass(frozen=True)
class Rehearsal:
    """What all rounds showed."""

    trials: tuple[Trial, ...] = ()
    temperature: float = 1.0
    """At which logits of known images not learned from are right, median of the rounds."""
    scales: dict[str, float] = field(default_factory=dict)
    """Spread of scores over known images, mean over the rounds."""
    refused: dict[str, str] = field(default_factory=dict)
    """Scores that could not be had, and why."""
    strangeness: dict[str, np.ndarray] = field(default_factory=dict)
    """Of each score, the share of known images of its domain and round that each left-out image is
    stranger than, `[M]`."""
    answers: dict[str, RankAnswers] = field(default_factory=dict)
    """By rank, which taxon each left-out image was put in, `[M]`."""
    agreements: np.ndarray = field(default_factory=lambda: np.empty((0, len(LIMITS))))
    """Adjusted Rand index of clusters and left-out species for each of `LIMITS`, `[rounds, L]`."""

    def answers_on_strange(self, score: str, rate: float) -> dict[str, RankAnswers]:
        """Returns the answers on those left-out images that would be listed as unknown.

        Args:
            score: that decides; without trials of it there are no answers.
            rate: of false alarms.
        """
        if score not in self.strangeness:
            return {}
        listed = self.strangeness[score] > 1 - rate
        return {rank: found.select(listed) for rank, found in self.answers.items()}


@dataclass(frozen=True)
class _Round:
    number: int
    space: KnownSpace
    classes: np.ndarray
    """Species of the space, positions among the known taxa."""
    known: np.ndarray
    """Rows of these species that the space was not made of."""
    new: np.ndarray
    """Rows of the species that were left out."""


def rehearse(
    known: Known,
    names: Sequence[str],
    seed: int = 0,
    report: Callable[[str], object] = lambda line: None,
) -> Rehearsal:
    """Leaves species out in turn and looks what scores, ranks and clusters make of them.

    Args:
        known: the known images; those held out from the training have no part in it.
        names: which of `SCORES` to try.
        seed: decides which species are left out together.
        report: told of each round.
    """
    trials: list[Trial] = []
    refused: dict[str, str] = {}
    spreads: dict[str, list[float]] = {}
    temperatures: list[float] = []
    strange: dict[str, list[np.ndarray]] = {name: [] for name in names}
    answers: dict[str, list[RankAnswers]] = {}
    agreements: list[np.ndarray] = []
    rng = np.random.default_rng(seed)
    for turn in _rounds(known, seed):
        found = _scores(turn, known, names)
        temperatures.append(turn.space.temperature)
        refused |= found.refused
        for name, values in found.known.items():
            spreads.setdefault(name, []).append(float(values.std()))
        for name in names:
            if name in found.known:
                trials += _trials(turn, known, name, found)
                strange[name].append(_stranger_than(turn, known, name, found))
        logits = turn.space.look(known.features[turn.new]).logits
        for rank, found_taxa in higher_ranks(known.taxa).items():
            answers.setdefault(rank, []).append(
                rank_answers(logits, found_taxa, turn.classes, known.species[turn.new])
            )
        agreements.append(agreement(turn.space, known, turn.new, rng))
        report(f"round {turn.number + 1}: {len(known.taxa) - len(turn.classes):,} species left out")
    tried = {name: parts for name, parts in strange.items() if parts and name not in refused}
    return Rehearsal(
        tuple(trial for trial in trials if trial.score in tried),
        float(np.median(temperatures)) if temperatures else 1.0,
        {name: float(np.mean(values)) for name, values in spreads.items()},
        refused,
        {name: np.concatenate(parts) for name, parts in tried.items()},
        {rank: RankAnswers.joined(parts) for rank, parts in answers.items()},
        np.array(agreements).reshape(-1, len(LIMITS)),
    )


def _rounds(known: Known, seed: int) -> Iterator[_Round]:
    rows = _some_gatherings(known, seed)
    present = np.unique(known.species[rows])
    if len(present) < 2:
        return
    rng = np.random.default_rng(seed)
    turn_of = np.empty(len(known.taxa), dtype=np.int64)
    turn_of[rng.permutation(present)] = np.arange(len(present)) % ROUNDS
    if len(np.unique(known.gathering[rows])) < 2:
        return
    fold = gathering_folds(known.gathering[rows], known.species[rows], ROUNDS, seed)
    for number in range(min(ROUNDS, len(present))):
        out = turn_of[known.species[rows]] == number
        # What shares a gathering with a left-out image cannot be learned from either.
        tied = np.isin(known.gathering[rows], known.gathering[rows][out])
        fit = rows[~tied & (fold != number)]
        held = rows[~tied & (fold == number)]
        classes = np.unique(known.species[fit])
        held = held[np.isin(known.species[held], classes)]
        if not len(fit) or not len(held):
            continue
        space = KnownSpace.of(known.features[fit], known.species[fit], known.field[fit])
        truth = np.searchsorted(classes, known.species[held])
        temperature = fit_temperature(space.look(known.features[held]).logits, truth)
        yield _Round(number, space.at(temperature), classes, held, rows[out])


def _some_gatherings(known: Known, seed: int) -> np.ndarray:
    rows = known.learnable
    if len(rows) <= MOST_ROWS:
        return rows
    each = np.unique(known.gathering[rows])
    share = MOST_ROWS / len(rows)
    kept = each[np.random.default_rng(seed).random(len(each)) < share]
    return rows[np.isin(known.gathering[rows], kept)]


@dataclass(frozen=True)
class _Found:
    known: dict[str, np.ndarray]
    new: dict[str, np.ndarray]
    refused: dict[str, str]


def _scores(turn: _Round, known: Known, names: Sequence[str]) -> _Found:
    wanted = [name for name in names if name != COMBINED]
    wanted += [part for part in COMBINED_PARTS if COMBINED in names and part not in wanted]
    fitted, refused = fit_scores(turn.space, wanted)
    of_known = score_rows(turn.space, fitted, known.features[turn.known])
    of_new = score_rows(turn.space, fitted, known.features[turn.new])
    if COMBINED in names and all(part in fitted for part in COMBINED_PARTS):
        spread = {part: max(float(of_known[part].std()), 1e-6) for part in COMBINED_PARTS}
        for found in (of_known, of_new):
            found[COMBINED] = sum(
                (found[part] / spread[part] for part in COMBINED_PARTS), np.zeros(1)
            )
    elif COMBINED in names:
        refused[COMBINED] = "one of its parts cannot be had"
    return _Found(of_known, of_new, refused)


def _trials(turn: _Round, known: Known, name: str, found: _Found) -> Iterator[Trial]:
    of_known, of_new = known.domain[turn.known], known.domain[turn.new]
    for domain in np.unique(of_new).tolist():
        inside = found.known[name][of_known == domain]
        outside = found.new[name][of_new == domain]
        if min(len(inside), len(outside)) >= FEWEST:
            yield Trial(name, domain, turn.number, *separation(inside, outside))


def separation(known: np.ndarray, new: np.ndarray) -> tuple[float, float]:
    """Returns AUROC and FPR95 of strangeness; both from 0 to 1, AUROC the better the higher."""
    from sklearn.metrics import roc_auc_score

    truth = np.repeat([0, 1], [len(known), len(new)])
    auroc = float(roc_auc_score(truth, np.concatenate([known, new])))
    return auroc, float((new <= np.quantile(known, 0.95)).mean())


def _stranger_than(turn: _Round, known: Known, name: str, found: _Found) -> np.ndarray:
    of_known, of_new = known.domain[turn.known], known.domain[turn.new]
    shares = np.zeros(len(of_new))
    for domain in np.unique(of_new).tolist():
        inside = found.known[name][of_known == domain]
        if len(inside):
            own = of_new == domain
            shares[own] = np.searchsorted(np.sort(inside), found.new[name][own]) / len(inside)
    return shares
