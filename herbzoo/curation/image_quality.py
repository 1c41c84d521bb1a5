"""Images that show no plant that could be named: black, blurred, blank, or lettering alone.

They are unlike every known species, too, and would head each list of unknown ones. Measured rules
tell them apart; `benchmarks/image_quality.py` says how often they err.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from herbzoo.data.looking import look_over
from herbzoo.data.records import FIELD, HERBARIUM, Collection, Skipped
from herbzoo.data.sheet_grid import SheetGrid
from herbzoo.data.zones import find_zones, looks_like_sheet

BLACK, BLURRED, BLANK, TEXT = "nearly black", "blurred", "blank", "lettering only"
FAULTS = {
    BLACK: "the image is nearly black",
    BLURRED: "the image is blurred",
    BLANK: "the image is blank: nothing lies on the paper but what a label or a scale takes up",
    TEXT: "the image shows lettering only, as a photo of a label does",
}
"""What may be wrong with an image, and how to say it."""
SIDE = 640
"""Pixels of the longer side at which images are looked at."""

# Limits lie between what 600 real sheets, leaves and field photos reach and what bad images do.
_DARKEST = 50.0
"""Level of grey, of 255, that 99% of a nearly black image stay below; real ones reach 107."""
_SHARPEST = 0.35
"""Strength of the finest edges, relative to those four times as wide, below which an image is
blurred. Real ones have 0.51 or more, sheets blurred by a hundredth of their side below 0.25."""
_FLAT = 2.0
"""Levels of grey of the strongest wide edges below which there is nothing to be blurred."""
_COVERED = 0.68
"""Share of a picture that is lettering from which there is nothing else on it. Real sheets reach
0.64, most have below 0.2; of photos of labels nine in ten have more."""
_AS_LABEL = 2.5
"""How much larger a sheet is than a label on it: letters are known by their size on a sheet."""
_BARE = 0.001
"""Share of the cells outside labels and border that hold something, below which none does."""
_RELIEF = 4.0
"""Levels of grey of the strongest edges there, from which it is not blank after all."""
_INK, _PAPER = 0.05, 0.75
_MARGIN = 0.05


@dataclass(frozen=True)
class Measures:
    """What is measured of one image."""

    light: float
    """Level of grey that 1% of the pixels exceed, 0 to 255."""
    edges: float
    """Strength of the finest edges relative to wider ones."""
    wide: float
    """Levels of grey of the strongest wide edges."""
    lettered: float
    """Share of the picture that would be lettering, if the picture were a label on a sheet."""
    shown: float
    """Share of the cells outside labels, cards and border that hold something."""
    relief: float
    """Levels of grey of the strongest wide edges there."""
    sheet: bool
    """Whether it looks like a sheet, not like a photo of a living plant."""

    def fault(self, domain: str = "") -> str:
        """Returns what is wrong with the image, one of `FAULTS`; '' if nothing is.

        Args:
            domain: its `basisOfRecord`. A field photo is never blank or lettering only.
        """
        if self.light < _DARKEST:
            return BLACK
        on_sheet = domain == HERBARIUM or (domain != FIELD and self.sheet)
        if on_sheet and self.lettered >= _COVERED:
            return TEXT
        if on_sheet and self.shown < _BARE and self.relief < _RELIEF:
            return BLANK
        return BLURRED if self.wide >= _FLAT and self.edges < _SHARPEST else ""


def measure_image(picture: Image.Image) -> Measures:
    """Measures a picture of any size."""
    rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    if max(rgb.size) > SIDE:
        rgb = rgb.copy()
        rgb.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    grey = np.asarray(rgb.convert("L"), dtype=np.float32)
    wide = np.abs(ndimage.gaussian_filter(grey, 2) - ndimage.gaussian_filter(grey, 4))
    grid = SheetGrid.of(rgb)
    free = _free_cells(rgb, grid)
    holding = ((grid.ink > _INK) | (grid.paper < _PAPER)) & free
    return Measures(
        light=float(np.percentile(grey, 99)),
        edges=_finest(grey) / max(_strongest(wide), 1e-6),
        wide=_strongest(wide),
        lettered=_lettered(rgb, grid),
        shown=float(holding.sum() / max(1, free.sum())),
        relief=_strongest(wide[_enlarged(free, wide.shape)]),
        sheet=looks_like_sheet(grid),
    )


def image_faults(
    collection: Collection, workers: int = -1, progress: Callable[[int], object] | None = None
) -> list[str]:
    """Returns what is wrong with each image, one of `FAULTS`; '' if nothing is.

    Args:
        collection: images that cannot be read have no fault of this kind.
        workers: processes that decode; 0 for none but this one, -1 for as many as suit.
        progress: told how many more images are done.
    """
    keys = collection.frame["image"].tolist()
    size = (SIDE, SIDE)
    found = look_over(
        collection.images, keys, measure_image, size, workers=workers, progress=progress
    )
    return [
        "" if isinstance(one, Skipped) else one.fault(domain)
        for one, domain in zip(found, collection.frame["basisOfRecord"], strict=True)
    ]


def _finest(grey: np.ndarray) -> float:
    """Returns how strong the finest edges are: a blur takes them away and leaves the wide ones."""
    return _strongest(np.abs(grey - ndimage.gaussian_filter(grey, 1)))


def _strongest(edges: np.ndarray) -> float:
    return float(np.percentile(edges, 99.9)) if edges.size else 0.0


def _free_cells(rgb: Image.Image, grid: SheetGrid) -> np.ndarray:
    """Returns the cells outside labels, cards and border."""
    free = np.ones(grid.shape, dtype=bool)
    edge = max(1, round(_MARGIN * max(grid.shape)))
    free[:edge] = free[-edge:] = free[:, :edge] = free[:, -edge:] = False
    down, across = (cells / side for cells, side in zip(grid.shape, rgb.size[::-1], strict=True))
    for zone in find_zones(rgb, HERBARIUM):
        left, top, right, bottom = zone.box
        rows = slice(int(top * down), int(np.ceil(bottom * down)))
        free[rows, int(left * across) : int(np.ceil(right * across))] = False
    return free


def _enlarged(cells: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the cell of each pixel of a picture."""
    rows, columns = (
        np.arange(side) * count // side for side, count in zip(shape, cells.shape, strict=True)
    )
    return cells[np.ix_(rows, columns)]


def _lettered(rgb: Image.Image, grid: SheetGrid) -> float:
    """Lays a picture where a label is on a sheet; returns the share that is found to be one."""
    scale = SIDE / _AS_LABEL / max(rgb.size)
    wide, high = (max(1, round(side * scale)) for side in rgb.size)
    sheet = Image.new("RGB", (SIDE, SIDE), tuple(int(level) for level in grid.colour))
    edge = round(_MARGIN * SIDE)
    left, top = SIDE - edge - wide, SIDE - edge - high
    sheet.paste(rgb.resize((wide, high), Image.Resampling.BILINEAR, reducing_gap=2.0), (left, top))
    found = np.zeros((SIDE, SIDE), dtype=bool)
    for zone in find_zones(sheet, HERBARIUM):
        if zone.kind in ("label", "barcode"):
            found[zone.box[1] : zone.box[3], zone.box[0] : zone.box[2]] = True
    return float(found[top : top + high, left : left + wide].mean())
