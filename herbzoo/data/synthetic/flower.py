"""Flowers and fruits as small stacks of polygons of unit radius.

Open flowers face the viewer; bells and lipped flowers are seen from the side and point along x.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

Layer = tuple[str, float, np.ndarray]
"""Role, tone and points `[N, 2]` of one polygon."""


@lru_cache(maxsize=256)
def flower_layers(form: str, petals: int) -> tuple[Layer, ...]:
    """Returns the polygons of a flower, the lowest first."""
    if form == "rotate":
        return (
            ("petal", 1.0, _corolla(petals, 0.55, 0.55)),
            ("petal", 0.82, 0.5 * _corolla(petals, 0.45, 0.8)),
            ("eye", 1.0, _disc(0.2, 9)),
        )
    if form == "star":
        return (
            ("calyx", 1.0, _turned(0.72 * _corolla(petals, 0.2, 2.0), np.pi / petals)),
            ("petal", 1.0, _corolla(petals, 0.16, 1.6)),
            ("eye", 1.0, _disc(0.16, 8)),
        )
    if form == "daisy":
        return (
            ("petal", 0.9, _corolla(17, 0.4, 0.8)),
            ("petal", 1.04, _turned(0.93 * _corolla(13, 0.4, 0.8), 0.2)),
            ("eye", 0.8, _disc(0.4, 14)),
            ("eye", 1.1, _disc(0.28, 12)),
        )
    if form == "bell":
        side = np.array([(0.0, 0.12), (0.15, 0.3), (0.6, 0.4), (1.0, 0.5), (1.3, 0.78)])
        teeth = np.array([(1.2, 0.4), (1.42, 0.2), (1.24, 0.0)])
        mouth = np.concatenate([side, teeth, (teeth[:2] * (1, -1))[::-1], side[::-1] * (1, -1)])
        throat = np.concatenate([side[1:], side[:0:-1] * (1, -0.1)])
        return (
            ("petal", 1.0, mouth),
            ("petal", 0.84, throat),
            (
                "calyx",
                1.0,
                np.array(
                    [
                        (-0.12, 0.0),
                        (0.1, 0.32),
                        (0.42, 0.36),
                        (0.2, 0.0),
                        (0.42, -0.36),
                        (0.1, -0.32),
                    ]
                ),
            ),
        )
    if form == "lipped":
        banner = np.array(
            [(0.1, 0.1), (0.35, 0.6), (0.75, 0.86), (1.1, 0.6), (0.95, 0.25), (0.5, 0.02)]
        )
        keel = np.array(
            [(0.1, -0.1), (0.5, -0.02), (1.1, 0.06), (1.35, -0.2), (1.0, -0.46), (0.5, -0.4)]
        )
        return (
            ("petal", 1.08, banner),
            ("petal", 0.82, keel),
            (
                "calyx",
                1.0,
                np.array(
                    [
                        (-0.15, 0.05),
                        (0.15, 0.3),
                        (0.5, 0.16),
                        (0.5, -0.18),
                        (0.15, -0.3),
                        (-0.15, -0.05),
                    ]
                ),
            ),
        )
    if form == "tuft":
        return (
            ("calyx", 0.9, _corolla(7, 0.35, 1.2)),
            ("eye", 0.9, 0.9 * _turned(_corolla(8, 0.25, 1.0), 0.3)),
            ("eye", 1.15, _disc(0.3, 7)),
        )
    return ()


@lru_cache(maxsize=64)
def fruit_layers(fruit: str) -> tuple[Layer, ...]:
    """Returns the polygons of a fruit, the lowest first; it hangs along x."""
    if fruit == "berry":
        return (
            ("fruit", 1.0, _disc(0.6, 12, 0.55, 0.0)),
            ("fruit", 1.35, _disc(0.17, 6, 0.4, 0.2)),
        )
    if fruit == "pod":
        x = np.linspace(0, 2.0, 8)
        middle = 0.22 * np.sin(x * 1.4)
        half = 0.24 * np.sin(np.pi * (0.05 + 0.9 * x / 2)) + 0.04 * np.sin(14 * x)
        upper, lower = np.stack([x, middle + half], 1), np.stack([x, middle - half], 1)
        return (
            ("fruit", 1.0, np.concatenate([upper, lower[::-1]])),
            ("fruit", 0.75, np.concatenate([lower, np.stack([x, middle - 0.6 * half], 1)[::-1]])),
        )
    if fruit == "capsule":
        outline = np.array(
            [(0, 0.1), (0.3, 0.42), (0.8, 0.4), (1.15, 0.12), (1.35, 0.16), (1.2, 0.0)]
        )
        return (
            ("fruit", 1.0, np.concatenate([outline, outline[-2::-1] * (1, -1)])),
            ("fruit", 0.72, np.array([(0.1, 0.02), (0.8, 0.06), (1.1, 0.0), (0.8, -0.06)])),
        )
    lobes = [_disc(0.3, 7, x, y) for x, y in ((0.3, 0.22), (0.3, -0.22), (0.6, 0.0))]
    return tuple(("fruit", 0.85 + 0.12 * i, lobe) for i, lobe in enumerate(lobes))


def _corolla(petals: int, sinus: float, roundness: float) -> np.ndarray:
    """Returns the outline of a flat flower: petals reach 1, gaps between them reach `sinus`."""
    angle = np.linspace(0, 2 * np.pi, petals * 6, endpoint=False)
    wave = np.abs(np.cos(petals * angle / 2)) ** roundness
    reach = sinus + (1 - sinus) * wave
    return np.stack([reach * np.cos(angle), reach * np.sin(angle)], 1)


def _disc(radius: float, corners: int, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)


def _turned(points: np.ndarray, angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return points @ np.array([[c, s], [-s, c]])
