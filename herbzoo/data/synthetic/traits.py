"""What a species looks like, and how families and genera hand it down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from herbzoo.data.synthetic.names import pick
from herbzoo.data.synthetic.plans import Plan

_LOBED = ("trilobed", "palmately lobed", "deeply palmate", "pinnately lobed", "runcinate")


@dataclass(frozen=True)
class Traits:
    """The characters of one species; lengths are shares of the height of the plant."""

    habit: str
    """tree, herb, rosette, tussock, fern or climber."""
    arrangement: str
    """alternate, opposite, whorled or basal."""
    division: str
    """simple, pinnate, trifoliate or digitate."""
    blade: str
    """Outline of a blade or leaflet: a key of `leaf.OUTLINES`."""
    aspect: float
    """Width of a blade as a share of its length."""
    margin: str
    """entire, serrate, dentate, crenate, undulate or spiny."""
    teeth: int
    """Teeth on one side of a blade."""
    leaf_length: float
    nodes: int
    """Leaves (pairs, whorls) along a stem, or leaves of a rosette."""
    leaflets: int
    """Pairs of leaflets, or leaflets of a digitate leaf; 0 for simple leaves."""
    petiole: float
    """Length of the petiole as a share of the blade."""
    venation: str
    """pinnate, palmate or parallel."""
    inflorescence: str
    """solitary, raceme, spike, umbel, panicle, head, axillary or none."""
    flower: str
    """rotate, star, bell, daisy, lipped, tuft or none."""
    petals: int
    flower_size: float
    colour: str
    fruit: str
    """berry, capsule, pod or nutlet."""

    def describe(self) -> str:
        """Returns one line of botanical prose."""
        leaves = f"{self.division} with {self.blade} leaflets" if self.leaflets else self.blade
        text = f"{self.habit}; leaves {self.arrangement}, {leaves}, {self.margin}"
        if self.flower == "none":
            return f"{text}; without flowers"
        parts = {"daisy": "with many rays", "tuft": "petalless"}.get(
            self.flower, f"{self.petals}-merous"
        )
        flowers = f"flowers {self.colour}, {self.flower}, {parts}"
        where = "solitary" if self.inflorescence == "solitary" else f"in {_many(self)}"
        return f"{text}; {flowers}, {where}; fruit a {self.fruit}"

    def epithet_stems(self) -> list[str]:
        """Returns adjective stems that are true of this species."""
        stems = [_BLADE_STEMS[self.blade]] if self.blade in _BLADE_STEMS else []
        if self.margin in _MARGIN_STEMS:
            stems.append(_MARGIN_STEMS[self.margin])
        stems += ["grandifoli"] if self.leaf_length > 0.3 else []
        stems += ["parvifoli"] if self.leaf_length < 0.14 else []
        stems += ["longipetiolat"] if self.petiole > 0.45 else []
        return stems


_BLADE_STEMS = {
    "linear": "linearifoli",
    "lanceolate": "lanceolat",
    "ovate": "ovat",
    "obovate": "obovat",
    "elliptic": "elliptic",
    "orbicular": "rotundifoli",
    "cordate": "cordat",
    "reniform": "reniform-",
    "deltoid": "deltoide",
    "hastate": "hastat",
    "rhombic": "rhombifoli",
    "oblong": "oblongifoli",
    "spathulate": "spathulat",
    "pinnately lobed": "pinnatifid",
    "palmately lobed": "palmat",
    "trilobed": "trilob",
    "runcinate": "runcinat",
}
_MARGIN_STEMS = {
    "serrate": "serrat",
    "dentate": "dentat",
    "crenate": "crenat",
    "undulate": "undulat",
    "spiny": "spinos",
    "entire": "integrifoli",
}


def _many(traits: Traits) -> str:
    plurals = {"axillary": "axillary clusters"}
    return plurals.get(traits.inflorescence, traits.inflorescence + "s")


ASPECTS = {
    "linear": (0.06, 0.13),
    "grassy": (0.02, 0.07),
    "lanceolate": (0.2, 0.32),
    "oblong": (0.26, 0.42),
    "elliptic": (0.4, 0.62),
    "ovate": (0.48, 0.75),
    "obovate": (0.42, 0.68),
    "spathulate": (0.26, 0.46),
    "rhombic": (0.5, 0.8),
    "orbicular": (0.86, 1.02),
    "cordate": (0.75, 1.0),
    "reniform": (1.15, 1.4),
    "deltoid": (0.7, 1.0),
    "hastate": (0.45, 0.8),
    "trilobed": (0.95, 1.1),
    "palmately lobed": (0.95, 1.1),
    "deeply palmate": (0.95, 1.1),
    "pinnately lobed": (0.42, 0.66),
    "runcinate": (0.24, 0.4),
}
"""The least and greatest width of each blade as a share of its length."""

_MARGINS = ("entire", "serrate", "dentate", "crenate", "undulate", "spiny")
_COLOURS = ("white", "yellow", "pink", "violet", "blue", "red", "orange", "cream")
_FRUITS = ("berry", "capsule", "pod", "nutlet")


def family_traits(plan: Plan, rng: np.random.Generator) -> Traits:
    """Draws what all members of a family share, and a first value for the rest."""
    flower = pick(plan.flowers, rng)
    parallel = plan.habit == "tussock"
    petals = 3 * int(rng.integers(1, 3)) if parallel else int(rng.choice((4, 5, 5, 6)))
    shared = Traits(
        habit=plan.habit,
        arrangement=plan.arrangement,
        division=plan.division,
        blade="",
        aspect=0.0,
        margin="entire",
        teeth=0,
        leaf_length=0.0,
        nodes=0,
        leaflets=0,
        petiole=0.0,
        venation="parallel" if parallel else "pinnate",
        inflorescence="none",
        flower=flower,
        petals=petals,
        flower_size=0.0,
        colour="white",
        fruit="nutlet" if flower == "daisy" else pick(_FRUITS, rng),
    )
    return shared


def genus_traits(family: Traits, plan: Plan, rng: np.random.Generator) -> Traits:
    """Draws what the species of a genus share beyond their family: colour and inflorescence."""
    return replace(
        family,
        colour=pick(_COLOURS, rng),
        inflorescence=pick(plan.inflorescences, rng),
        fruit=family.fruit
        if rng.random() < 0.8 or family.flower == "daisy"
        else pick(_FRUITS, rng),
    )


def species_traits(
    genus: Traits, plan: Plan, count: int, relatives: Sequence[Traits], rng: np.random.Generator
) -> list[Traits]:
    """Draws `count` species of a genus that differ as clearly as the genus allows.

    Many candidates are drawn; each next species is the candidate farthest from its `relatives`
    (species of the other genera of the family) and from those already taken, so that two
    relatives never differ by a hair only.
    """
    candidates = [_candidate(genus, plan, rng) for _ in range(24 + 4 * count)]
    points = np.array([_position(traits, plan) for traits in candidates])
    taken: list[int] = []
    nearest = np.full(len(points), np.inf)
    for traits in relatives:
        nearest = np.minimum(nearest, np.abs(points - _position(traits, plan)).sum(1))
    while len(taken) < count:
        taken.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.abs(points - points[taken[-1]]).sum(1))
    return [candidates[i] for i in taken]


def _candidate(genus: Traits, plan: Plan, rng: np.random.Generator) -> Traits:
    """Draws one possible species of a genus."""
    blade = pick(plan.blades, rng)
    low, high = ASPECTS[blade]
    u = rng.random(8)
    margin = "entire"
    if blade not in ("grassy", "linear") and plan.habit != "fern" and blade not in _LOBED:
        margin = _MARGINS[int(u[0] * len(_MARGINS))]
    elif blade in _LOBED and blade != "runcinate" and u[0] < 0.5:
        margin = "serrate"
    few = u[3] < 0.5  # leaves few and large, or many and small: plants trade one for the other
    size = 0.55 + 0.45 * u[4] if few else 0.45 * u[4]
    number = 0.4 * u[5] if few else 0.5 + 0.5 * u[5]
    inflorescence = genus.inflorescence
    if len(plan.inflorescences) > 1 and u[6] < 0.3:
        inflorescence = pick(plan.inflorescences, rng)
    leaflets = int(rng.integers(plan.leaflets[0], plan.leaflets[1] + 1))
    aspect = low + (high - low) * float(u[1])
    if plan.habit == "fern":  # leaflets stand close and must not hide each other
        aspect = min(aspect, 2.2 / leaflets)
    length = plan.length[0] + (plan.length[1] - plan.length[0]) * float(size)
    return replace(
        genus,
        blade=blade,
        aspect=aspect,
        margin=margin,
        teeth=int(5 + 9 * u[2]),
        leaf_length=length / max(1.0, aspect / 0.5) ** 0.5,  # broad blades are shorter
        nodes=round(plan.nodes[0] + (plan.nodes[1] - plan.nodes[0]) * float(number)),
        leaflets=leaflets,
        petiole=plan.petiole[0] + (plan.petiole[1] - plan.petiole[0]) * float(u[7]),
        venation=_venation(genus.venation, blade),
        inflorescence=inflorescence,
        flower_size=0.028
        + 0.04 * float(rng.random())
        + (0.03 if inflorescence == "solitary" else 0),
    )


def _venation(shared: str, blade: str) -> str:
    palmate = ("cordate", "reniform", "orbicular", "trilobed", "palmately lobed", "deeply palmate")
    return "palmate" if shared == "pinnate" and blade in palmate else shared


def _position(traits: Traits, plan: Plan) -> np.ndarray:
    """Places a species in the space in which congeners are kept apart."""
    low, high = plan.length
    return np.array(
        [
            *(1.2 * (traits.blade == blade) for blade in plan.blades),
            2.0 * traits.aspect,
            *(0.5 * (traits.margin == margin) for margin in _MARGINS),
            traits.teeth / 14 if traits.margin != "entire" else 0.0,
            (traits.leaf_length - low) / (high - low),
            (traits.nodes - plan.nodes[0]) / max(plan.nodes[1] - plan.nodes[0], 1),
            (traits.leaflets - plan.leaflets[0]) / max(plan.leaflets[1] - plan.leaflets[0], 1),
            1.5 * traits.petiole,
            *(0.6 * (traits.inflorescence == kind) for kind in plan.inflorescences),
            10 * traits.flower_size,
        ]
    )
