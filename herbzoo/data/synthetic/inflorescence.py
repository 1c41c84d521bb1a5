"""Where flowers and fruits stand on a stem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from herbzoo.data.synthetic.flower import flower_layers, fruit_layers
from herbzoo.data.synthetic.paint import Drawing
from herbzoo.data.synthetic.traits import Traits

_SIDEWAYS = ("bell", "lipped")


@dataclass(frozen=True)
class Flowering:
    """A stem that bears flowers at its tip, or at its nodes."""

    stem: np.ndarray
    nodes: int


def add_inflorescence(
    drawing: Drawing,
    traits: Traits,
    flowering: Flowering,
    stage: str,
    rng: np.random.Generator,
) -> None:
    """Draws the flowers (or fruits, by `stage`) of one stem onto the plant."""
    stem = flowering.stem
    tip, step = stem[-1], stem[-1] - stem[-2]
    angle = float(np.arctan2(step[1], step[0]))
    kind, radius = traits.inflorescence, traits.flower_size
    if kind == "axillary":
        heads = _axillary(drawing, stem, flowering.nodes, radius, rng)
    elif kind == "solitary":
        heads = [(*tip, angle, 1.3)]
    elif kind == "umbel":
        heads = _umbel(drawing, tip, angle, radius, rng)
    elif kind == "panicle":
        heads = _panicle(drawing, tip, angle, radius, rng)
    elif kind == "head":
        heads = _head(tip, angle, radius, rng)
    else:
        heads = _raceme(drawing, tip, angle, radius, rng, sessile=kind == "spike")
    flowers = np.array(heads).reshape(-1, 4)
    if stage == "fruit":
        layers, size = fruit_layers(traits.fruit), 0.62 * radius
    else:
        layers, size = flower_layers(traits.flower, traits.petals), radius
    if traits.flower in _SIDEWAYS or stage == "fruit":
        turn = flowers[:, 2]
    else:
        turn = rng.uniform(0, 2 * np.pi, len(flowers))
    tones = rng.uniform(0.88, 1.1, len(flowers)).tolist()
    _stamp(drawing, layers, flowers[:, :2], turn, size * flowers[:, 3], tones)


def _stamp(
    drawing: Drawing,
    layers: tuple[tuple[str, float, np.ndarray], ...],
    centres: np.ndarray,
    turn: np.ndarray,
    size: np.ndarray,
    tones: list[float],
) -> None:
    """Draws one symbol at many places."""
    c, s = (size * np.cos(turn))[:, None], (size * np.sin(turn))[:, None]
    placed = []
    for role, tone, points in layers:
        x, y = points[None, :, 0], points[None, :, 1]
        moved = np.stack([c * x - s * y, s * x + c * y], 2) + centres[:, None]
        placed.append((role, tone, moved))
    for index, own in enumerate(tones):
        for role, tone, moved in placed:
            drawing.fill(role, moved[index], tone * own)


Heads = list[tuple[float, float, float, float]]
"""x, y, direction and relative size of each flower."""


def _raceme(
    drawing: Drawing, tip: np.ndarray, angle: float, radius: float, rng: np.random.Generator,
    *, sessile: bool,
) -> Heads:  # fmt: skip
    count = int(rng.integers(11, 15)) if sessile else int(rng.integers(7, 11))
    length = (1.15 if sessile else 1.7) * radius * count * 0.5
    length = float(np.clip(length, 0.14, 0.3))
    bend = rng.uniform(-0.35, 0.35)
    t = np.linspace(0, 1, 8)
    turned = angle + bend * t
    axis = tip + length / 7 * np.stack(
        [np.r_[0, np.cumsum(np.cos(turned))[:-1]], np.r_[0, np.cumsum(np.sin(turned))[:-1]]], 1
    )
    drawing.ribbon("stem", axis, 0.007, 0.004)
    heads: Heads = []
    for rank, s in enumerate(np.linspace(0.05, 1, count)):
        side = 1 if rank % 2 else -1
        direction = angle + bend * s + side * (1.0 if rank < count - 1 else 0.0)
        reach = (0.5 if sessile else 1.5) * radius * (1 - 0.4 * s)
        at = np.array([np.interp(s, t, axis[:, 0]), np.interp(s, t, axis[:, 1])])
        end = at + reach * np.array([np.cos(direction), np.sin(direction)])
        if not sessile:
            drawing.line("stem", np.stack([at, end]), 0.004)
        heads.append((end[0], end[1], direction, (0.72 if sessile else 0.9) * (1 - 0.45 * s)))
    return heads


def _umbel(
    drawing: Drawing, tip: np.ndarray, angle: float, radius: float, rng: np.random.Generator
) -> Heads:
    count = int(rng.integers(7, 11))
    heads: Heads = []
    for u in np.linspace(-1, 1, count):
        direction = angle + 1.05 * u + rng.uniform(-0.08, 0.08)
        reach = 3.2 * radius * rng.uniform(0.85, 1.1)
        end = tip + reach * np.array([np.cos(direction), np.sin(direction)])
        drawing.line("stem", np.stack([tip, end]), 0.0045)
        heads.append((end[0], end[1], direction, 0.72))
    return heads


def _panicle(
    drawing: Drawing, tip: np.ndarray, angle: float, radius: float, rng: np.random.Generator
) -> Heads:
    length = float(np.clip(5.5 * radius, 0.18, 0.34))
    along = np.array([np.cos(angle), np.sin(angle)])
    drawing.ribbon(
        "stem", np.stack([tip, tip + 0.5 * length * along, tip + length * along]), 0.007, 0.003
    )
    heads: Heads = [(*(tip + length * along), angle, 0.5)]
    for rank, s in enumerate(np.linspace(0.05, 0.85, 6)):
        side = 1 if rank % 2 else -1
        direction = angle + side * rng.uniform(0.6, 0.9)
        start = tip + s * length * along
        reach = 0.62 * length * (1.05 - s)
        end = start + reach * np.array([np.cos(direction), np.sin(direction)])
        drawing.line("stem", np.stack([start, end]), 0.004)
        for v in (0.45, 0.75, 1.0):
            at = start + v * (end - start) + rng.uniform(-0.4, 0.4, 2) * radius
            heads.append((at[0], at[1], direction + rng.uniform(-0.7, 0.7), 0.52))
    return heads


def _head(tip: np.ndarray, angle: float, radius: float, rng: np.random.Generator) -> Heads:
    """Packs flowers into a ball."""
    heads: Heads = []
    centre = tip + 1.0 * radius * np.array([np.cos(angle), np.sin(angle)])
    for rank in range(15):
        reach = 1.35 * radius * np.sqrt((15 - rank) / 15)
        direction = 2.4 * rank + rng.uniform(-0.2, 0.2)
        at = centre + reach * np.array([np.cos(direction), np.sin(direction)])
        heads.append((at[0], at[1], direction, 0.55))
    return heads


def _axillary(
    drawing: Drawing, stem: np.ndarray, nodes: int, radius: float, rng: np.random.Generator
) -> Heads:
    heads: Heads = []
    where = np.linspace(0, 1, len(stem))
    for s in np.linspace(0.35, 0.95, max(3, nodes - 2)):
        at = np.array([np.interp(s, where, stem[:, 0]), np.interp(s, where, stem[:, 1])])
        for side in (1, -1):
            direction = np.pi / 2 + side * rng.uniform(0.4, 0.9)
            end = at + 1.7 * radius * np.array([np.cos(direction), np.sin(direction)])
            drawing.line("stem", np.stack([at, end]), 0.0045)
            heads.append((end[0], end[1], direction, 0.8))
    return heads
