"""What sets one plant apart from others of its species, and one picture of it from another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from herbzoo.data.synthetic.traits import Traits


@dataclass(frozen=True)
class Individual:
    """What sets one plant apart from others of its species."""

    vigour: float
    """Factor on the size of its leaves."""
    breadth: float
    """Factor on the width of its leaves."""
    nodes: int
    branches: int
    stage: str
    """flower, fruit or sterile."""
    hue: float
    """Where its colour lies within the range of its kind, 0 to 1."""

    @classmethod
    def draw(cls, traits: Traits, rng: np.random.Generator) -> Individual:
        """Draws an individual of a species."""
        return cls(
            vigour=float(rng.uniform(0.88, 1.14)),
            breadth=float(rng.uniform(0.92, 1.08)),
            nodes=max(2, traits.nodes + int(rng.integers(-1, 2))),
            branches=int(rng.integers(0, 3)),
            stage=("flower", "flower", "flower", "fruit", "sterile")[int(rng.integers(5))],
            hue=float(rng.random()),
        )


@dataclass(frozen=True)
class Pose:
    """How a plant lies or stands in one picture."""

    living: bool
    """A photo foreshortens leaves and shows no root; a sheet shows folds and tears."""
    damage: float
    """Chance that a leaf is torn or folded."""
