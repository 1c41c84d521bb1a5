"""Where a herbarium sheet shows no plant: labels, barcodes, colour cards, and its border.

No detector is needed and none is trained: five numbers weigh what `SheetGrid` counts in each cell.
Boxes that a detector such as hespi or LeafMachine2 found can be used instead
(`herbzoo.data.zone_table`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from herbzoo.data.records import FIELD, HERBARIUM
from herbzoo.data.sheet_grid import SheetGrid, smooth

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = ("label", "barcode", "colour_card", "border")
"""The kinds of zones. Labels include stamps, slips and lettering on the sheet, colour cards include
rulers, and the border is the bed of the scanner or, where there is none, the outermost band of the
sheet, about a fortieth of its width."""
_SHEET = (0.26, 0.2)
"""Share of a sheet, and of each outer third of it, that is paper at the least."""
_COLDEST = 1.07
"""How much stronger than red the green or blue of paper may be."""
_BARE = 0.42
"""A line of cells with less paper than this is bed, if it lies outside all the others."""
_VERY_BARE = 0.1
_FEWEST_LINES = 6
_RULER = 4
"""Lines that a white ruler on the bed may take up."""
_DEEPEST_BED = 0.2
_LETTERING = (5.2, 10.6, 9.7, -14.1, -4.7)
"""Weights of marks near, marks around, contrast and height of the marks, and the offset: a logistic
regression on the cells of 24 real and 40 synthetic sheets."""
_ODDS = (-0.2, -1.0)
"""The odds at which a cell is lettering, and those at which it is if it touches one that is."""
_MANY_HUES = (3.4, 2.2)
"""The same for the number of hues, of six, around a cell of a colour card."""
_FILLED = 0.72
"""Share of its cells from which a rectangle is not cut any further."""
_SMALL = 36
"""Cells of a box that is lettering only near an edge."""
_OUTSIDE = 0.06
"""How near, as a share of the longer side."""

Cells = tuple[int, int, int, int]
"""Left, top, right and bottom in cells of the grid."""


@dataclass(frozen=True)
class Zone:
    """A rectangle of a sheet that shows no plant."""

    kind: str
    """One of `KINDS`."""
    box: tuple[int, int, int, int]
    """Left, top, right and bottom in pixels; right and bottom are outside."""
    score: float = 1.0
    """How sure it is, between 0 and 1."""


def find_zones(image: Image, domain: str = "") -> list[Zone]:
    """Finds the zones of a sheet.

    Args:
        image: a picture of a sheet at any size from about 200 pixels.
        domain: its `basisOfRecord`, if known. A field photo has no zones; where the domain is not
            known, neither has a picture that does not look like a sheet.

    Returns:
        The zones, border first, in pixels of the image; they may overlap.
    """
    if domain == FIELD:
        return []
    grid = SheetGrid.of(image)
    if domain != HERBARIUM and not looks_like_sheet(grid):
        return []
    return [
        Zone(kind, _pixels(cells, grid.shape, image.size), round(float(score), 3))
        for kind, cells, score in _found(grid)
    ]


def looks_like_sheet(grid: SheetGrid) -> bool:
    """Tells a sheet from a photo of a living plant, mostly.

    Much of a sheet, and of each side of it, is of one colour, which is never green or blue. Of real
    pictures 235 of 239 sheets pass and 6 of 255 field photos, those on a plain ground.
    """
    red, *others = grid.colour.tolist()
    if max(others) > _COLDEST * red:
        return False
    plain = grid.paper > 0.9
    down, across = (max(1, side // 3) for side in plain.shape)
    thirds = (plain[:down], plain[-down:], plain[:, :across], plain[:, -across:])
    least = min(float(third.mean()) for third in thirds)
    return bool(plain.mean() > _SHEET[0]) and least > _SHEET[1]


def _found(grid: SheetGrid) -> Iterator[tuple[str, Cells, float]]:
    rows, columns = grid.shape
    inner = _paper_box(grid)
    left, top, right, bottom = inner
    for side in ((0, 0, columns, top), (0, bottom, columns, rows)):
        if side[3] > side[1]:
            yield "border", side, 1.0
    for side in ((0, 0, left, rows), (right, 0, columns, rows)):
        if side[2] > side[0]:
            yield "border", side, 1.0
    cards = _cards(grid)
    yield from (("colour_card", box, score) for box, score in cards)
    taken = np.zeros(grid.shape, bool)
    for box, _ in cards:
        taken[_slices(box)] = True
    inside = np.zeros(grid.shape, bool)
    inside[top:bottom, left:right] = True
    codes = _codes(grid, inside & ~taken)
    yield from (("barcode", box, score) for box, score in codes)
    for box, score in _lettering(grid, inside & ~taken):
        yield _kind(grid, box), _padded(box, grid.shape), score


def _paper_box(grid: SheetGrid) -> Cells:
    """Returns the part of the picture that is sheet: the bed around it has no paper."""
    left, right = _bed(grid.paper.mean(0))
    top, bottom = _bed(grid.paper[:, left : grid.shape[1] - right].mean(1))
    left, right = _bed(grid.paper[top : grid.shape[0] - bottom].mean(0))
    return left, top, grid.shape[1] - right, grid.shape[0] - bottom


def _bed(share: np.ndarray) -> tuple[int, int]:
    """Returns how many lines at the start and at the end are border: bed, and at least one."""
    deepest = int(_DEEPEST_BED * len(share))

    def depth(lines: np.ndarray) -> int:
        found = 1
        for line in range(min(deepest, len(lines))):
            # A white ruler lies on the bed, so that a little paper may come before more bed.
            beyond = lines[line : line + _RULER].min() < _VERY_BARE
            if lines[line] >= _BARE and not beyond:
                break
            found = line + 1
        return found

    if len(share) < _FEWEST_LINES:
        return 0, 0
    return depth(share), depth(share[::-1])


def _cards(grid: SheetGrid) -> list[tuple[Cells, float]]:
    near = np.stack([smooth(grid.hues[..., hue], 7) for hue in range(6)], -1)
    variety = np.minimum(1, near / 0.03).sum(-1)
    bare = grid.paper < 0.6
    found = []
    for box in _rectangles(_grown(variety > _MANY_HUES[0], variety > _MANY_HUES[1])):
        box = _along_edge(_tight(box, bare), grid.paper)
        if _area(box) >= 12:
            found.append((box, min(1.0, float(variety[_slices(box)].max()) / 6)))
    return found


def _along_edge(box: Cells, paper: np.ndarray) -> Cells:
    """Lengthens a strip of colours at an edge of the picture by its greys and its scale."""
    left, top, right, bottom = box
    rows, columns = paper.shape
    if left <= 1 or right >= columns - 1:
        while top > 0 and paper[top - 1, left:right].mean() < _BARE:
            top -= 1
        while bottom < rows and paper[bottom, left:right].mean() < _BARE:
            bottom += 1
    elif top <= 1 or bottom >= rows - 1:
        while left > 0 and paper[top:bottom, left - 1].mean() < _BARE:
            left -= 1
        while right < columns and paper[top:bottom, right].mean() < _BARE:
            right += 1
    return left, top, right, bottom


def _codes(grid: SheetGrid, where: np.ndarray) -> list[tuple[Cells, float]]:
    """Returns barcodes: upright grey rectangles of their size."""
    return [
        (box, 0.8)
        for box in _boxes(ndimage.binary_dilation(grid.codes > 0.3))
        if where[_slices(box)].mean() > 0.5
    ]


def _lettering(grid: SheetGrid, where: np.ndarray) -> Iterator[tuple[Cells, float]]:
    near, around, contrast, height, offset = _LETTERING
    odds = (
        near * np.sqrt(smooth(grid.marks, 3))
        + around * np.sqrt(smooth(grid.marks, 9))
        + contrast * np.sqrt(smooth(grid.across, 3))
        + height * smooth(grid.tall, 3)
        + offset
    )
    odds[~where] = -np.inf
    lettered = ndimage.binary_closing(_grown(odds > _ODDS[0], odds > _ODDS[1]), np.ones((1, 3)))
    lettered &= where
    inked = (grid.ink > 0.04) & where
    for box in _rectangles(lettered):
        box = _tight(box, inked)
        if _area(box) < 6 or min(box[2] - box[0], box[3] - box[1]) < 2:
            continue
        if _area(box) < _SMALL and _from_edge(box, grid.shape) > _OUTSIDE:
            continue  # buds and seeds look like words, but words keep to the edge
        mean = odds[_slices(box)][lettered[_slices(box)]].mean()
        yield box, 1 / (1 + np.exp(-float(mean)))


def _kind(grid: SheetGrid, box: Cells) -> str:
    wide, high = box[2] - box[0], box[3] - box[1]
    rows, columns = grid.shape
    if high > 2.2 * wide and high > 0.15 * rows and (box[0] < 3 or box[2] > columns - 3):
        return "colour_card"
    part = _slices(box)
    if grid.ink[part].mean() > 0.33 and wide < 0.32 * columns and high < 0.12 * rows:
        return "barcode"
    return "label"


def _grown(seeds: np.ndarray, into: np.ndarray) -> np.ndarray:
    """Returns the parts of `into` that touch a seed."""
    return ndimage.binary_propagation(seeds & into, structure=np.ones((3, 3)), mask=into)


def _rectangles(mask: np.ndarray) -> Iterator[Cells]:
    """Covers a mask by rectangles that are mostly of it."""
    for box in _boxes(mask):
        yield from _cut(box, mask)


def _cut(box: Cells, mask: np.ndarray) -> Iterator[Cells]:
    """Cuts a rectangle in two, again and again, as long as it is less than filled."""
    part = mask[_slices(box)]
    area = _area(box)
    if part.mean() >= _FILLED or area < 24:
        if part.mean() > 0.4:
            yield box
        return
    left, top, right, bottom = box
    halves = [((left, top, right, y), (left, y, right, bottom)) for y in range(top + 2, bottom - 1)]
    halves += [
        ((left, top, x, bottom), (x, top, right, bottom)) for x in range(left + 2, right - 1)
    ]
    tight = [(_tight(one, mask), _tight(two, mask)) for one, two in halves]
    if not tight:
        return
    for half in min(tight, key=lambda two: _area(two[0]) + _area(two[1])):
        if _area(half):
            yield from _cut(half, mask)


def _padded(box: Cells, shape: tuple[int, int]) -> Cells:
    """Adds a cell all around: the paper of a label is wider than what is written on it."""
    rows, columns = shape
    return (
        max(0, box[0] - 1),
        max(0, box[1] - 1),
        min(columns, box[2] + 1),
        min(rows, box[3] + 1),
    )


def _from_edge(box: Cells, shape: tuple[int, int]) -> float:
    """Returns the distance of a box from the nearest edge, as a share of the longer side."""
    rows, columns = shape
    return min(box[0], box[1], columns - box[2], rows - box[3]) / max(shape)


def _area(box: Cells) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _boxes(mask: np.ndarray) -> Iterator[Cells]:
    numbers, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    for rows, columns in ndimage.find_objects(numbers):
        yield columns.start, rows.start, columns.stop, rows.stop


def _tight(box: Cells, mask: np.ndarray) -> Cells:
    """Cuts off the outer rows and columns of a box in which the mask is empty."""
    part = mask[_slices(box)]
    rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
    if not len(rows):
        return box[0], box[1], box[0], box[1]
    left, top = box[0], box[1]
    return (
        left + int(columns[0]),
        top + int(rows[0]),
        left + int(columns[-1]) + 1,
        top + int(rows[-1]) + 1,
    )


def _slices(box: Cells) -> tuple[slice, slice]:
    return slice(box[1], box[3]), slice(box[0], box[2])


def _pixels(box: Cells, shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    across, down = size[0] / shape[1], size[1] / shape[0]
    left, top, right, bottom = box
    return (
        int(left * across),
        int(top * down),
        min(size[0], int(np.ceil(right * across))),
        min(size[1], int(np.ceil(bottom * down))),
    )
