"""Hiding the zones of a sheet, or everything but them.

A model that may read the label, or tell the herbarium by its colour card, need not look at the
plant. `MaskZones` hides the zones in training; `plant_only`, `margins_only` and `border_only` make
the pictures of the leak audit. What is hidden gets the colour of the sheet's own paper. The box
that was filled can often be seen by its edges: where a label lay and how large it was stays known.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection as Several
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from herbzoo.data.records import FIELD, ImageSource
from herbzoo.data.sheet_grid import LONG_SIDE, paper_colour
from herbzoo.data.zones import KINDS, Zone, find_zones
from herbzoo.errors import RecipeError

if TYPE_CHECKING:
    from herbzoo.data.zone_table import ZoneTable

LOOKING_SIZE = (LONG_SIDE, LONG_SIDE)
"""Height and width from which zones are found as well as they can be. Opened smaller than this, a
picture shows fewer of its labels."""
_OWN_CHANCE = 0x6D61736B
"""Keeps the draw of the mask apart from others that are made from the same seed."""
VIEWS = ("whole", "plant", "margins", "border")
"""What `ZonedImages` can show of a sheet."""
_SAMPLED = 160
"""Pixels along the longer side of which the colour of the paper is taken."""
_LIKE_PAPER = 24
"""How far a channel of a pixel of paper is from its usual value at the most."""


@dataclass(frozen=True)
class MaskZones:
    """Hides zones of sheets, as a step of training before the letterbox.

    Field photos are returned as they are.

    Args:
        kinds: which zones, of `herbzoo.data.zones.KINDS`.
        share: share of the views in which they are hidden, from 0 to 1.
        zones: boxes to use for the pictures it knows, instead of finding them.

    Raises:
        RecipeError: if a kind does not exist, or the share is out of range.
    """

    kinds: tuple[str, ...]
    share: float = 1.0
    zones: ZoneTable | None = None

    def __post_init__(self) -> None:
        """Checks kinds and share."""
        object.__setattr__(self, "kinds", tuple(self.kinds))
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown:
            raise RecipeError(
                f"image.mask has no zone {unknown[0]!r}; there are {', '.join(KINDS)}"
            )
        if not 0 <= self.share <= 1:
            raise RecipeError(f"image.mask_share is {self.share:g}; it must be from 0 to 1")

    def __call__(
        self, image: Image.Image, seed: int = 0, domain: str = "", key: str = ""
    ) -> Image.Image:
        """Returns the picture with its zones hidden, or as it is; the seed alone decides which.

        Args:
            image: a picture, best no smaller than `LOOKING_SIZE`.
            seed: of this view.
            domain: its `basisOfRecord`, '' if not known.
            key: the value of its row's `image` column, to look it up by.
        """
        if not self.kinds or domain == FIELD:
            return image
        if self.share < 1 and random.Random(seed ^ _OWN_CHANCE).random() >= self.share:
            return image
        return plant_only(image, zones_of(image, domain, key, self.zones), self.kinds)


@dataclass(frozen=True)
class ZonedImages:
    """A source of images that shows one view of every sheet; itself a source."""

    images: ImageSource
    view: str
    """One of `VIEWS`."""
    domains: dict[str, str]
    """`basisOfRecord` by key."""
    zones: ZoneTable | None = None

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image.Image:
        """Opens a picture and hides what the view leaves out.

        Where it is opened too small to find its zones, it is opened again, larger, to find them.

        Raises:
            ImageError: if the picture cannot be read.
        """
        image = self.images.open(key, min_size)
        if self.view == "whole":
            return image
        looked_at = image
        if min_size is not None and max(image.size) < LONG_SIDE:
            looked_at = self.images.open(key, LOOKING_SIZE)
        zones = zones_of(looked_at, self.domains.get(key, ""), key, self.zones)
        zones = [_scaled(zone, looked_at.size, image.size) for zone in zones]
        return {"plant": plant_only, "margins": margins_only, "border": border_only}[self.view](
            image, zones
        )


def zones_of(
    image: Image.Image, domain: str = "", key: str = "", table: ZoneTable | None = None
) -> list[Zone]:
    """Returns the zones of a picture: those of the table if it knows the picture, else found ones.

    A table that was made by a detector has no border; the one that is found is added.
    """
    if table is None or key not in table:
        return find_zones(image, domain)
    given = table.of(key, image.size)
    if any(zone.kind == "border" for zone in given):
        return given
    return [*(z for z in find_zones(image, domain) if z.kind == "border"), *given]


def plant_only(
    image: Image.Image, zones: Iterable[Zone] | None = None, kinds: Several[str] = KINDS
) -> Image.Image:
    """Returns a sheet whose zones are hidden; without zones given, they are found."""
    zones = find_zones(image) if zones is None else list(zones)
    return _hidden(image, zone_mask(image.size, zones, kinds), zones)


def margins_only(
    image: Image.Image, zones: Iterable[Zone] | None = None, kinds: Several[str] = KINDS
) -> Image.Image:
    """Returns a sheet of which only the zones are left; without zones given, they are found."""
    zones = find_zones(image) if zones is None else list(zones)
    return _hidden(image, ~zone_mask(image.size, zones, kinds), zones)


def border_only(image: Image.Image, zones: Iterable[Zone] | None = None) -> Image.Image:
    """Returns a sheet of which only the border is left."""
    return margins_only(image, zones, ("border",))


def zone_mask(
    size: tuple[int, int], zones: Iterable[Zone], kinds: Several[str] = KINDS
) -> np.ndarray:
    """Returns `[height, width]`, true in zones of these kinds; `size` is width and height."""
    mask = np.zeros((size[1], size[0]), dtype=bool)
    for zone in zones:
        if zone.kind in kinds:
            left, top, right, bottom = (max(0, edge) for edge in zone.box)
            mask[top:bottom, left:right] = True
    return mask


def _scaled(zone: Zone, size: tuple[int, int], other: tuple[int, int]) -> Zone:
    across, down = other[0] / size[0], other[1] / size[1]
    left, top, right, bottom = zone.box
    box = (
        math.floor(left * across),
        math.floor(top * down),
        math.ceil(right * across),
        math.ceil(bottom * down),
    )
    return replace(zone, box=box)


def _hidden(image: Image.Image, hidden: np.ndarray, zones: Iterable[Zone]) -> Image.Image:
    if not hidden.any():
        return image
    filled = image.convert("RGB") if image.mode != "RGB" else image.copy()
    filled.paste(_fill_colour(filled, zones), mask=Image.fromarray(hidden))
    return filled


def _fill_colour(image: Image.Image, zones: Iterable[Zone]) -> tuple[int, int, int]:
    """Returns the colour of the paper outside of all zones.

    A coloured label would shift the colour by a shade, which a model can learn to read: so nothing
    of the zones, and nothing unlike paper, goes into it.
    """
    outside = ~zone_mask(image.size, zones)
    step = max(1, max(image.size) // _SAMPLED)
    pixels = np.asarray(image)[::step, ::step].astype(np.int16)
    outside = outside[::step, ::step]
    some = pixels[outside] if outside.any() else pixels.reshape(-1, 3)
    colour = paper_colour(some[::5].astype(np.float32))
    near = np.abs(some - colour.astype(np.int16)) < _LIKE_PAPER
    like = some[near[:, 0] & near[:, 1] & near[:, 2]]
    red, green, blue = np.median(like, axis=0) if len(like) else colour
    return round(float(red)), round(float(green)), round(float(blue))
