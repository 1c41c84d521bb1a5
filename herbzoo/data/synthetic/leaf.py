"""Leaf blades as outlines: a template for each species, placed many times on a plant.

A blade lies along the x axis from its base at 0 to its apex at 1; y runs across it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

# Half width over the length t as t**a * (1 - t)**b, and how far the base lobes reach back.
_BETA = {
    "linear": (0.3, 0.5, 0.0),
    "grassy": (0.12, 0.7, 0.0),
    "lanceolate": (0.75, 1.25, 0.0),
    "oblong": (0.3, 0.32, 0.0),
    "elliptic": (0.85, 0.85, 0.0),
    "ovate": (0.5, 1.15, 0.03),
    "obovate": (1.35, 0.5, 0.0),
    "spathulate": (2.6, 0.55, 0.0),
    "orbicular": (0.5, 0.5, 0.04),
    "cordate": (0.42, 0.95, 0.17),
    "reniform": (0.4, 0.5, 0.32),
    "deltoid": (0.18, 1.05, 0.05),
    "rhombic": (1.25, 1.25, 0.0),
    "pinnately lobed": (0.75, 0.55, 0.0),
    "runcinate": (0.9, 0.4, 0.0),
}
# Directions (degrees from the midrib) and lengths of the lobes on one side, and depth of the sinus.
_PALMATE = {
    "trilobed": ((0, 58), (1.0, 0.86), 0.56),
    "palmately lobed": ((0, 47, 100), (1.0, 0.92, 0.62), 0.58),
    "deeply palmate": ((0, 38, 78, 122), (1.0, 0.95, 0.8, 0.55), 0.24),
}
OUTLINES = (*_BETA, *_PALMATE, "hastate")
"""Every blade that can be drawn."""

_WAVE = tuple((k / 8, 0.5 - 0.5 * np.cos(np.pi * k / 4)) for k in range(8))
# One tooth as (position within it, height), and how many of `teeth` and how high.
_TEETH = {
    "serrate": (((0.0, 0.0), (0.82, 1.0)), 1.0, 0.52),
    "dentate": (((0.0, 0.0), (0.5, 1.0)), 0.65, 0.5),
    "crenate": (((0.0, 0.0), (0.2, 0.75), (0.5, 1.0), (0.8, 0.75)), 0.7, 0.36),
    "undulate": (_WAVE, 0.4, 0.16),
    "spiny": (((0.0, 0.0), (0.38, 0.1), (0.5, 1.5), (0.62, 0.1)), 0.6, 0.42),
}
_MIDRIB = np.linspace(0.0, 0.97, 6)


@dataclass(frozen=True)
class BladeTemplate:
    """Points of one blade and which of them make its parts."""

    points: np.ndarray
    """`[T, 2]`, all parts one after the other."""
    outline: slice
    rim: slice
    """The outline, closed, as a line."""
    half: slice
    """The upper half, drawn in another tone."""
    flap: slice
    """The upper half again, used where the blade is folded over."""
    midrib: slice
    veins: slice
    """All lateral veins as one line that returns to the midrib, which is quick to draw."""


@lru_cache(maxsize=512)
def blade_template(
    blade: str, aspect: float, margin: str, teeth: int, venation: str
) -> BladeTemplate:
    """Returns the template of a blade, computed once a species."""
    side = _toothed(_side(blade, teeth), margin, teeth, aspect)
    side[:, 1] *= aspect / (2 * side[:, 1].max())
    mirrored = side[::-1] * (1, -1)
    midrib = np.stack([_MIDRIB, np.zeros_like(_MIDRIB)], 1)
    veins = _veins(side, venation)
    parts = [
        np.concatenate([side, mirrored[1:-1]]),
        np.concatenate([side, mirrored[1:]]),
        np.concatenate([side, midrib[::-1]]),
        side,
        midrib,
        veins,
    ]
    ends = np.cumsum([len(part) for part in parts]).tolist()
    slices = [slice(end - len(part), end) for part, end in zip(parts, ends, strict=True)]
    return BladeTemplate(np.concatenate(parts), *slices)


def place(
    template: BladeTemplate,
    base: np.ndarray,
    angle: np.ndarray,
    length: np.ndarray,
    bend: np.ndarray,
    width: np.ndarray,
    fold: np.ndarray,
    cut: np.ndarray,
) -> np.ndarray:
    """Lays `L` blades out on a plant.

    Args:
        template: the blade.
        base: `[L, 2]`, where each blade begins.
        angle: `[L]` radians at the base.
        length: `[L]`.
        bend: `[L]` radians by which the midrib has turned at the apex.
        width: `[L]` factor on the width; negative blades are mirrored.
        fold: `[L]` line across which the upper half is folded over, as y of the template.
        cut: `[L]` x beyond which the blade is torn off.

    Returns:
        `[L, T, 2]` points.
    """
    x, y = template.points[None, :, 0], template.points[None, :, 1]
    fold, cut = fold[:, None], cut[:, None]
    flap = np.zeros(x.shape[1], dtype=bool)
    flap[template.flap] = True
    y = np.where(flap, 2 * fold - np.maximum(y, fold), np.minimum(y, fold))
    x = np.where(x > cut, cut + 0.025 * np.sin(61.0 * y + 40.0 * cut), x)
    y = y * width[:, None]
    bend = np.where(np.abs(bend) < 1e-3, 1e-3, bend)[:, None]
    turned = angle[:, None] + bend * x
    along_x = (np.sin(turned) - np.sin(angle)[:, None]) / bend
    along_y = (np.cos(angle)[:, None] - np.cos(turned)) / bend
    scaled = length[:, None]
    return np.stack(
        [
            base[:, :1] + scaled * (along_x - y * np.sin(turned)),
            base[:, 1:] + scaled * (along_y + y * np.cos(turned)),
        ],
        axis=2,
    )


def _side(blade: str, teeth: int) -> np.ndarray:
    """Returns one smooth side of a blade, from base to apex, `[N, 2]`."""
    t = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 72))
    if blade in _PALMATE:
        return _palmate_side(blade)
    if blade == "hastate":
        x = np.array([0.0, -0.16, -0.2, -0.12, 0.02, 0.1, 0.3, 0.55, 0.8, 1.0])
        y = np.array([0.0, 0.3, 0.46, 0.5, 0.34, 0.25, 0.25, 0.2, 0.1, 0.0])
        u = np.linspace(0, 1, len(x))
        return np.stack([np.interp(t, u, x), np.interp(t, u, y)], 1)
    a, b, lobe = _BETA[blade]
    y = np.maximum(t, 1e-9) ** a * np.maximum(1 - t, 0) ** b
    lobes = 3 + teeth % 3
    if blade == "pinnately lobed":
        y *= 0.36 + 0.64 * np.abs(np.sin(np.pi * (lobes * t + 0.12))) ** 0.7
    if blade == "runcinate":
        y *= np.where(t < 0.8, 0.16 + 0.8 * (1 - ((lobes + 1) * t / 0.8) % 1), 1.0)
    x = t - lobe * np.sin(np.pi * np.minimum(t / 0.42, 1))
    return np.stack([x, y], 1)


def _palmate_side(blade: str) -> np.ndarray:
    directions, lengths, sinus = _PALMATE[blade]
    theta = np.radians(np.linspace(directions[-1] + 38, 0, 90))
    reach = np.zeros_like(theta)
    spacing = np.radians(directions[1] - directions[0])
    for direction, length in zip(directions, lengths, strict=True):
        off = np.clip(1 - np.abs(theta - np.radians(direction)) / (0.78 * spacing), 0, 1)
        reach = np.maximum(reach, length * (sinus + (1 - sinus) * off**0.8) * (off > 0))
    reach = np.maximum(reach, 0.3 * sinus)
    side = np.stack([reach * np.cos(theta), reach * np.sin(theta)], 1)
    side[0] = 0.0
    side[-1] = (1.0, 0.0)
    return side


def _toothed(side: np.ndarray, margin: str, teeth: int, aspect: float) -> np.ndarray:
    """Samples a side coarsely and gives it its teeth."""
    step = np.hypot(*np.diff(side, axis=0).T)
    arc = np.r_[0, np.cumsum(step)] / step.sum()
    detailed = len(side) == 90 or np.diff(np.sign(np.diff(side[:, 1])) != 0).sum() > 4
    if margin == "entire":
        at = np.linspace(0, 1, 72 if detailed else 20)
        return np.stack([np.interp(at, arc, side[:, i]) for i in (0, 1)], 1)
    pattern, share, height = _TEETH[margin]
    count = max(3, round(teeth * share * (1.4 if detailed else 1)))
    where = np.array([(k + phase) / count for k in range(count) for phase, _ in pattern] + [1.0])
    rise = np.array([rise for _ in range(count) for _, rise in pattern] + [0.0])
    rise *= np.minimum(1, np.minimum(6 * where, 7 * (1 - where)))
    rise *= min(height / count, 0.3 * aspect) * (0.6 if detailed else 1)
    x, y = (np.interp(where, arc, side[:, i]) for i in (0, 1))
    y = y * aspect / (2 * side[:, 1].max())
    dx, dy = np.gradient(x), np.gradient(y)
    norm = np.hypot(dx, dy) + 1e-9
    return np.stack([x - rise * dy / norm, np.maximum(y + rise * dx / norm, 0)], 1)


def _veins(side: np.ndarray, venation: str) -> np.ndarray:
    """Returns one line that runs along every lateral vein of both halves, there and back."""
    x, y = side[:, 0], side[:, 1]
    right = []
    if venation == "parallel":
        t = np.array([0.02, 0.45, 0.92])
        width = y.max()
        right = [np.stack([t, width * share * np.array([0.6, 1, 0.25])], 1) for share in (0.3, 0.6)]
    elif venation == "palmate":
        reach = np.hypot(x, y)
        for degrees in (30, 62, 100):
            nearest = int(np.argmin(np.abs(np.arctan2(y, x + 1e-9) - np.radians(degrees))))
            if reach[nearest] > 0.12:
                tip = 0.9 * side[nearest]
                right.append(np.stack([np.zeros(2), 0.5 * tip + (-0.01, 0.02), tip]))
    else:
        rising = np.maximum.accumulate(x)
        for start in np.linspace(0.1, 0.78, 6):
            end = start + 0.16
            half = float(np.interp(end, rising, y)) * 0.9
            middle = (start + 0.07, 0.52 * half)
            right.append(np.array([(start, 0.0), middle, (end, half)]))
    both = [vein for line in right for vein in (line, line * (1, -1))]
    return np.concatenate([np.concatenate([vein, vein[-2::-1]]) for vein in both])
