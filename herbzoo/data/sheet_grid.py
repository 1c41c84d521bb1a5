"""A herbarium sheet in coarse cells: how much paper, lettering and colour is in each.

What lies on a sheet beside the plant differs from it in ways that a few sums show. Lettering is
made of small separate marks, where a plant hangs together; a colour card holds more hues in a small
space than any pressed plant; and the bed of a scanner is where no paper is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

LONG_SIDE = 320
"""Pixels that the longer side of a picture is brought to before it is looked at."""
CELL = 5
"""Side of a cell in these pixels; the longer side of a sheet has 64 of them."""

_INK = 0.13
"""How much darker than the paper around it ink is, as a share of the paper's brightness."""
_MARK = (0.035, 0.16)
"""The greatest height and width of a mark of lettering, as shares of the longer side."""
_COLOURED = 0.22
"""Difference between the strongest and the weakest channel from which a pixel counts as coloured,
as a share of the paper's brightness."""


@dataclass(frozen=True)
class SheetGrid:
    """What each cell of a picture holds; arrays of one shape `[rows, columns]`, float32."""

    paper: np.ndarray
    """Share of pixels that look like the sheet's paper."""
    marks: np.ndarray
    """Share of pixels in ink marks as small as letters and words are."""
    tall: np.ndarray
    """Mean height of the marks that the pixels belong to, as a share of the longer side."""
    codes: np.ndarray
    """Share of pixels in marks that are grey, upright rectangles of the size of a barcode."""
    ink: np.ndarray
    """Share of pixels darker than the paper around them."""
    across: np.ndarray
    """Mean difference between horizontal neighbours, as a share of the paper's brightness."""
    hues: np.ndarray
    """Share of coloured pixels in each of six hues, `[rows, columns, 6]`."""
    colour: np.ndarray
    """Red, green and blue of the paper, from 0 to 255."""

    @classmethod
    def of(cls, image: Image.Image) -> SheetGrid:
        """Looks at a picture of any size."""
        pixels = np.asarray(_resized(image), np.float32)
        colour = paper_colour(pixels[::3, ::3])
        red, green, blue = (pixels[..., c] / max(1.0, colour[c]) for c in range(3))
        light = (red + green + blue) / 3
        highest = np.maximum(np.maximum(red, green), blue)
        lowest = np.minimum(np.minimum(red, green), blue)
        vivid = highest - lowest
        paper = (np.abs(light - 1) < 0.17) & (vivid < 0.13)
        around = ndimage.uniform_filter(ndimage.maximum_filter(_block_max(light), 5), 3)
        local = np.minimum(around, 1.04).repeat(CELL, 0).repeat(CELL, 1)
        ink = light < local - _INK
        small, height, codes = _marks(ink, vivid)
        coloured = vivid > _COLOURED
        # Six hues: which channel is strongest, and which of the other two is weakest.
        hues = [
            coloured & (strong == highest) & (weak == lowest)
            for strong in (red, green, blue)
            for weak in (red, green, blue)
            if strong is not weak
        ]
        return cls(
            paper=_mean(paper),
            marks=_mean(small),
            tall=_mean(height),
            codes=_mean(codes),
            ink=_mean(ink),
            across=_mean(np.abs(np.diff(light, axis=1, append=light[:, -1:]))),
            hues=np.stack([_mean(hue) for hue in hues], -1),
            colour=colour,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Returns the number of rows and columns."""
        return self.paper.shape


def paper_colour(pixels: np.ndarray) -> np.ndarray:
    """Returns the colour of the paper among pixels `[..., 3]`: the usual bright colour."""
    some = pixels.reshape(-1, 3)
    light = some.mean(1)
    bright = some[light >= 0.8 * np.percentile(light, 90)]
    return np.median(bright, axis=0)


def smooth(cells: np.ndarray, size: int) -> np.ndarray:
    """Returns means over squares of `size` cells, never below 0."""
    return np.maximum(0, ndimage.uniform_filter(cells, size))


def _resized(image: Image.Image) -> Image.Image:
    scale = LONG_SIDE / max(image.size)
    size = tuple(max(CELL, round(side * scale / CELL) * CELL) for side in image.size)
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    return rgb.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)  # type: ignore[arg-type]


def _mean(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels.astype(np.float32)).reduce(CELL))


def _block_max(pixels: np.ndarray) -> np.ndarray:
    highest = np.maximum.reduce([pixels[:, step::CELL] for step in range(CELL)])
    return np.maximum.reduce([highest[step::CELL] for step in range(CELL)])


def _marks(ink: np.ndarray, vivid: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns small marks, the height of the mark each pixel is of, and marks like barcodes."""
    numbers, count = ndimage.label(ink, structure=np.ones((3, 3)))
    side = max(ink.shape)
    places = ndimage.find_objects(numbers)
    ends = np.array([(r.start, r.stop, c.start, c.stop) for r, c in places]).reshape(-1, 4)
    size = np.zeros((count + 1, 2))
    size[1:] = np.diff(ends)[:, ::2] / side
    height, width = size.T
    small = (height < _MARK[0]) & (width < _MARK[1])
    flat = numbers.ravel()
    pixels = np.maximum(1, np.bincount(flat, minlength=count + 1))
    colour = np.bincount(flat, vivid.ravel(), count + 1) / pixels
    filled = pixels / np.maximum(1, height * width * side**2)
    code = (colour < 0.1) & (height > 0.015) & (height < 0.08) & (width > 0.04) & (width < 0.2)
    # A bar code lies; a square one has no gaps.
    code &= np.where(width > 1.3 * height, filled > 0.65, (filled > 0.8) & (width > 0.8 * height))
    small[0] = code[0] = False
    return small[numbers], np.minimum(height, 0.4)[numbers], code[numbers]
