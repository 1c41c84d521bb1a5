"""Colours of living and dried plants. They vary more between gatherings than between species."""

from __future__ import annotations

import numpy as np

from herbzoo.data.synthetic.paint import Palette

RGB = tuple[float, float, float]

_PETALS: dict[str, RGB] = {
    "white": (246, 244, 238),
    "yellow": (244, 208, 40),
    "pink": (232, 128, 170),
    "violet": (146, 92, 190),
    "blue": (88, 116, 212),
    "red": (206, 44, 52),
    "orange": (238, 134, 42),
    "cream": (244, 232, 186),
}
_FRUITS: tuple[RGB, ...] = ((150, 30, 36), (60, 44, 90), (128, 120, 50), (120, 82, 44))
# How leaves dry depends on the press and the weather far more than on the species.
_DRIED: tuple[RGB, ...] = (
    (112, 116, 74),
    (96, 104, 68),
    (128, 112, 70),
    (116, 92, 58),
    (92, 72, 50),
    (74, 66, 52),
    (134, 128, 92),
    (104, 112, 92),
)
_LIVING: tuple[RGB, ...] = ((92, 142, 58), (74, 124, 62), (116, 156, 66), (98, 138, 90))


def dried(colour: str, hue: float, rng: np.random.Generator) -> Palette:
    """Returns the palette of a pressed plant.

    Args:
        colour: that of its living petals.
        hue: of the individual, 0 to 1; its duplicates dried together.
        rng: of the sheet.
    """
    first = int(hue * len(_DRIED))
    leaf = _mix(_DRIED[first], _DRIED[(first * 3 + 1) % len(_DRIED)], 0.4 * (hue * 97 % 1))
    leaf = _shift(leaf, 7, rng)
    petal = _mix(_PETALS[colour], (150, 112, 74), 0.5 + 0.3 * (hue * 31 % 1))
    return {
        "leaf": leaf,
        "underside": _mix(leaf, (196, 190, 160), 0.45),
        "vein": _mix(leaf, (206, 196, 156) if hue < 0.6 else (50, 40, 28), 0.34),
        "stem": _mix(leaf, (112, 88, 54), 0.55),
        "wood": _mix((84, 66, 50), leaf, 0.2),
        "root": (110, 86, 60),
        "petal": petal,
        "eye": _mix((176, 132, 48), petal, 0.25),
        "calyx": _mix(leaf, (120, 104, 62), 0.5),
        "fruit": _mix(_FRUITS[first % len(_FRUITS)], (78, 54, 38), 0.55),
    }


def living(colour: str, hue: float, rng: np.random.Generator) -> Palette:
    """Returns the palette of a plant in the field; arguments as for `dried`."""
    leaf = _mix(_LIVING[int(hue * 4)], _LIVING[int(hue * 29) % 4], 0.5)
    leaf = _shift(leaf, 12, rng)
    petal = _shift(_PETALS[colour if hue < 0.9 else "white"], 10, rng)
    return {
        "leaf": leaf,
        "underside": _mix(leaf, (190, 206, 170), 0.4),
        "vein": _mix(leaf, (212, 226, 158), 0.32),
        "stem": _mix(leaf, (146, 124, 70), 0.35),
        "wood": (104, 84, 66),
        "root": (110, 86, 60),
        "petal": petal,
        "eye": (236, 194, 60) if colour != "yellow" else (190, 120, 30),
        "calyx": _mix(leaf, (120, 140, 60), 0.4),
        "fruit": _FRUITS[int(hue * 37) % len(_FRUITS)],
    }


def _mix(a: RGB, b: RGB, share: float) -> RGB:
    """Returns `a` with a share of `b`."""
    return (
        a[0] + share * (b[0] - a[0]),
        a[1] + share * (b[1] - a[1]),
        a[2] + share * (b[2] - a[2]),
    )


def _shift(colour: RGB, amount: float, rng: np.random.Generator) -> RGB:
    """Returns a colour nearby."""
    change = rng.normal(0, amount) + rng.normal(0, 0.4 * amount, 3)
    r, g, b = np.clip(np.array(colour) + change, 12, 250).tolist()
    return r, g, b
