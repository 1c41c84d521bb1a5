"""The made-up taxonomy: families, genera and species with their traits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from herbzoo.data.synthetic import names, traits
from herbzoo.data.synthetic.plans import PLANS, Plan
from herbzoo.data.synthetic.traits import Traits
from herbzoo.errors import DataError


@dataclass(frozen=True)
class Family:
    """A family and the characters its members share."""

    name: str
    plan: Plan
    traits: Traits


@dataclass(frozen=True)
class Genus:
    """A genus, by the index of its family."""

    name: str
    gender: str
    family: int
    traits: Traits


@dataclass(frozen=True)
class Species:
    """A species, by the index of its genus."""

    name: str
    """Genus and epithet, without authorship."""
    authorship: str
    genus: int
    traits: Traits


@dataclass(frozen=True)
class Flora:
    """A whole flora; `make_flora(len(flora.species), flora.seed)` makes it again."""

    families: tuple[Family, ...]
    genera: tuple[Genus, ...]
    species: tuple[Species, ...]
    seed: int

    def family_of(self, species: int) -> Family:
        """Returns the family of the species with this index."""
        return self.families[self.genera[self.species[species].genus].family]


@lru_cache(maxsize=4)
def make_flora(species: int = 12, seed: int = 0) -> Flora:
    """Makes up a flora.

    Args:
        species: how many species; genera grow slower than species, families slower than genera.
        seed: two floras of one size and seed are equal.

    Raises:
        DataError: if fewer than two species are asked for.
    """
    if species < 2:
        raise DataError(
            f"a synthetic flora of {species} species cannot be told apart; ask for 2 or more"
        )
    rng = np.random.default_rng([seed, species])
    sizes = _genus_sizes(species, rng)
    family_of = _family_of_genera(len(sizes), rng)
    plans = _plan_order(rng)
    name_source = names.genus_names(rng)

    families: list[Family] = []
    genera: list[Genus] = []
    kinds: list[Species] = []
    family_names: set[str] = set()
    for index, size in enumerate(sizes):
        name, stem, gender = next(name_source)
        if family_of[index] == len(families):
            while stem in family_names:
                name, stem, gender = next(name_source)
            family_names.add(stem)
            plan = plans[len(families) % len(plans)]
            families.append(Family(f"{stem}aceae", plan, traits.family_traits(plan, rng)))
        family = families[family_of[index]]
        genus = Genus(
            name, gender, family_of[index], traits.genus_traits(family.traits, family.plan, rng)
        )
        genera.append(genus)
        first = family_of.index(genus.family)
        relatives = [kind.traits for kind in kinds[-60:] if kind.genus >= first]
        kinds += _species_of(genus, index, size, family.plan, relatives, rng)
    return Flora(tuple(families), tuple(genera), tuple(kinds), seed)


def _species_of(
    genus: Genus,
    index: int,
    size: int,
    plan: Plan,
    relatives: list[Traits],
    rng: np.random.Generator,
) -> list[Species]:
    used: set[str] = set()
    found = []
    for looks in traits.species_traits(genus.traits, plan, size, relatives, rng):
        candidates = names.epithets(genus.gender, looks.epithet_stems(), rng)
        epithet = next(name for name in candidates if name not in used)
        used.add(epithet)
        found.append(Species(f"{genus.name} {epithet}", names.author(rng), index, looks))
    return found


def _plan_order(rng: np.random.Generator) -> list[Plan]:
    """Shuffles the body plans so that neighbours differ in habit, for the sake of small floras."""
    shuffled = [PLANS[i] for i in rng.permutation(len(PLANS))]
    habits = list(dict.fromkeys(plan.habit for plan in shuffled))
    turn = {
        id(plan): sum(p.habit == plan.habit for p in shuffled[:i])
        for i, plan in enumerate(shuffled)
    }
    return sorted(shuffled, key=lambda plan: (turn[id(plan)], habits.index(plan.habit)))


def _genus_sizes(species: int, rng: np.random.Generator) -> list[int]:
    """Splits the species into genera, two or more in each where they suffice."""
    mean = 2 + 2.2 * max(np.log10(species / 12), 0.0)
    genera = max(1, round(species / mean))
    smallest = min(2, species // genera)
    weights = 1 / np.arange(1, genera + 1) ** 0.6
    rest = rng.multinomial(species - smallest * genera, weights / weights.sum())
    return [smallest + int(extra) for extra in rng.permutation(rest)]


def _family_of_genera(genera: int, rng: np.random.Generator) -> list[int]:
    """Returns the index of the family of each genus, each family at least once, in order."""
    families = max(1, round(genera**0.72))
    weights = 1 / np.arange(1, families + 1) ** 0.5
    extra = (weights / weights.sum() * (genera - families)).astype(int)
    left = genera - families - int(extra.sum())
    extra = rng.permutation(extra)
    extra[rng.permutation(families)[:left]] += 1
    return [int(i) for i in np.repeat(np.arange(families), 1 + extra)]
