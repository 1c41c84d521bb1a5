"""How a plant of a species grows: one individual, seen as a whole or in part.

The same individual looks alike on every sheet it was divided onto: what belongs to it comes from
its own random stream, how it happens to lie from another.
"""

from __future__ import annotations

import numpy as np

from herbzoo.data.synthetic.individual import Individual, Pose
from herbzoo.data.synthetic.inflorescence import Flowering, add_inflorescence
from herbzoo.data.synthetic.leaf import blade_template, place
from herbzoo.data.synthetic.paint import Drawing
from herbzoo.data.synthetic.traits import Traits

Point = np.ndarray
_UP = np.pi / 2


class Plant:
    """Grows one plant into a `Drawing`, about one unit high with its base at the origin."""

    def __init__(
        self, traits: Traits, individual: Individual, pose: Pose, rng: np.random.Generator
    ) -> None:
        self.traits = traits
        self.individual = individual
        self.pose = pose
        self.rng = rng
        self.drawing = Drawing()
        self._blades: list[tuple[float, float, float, float, float]] = []
        self._stalks: list[tuple[Point, float, float]] = []
        self._stems: list[tuple[str, Point, float, float]] = []
        self._flowering: list[Flowering] = []

    def grow(self) -> Drawing:
        """Returns the plant."""
        habit = {
            "tree": self._tree,
            "herb": self._herb,
            "rosette": self._rosette,
            "tussock": self._tussock,
            "fern": self._fern,
            "climber": self._climber,
        }[self.traits.habit]
        habit()
        while not self._blades and not self._stems:  # a fern may have lost its few fronds
            habit()
        self._draw()
        return self.drawing

    # Habits

    def _tree(self) -> None:
        shoots = [self._axis((0.0, 0.0), _UP + self._jitter(0.12), 1.0, self._jitter(0.3))]
        sides = self.rng.permutation([-1, 1, -1])[: self.individual.branches]
        for number, side in enumerate(sides):
            at = shoots[0][3 + 2 * number]
            turn = side * self.rng.uniform(0.5, 0.85)
            length = self.rng.uniform(0.4, 0.6)
            shoots.append(self._axis(at, _UP + turn, length, -0.5 * turn))
        for number, shoot in enumerate(shoots):
            share = 1.0 if number == 0 else 0.55
            self._stems.append(("wood", shoot, 0.02 * (0.5 + 0.5 * share), 0.006))
            first = 0.14 if number == 0 else 0.25
            self._leafy(shoot, max(2, round(share * self.individual.nodes)), first, 1.0, 0.12)
            self._flowers_at(shoot)

    def _herb(self) -> None:
        lean = self._jitter(0.1)
        main = self._axis((0.0, 0.0), _UP + lean, 1.0, self._jitter(0.25))
        stems = [main]
        for side in self.rng.permutation([-1, 1])[: self.individual.branches]:
            at = main[int(self.rng.integers(3, 6))]
            stems.append(self._axis(at, _UP + side * 0.6, self.rng.uniform(0.35, 0.5), -0.4 * side))
        for number, stem in enumerate(stems):
            self._stems.append(("stem", stem, 0.016 if number == 0 else 0.01, 0.006))
            nodes = self.individual.nodes if number == 0 else self.individual.nodes // 2
            self._leafy(stem, max(2, nodes), 0.12, 0.84, 0.5)
            self._flowers_at(stem)
        self._roots(0.16, 7)

    def _climber(self) -> None:
        t = np.linspace(0, 1, 18)
        sway = self.rng.uniform(0.12, 0.2) * (-1 if self.rng.random() < 0.5 else 1)
        phase = self.rng.uniform(0, 1.2)
        stem = np.stack([sway * (np.sin(5.2 * t + phase) - np.sin(phase)), t], 1)
        self._stems.append(("stem", stem, 0.012, 0.006))
        self._leafy(stem, self.individual.nodes, 0.08, 0.97, 0.35)
        for at in self.rng.integers(4, 17, size=3):
            u = np.linspace(0, 1, 28)
            side = 1 if self.rng.random() < 0.5 else -1
            curl = np.stack(
                [side * (0.16 * u + 0.03 * np.sin(14 * u)), 0.05 * np.cos(14 * u) * u], 1
            )
            self.drawing.line("stem", stem[at] + curl, 0.004)
        self._flowers_at(stem)

    def _rosette(self) -> None:
        if self.pose.living:
            self._circle()
        else:
            self._fan(np.radians(98), 1.0, 0.32)
        self._scapes(3 if self.traits.inflorescence == "solitary" else 1 + self.individual.branches)
        self._roots(0.22, 10)

    def _tussock(self) -> None:
        self._fan(np.radians(34), 0.35, 0.7)
        self._scapes(2 + self.individual.branches)
        self._roots(0.16, 16)

    def _fern(self) -> None:
        self._fan(np.radians(9 * self.individual.nodes), 0.3, 0.5)
        if self.pose.living:
            return
        rhizome = self._axis((-0.07, 0.0), self._jitter(0.3), 0.15, 0.0)
        self._stems.append(("root", rhizome, 0.03, 0.022))
        self._roots(0.12, 12)

    # Organs

    def _fan(self, half_angle: float, spread: float, bend: float) -> None:
        """Spreads the leaves of a base like a fan, the outer ones shorter."""
        count = self.individual.nodes
        for u in np.linspace(-1, 1, count):
            angle = _UP - u * half_angle + self._jitter(0.1)
            length = self.traits.leaf_length * (1 - 0.2 * spread * abs(u))
            length *= self.rng.uniform(0.8, 1.05)
            base = (0.02 * u, 0.01 * self._jitter(1.0))
            turn = -u * bend * self.rng.uniform(0.2, 1.0) + self._jitter(0.12)
            self._leaf(base, angle, length, turn)

    def _circle(self) -> None:
        """Spreads the leaves of a base over the ground, seen from above at a slant."""
        first, tilt = self.rng.uniform(0, 2 * np.pi), self.rng.uniform(0.45, 0.85)
        for turn in np.linspace(0, 2 * np.pi, self.individual.nodes, endpoint=False):
            x, y = np.cos(first + turn), tilt * np.sin(first + turn)
            length = self.traits.leaf_length * float(np.hypot(x, y))
            self._leaf((0.0, 0.0), float(np.arctan2(y, x)), length, self._jitter(0.3))

    def _leafy(self, stem: Point, nodes: int, first: float, last: float, shrink: float) -> None:
        """Sets leaves along a stem, smaller by `shrink` towards its tip."""
        side = 1 if self.rng.random() < 0.5 else -1
        for rank, s in enumerate(np.linspace(first, last, nodes)):
            base, angle = _at(stem, s + self._jitter(0.012))
            length = self.traits.leaf_length * (1 - shrink * s) * self.rng.uniform(0.85, 1.08)
            spread = 1.15 - 0.45 * s
            for turn, factor in self._turns(rank, side):
                self._leaf(base, angle + turn * spread + self._jitter(0.16), length * factor,
                           -0.3 * turn + self._jitter(0.3))  # fmt: skip
        if self.traits.habit == "tree":
            base, angle = _at(stem, 1.0)
            self._leaf(base, angle + self._jitter(0.3), 0.8 * self.traits.leaf_length, 0.0)

    def _turns(self, rank: int, side: int) -> list[tuple[float, float]]:
        """Returns by how far each leaf of a node turns from the stem, and its size."""
        if self.traits.arrangement == "opposite":
            return [(1.0, 1.0), (-1.0, 1.0)]
        if self.traits.arrangement == "whorled":
            return [(1.25, 1.0), (-1.25, 1.0), (0.6, 0.85), (-0.6, 0.85), (1.9, 0.7), (-1.9, 0.7)]
        return [(float(side if rank % 2 else -side), 1.0)]

    def _leaf(
        self, base: Point | tuple[float, float], angle: float, length: float, bend: float,
    ) -> None:  # fmt: skip
        """Adds one leaf with its petiole: a blade, or several leaflets."""
        if self.rng.random() < 0.06:
            return  # lost
        length *= self.individual.vigour
        if self.pose.living:
            length *= self.rng.uniform(0.78, 1.04)
            bend -= 0.3 * np.cos(angle)
        stalk = max(0.02, self.traits.petiole) * length
        division = self.traits.division
        if division == "pinnate":
            stalk = 0.0
        path = self._axis(base, angle, stalk, 0.25 * bend, 4)
        tip = path[-1]
        if division == "pinnate":
            self._pinnate(base, angle, length, bend)
            return
        self._stalks.append((path, 0.008, 0.006))
        direction = angle + 0.25 * bend
        if division == "simple":
            self._blade(tip, direction, length, bend)
            return
        count = 3 if division == "trifoliate" else self.traits.leaflets
        half = 1.15 if count == 3 else 1.9
        for u in np.linspace(-1, 1, count):
            size = length * (0.7 if count == 3 else 0.66) * (1 - 0.22 * abs(u))
            self._blade(tip, direction + u * half + self._jitter(0.08), size, 0.2 * bend)

    def _pinnate(
        self, base: Point | tuple[float, float], angle: float, length: float, bend: float,
    ) -> None:  # fmt: skip
        rachis = self._axis(base, angle, length, bend, 10)
        fern = self.traits.habit == "fern"
        self._stalks.append((rachis, 0.011 if fern else 0.008, 0.004))
        pairs = self.traits.leaflets
        first = 0.22 if fern else 0.3
        for s in np.linspace(first, 0.93, pairs):
            at, direction = _at(rachis, s)
            if fern:
                size = 0.27 * length * np.sin(np.pi * (0.22 + 0.76 * s) ** 1.1)
                spread = 1.25
            else:
                size = min(0.5, 1.5 / pairs) * length * (1 - 0.25 * abs(s - 0.5))
                spread = 1.0
            for side in (1, -1):
                self._blade(at, direction + side * spread + self._jitter(0.07), size,
                            -0.25 * side + self._jitter(0.1))  # fmt: skip
        at, direction = _at(rachis, 1.0)
        self._blade(at, direction, (0.12 if fern else min(0.5, 1.5 / pairs)) * length, 0.1)

    def _blade(
        self,
        base: Point,
        angle: float,
        length: float,
        bend: float,
    ) -> None:
        self._blades.append((base[0], base[1], angle, length, bend + self._jitter(0.12)))

    def _flowers_at(self, stem: Point) -> None:
        if self.individual.stage != "sterile" and self.traits.flower != "none":
            self._flowering.append(Flowering(stem, nodes=self.individual.nodes))

    def _scapes(self, count: int) -> None:
        """Sets leafless flowering stems on a rosette."""
        if self.individual.stage == "sterile":
            count = 0
        for u in np.linspace(-1, 1, count) if count > 1 else [self._jitter(0.4)] * count:
            length = self.rng.uniform(0.82, 1.0)
            scape = self._axis((0.0, 0.0), _UP - 0.3 * u + self._jitter(0.08), length, 0.2 * u)
            self._stems.append(("stem", scape, 0.012, 0.007))
            self._flowering.append(Flowering(scape, nodes=0))

    def _roots(self, depth: float, count: int) -> None:
        if self.pose.living:
            return
        for _ in range(count):
            root = self._axis(
                (self._jitter(0.015), 0.0), -_UP + self._jitter(0.8),
                depth * self.rng.uniform(0.4, 1.0), self._jitter(1.4), 6,
            )  # fmt: skip
            self.drawing.ribbon("root", root, 0.009, 0.002, self.rng.uniform(0.8, 1.1))

    def _axis(
        self, base: Point | tuple[float, float], angle: float, length: float, bend: float,
        count: int = 12,
    ) -> Point:  # fmt: skip
        """Returns a curve that turns by `bend` along its length."""
        turned = angle + bend / (count - 1) * np.arange(count - 1)
        path = np.empty((count, 2))
        path[0] = base
        np.cos(turned, out=path[1:, 0])
        np.sin(turned, out=path[1:, 1])
        path[1:] *= length / (count - 1)
        return path.cumsum(0)

    def _jitter(self, amount: float) -> float:
        return amount * float(self.rng.uniform(-1, 1))

    # Drawing

    def _draw(self) -> None:
        """Paints back leaves, stems, front leaves and flowers, in that order."""
        order = self.rng.permutation(len(self._blades))
        behind = len(order) // 2
        for path, start, end in self._stalks:
            self.drawing.ribbon("stem", path, start, end, 0.95)
        placed = self._placed_blades()
        for index in order[:behind]:
            self._draw_blade(placed, index)
        for role, path, start, end in self._stems:
            self.drawing.ribbon(role, path, start, end)
            self.drawing.line(role, path + np.array([0.15 * start, 0.0]), 0.12 * start, 1.25)
        for index in order[behind:]:
            self._draw_blade(placed, index)
        for flowering in self._flowering:
            add_inflorescence(self.drawing, self.traits, flowering, self.individual.stage, self.rng)

    def _placed_blades(self) -> np.ndarray:
        traits, rng, count = self.traits, self.rng, len(self._blades)
        blade = np.array(self._blades).reshape(count, 5)
        template = blade_template(
            traits.blade, traits.aspect, traits.margin, traits.teeth, traits.venation
        )
        width = self.individual.breadth * rng.uniform(0.94, 1.06, count)
        if self.pose.living:
            width *= 1 - 0.5 * rng.random(count) ** 2
        width *= np.where(rng.random(count) < 0.5, -1, 1)
        hurt = rng.random((2, count)) < self.pose.damage
        half = traits.aspect / 2
        self._folded = hurt[0] & (traits.aspect > 0.15)
        fold = np.where(self._folded, half * rng.uniform(0.2, 0.7, count), 9.0)
        cut = np.where(hurt[1], rng.uniform(0.55, 0.9, count), 9.0)
        self._tones = rng.uniform(0.86, 1.1, count)
        if self.pose.living:
            self._tones = rng.uniform(0.72, 1.18, count)
        self._template = template
        self._veined = blade[:, 3] > 0.075
        return place(
            template, blade[:, :2], blade[:, 2], blade[:, 3], blade[:, 4], width, fold, cut
        )

    def _draw_blade(self, placed: np.ndarray, index: int) -> None:
        points, tone, parts = placed[index], float(self._tones[index]), self._template
        drawing = self.drawing
        drawing.fill("leaf", points[parts.outline], tone)
        drawing.fill("leaf", points[parts.half], 0.89 * tone)
        drawing.line("leaf", points[parts.rim], 0.0035, 0.6 * tone)
        if self._veined[index]:
            drawing.line("vein", points[parts.veins], 0.0016, tone)
            drawing.line("vein", points[parts.midrib], 0.0045, 1.04 * tone)
        if self._folded[index]:
            drawing.fill("underside", points[parts.flap], tone)


def _at(path: Point, s: float) -> tuple[Point, float]:
    """Returns the point at share `s` of a path, and the direction there."""
    where = min(max(s, 0.0), 1.0) * (len(path) - 1)
    index = min(int(where), len(path) - 2)
    step = path[index + 1] - path[index]
    return path[index] + (where - index) * step, float(np.arctan2(step[1], step[0]))
