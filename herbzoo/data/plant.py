"""Where on a picture the plant is, told by colour: good enough to zoom onto it in training.

A pressed leaf or twig is small on its sheet, a photo of the living one fills the frame. Views of
the first that are zoomed onto the plant look more like the second.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

WORKING_SIDE = 96
"""Longest side in pixels of the copy that is searched."""
SMALLEST_PART = 0.15
"""Share of the largest part's area below which a part is dirt, a label or a shadow."""
THIN = 0.12
"""Ratio of the sides below which a part that touches the edge is a ruler or the scanner's lid."""
MOST_OF_IT = 0.9
"""Share of the picture above which there is nothing to zoom onto."""


def plant_box(image: Image.Image) -> tuple[float, float, float, float] | None:
    """Finds the plant on a plain, light background.

    Pixels count as plant if they are yellower than blue and darker than the median by more than
    Otsu's threshold (Otsu 1979, doi:10.1109/TSMC.1979.4310076) of the two together. The box is that
    of all parts of some size which are no bars along an edge.

    Args:
        image: RGB.

    Returns:
        Left, top, right and bottom in pixels, or `None` where no plant stands out.
    """
    scale = WORKING_SIDE / max(image.size)
    small = image.resize(
        (max(8, round(image.width * scale)), max(8, round(image.height * scale))),
        Image.Resampling.BILINEAR,
    )
    mask = ndimage.binary_opening(_plantness(np.asarray(small, dtype=np.float32)))
    boxes = _parts(mask)
    if not boxes:
        return None
    left, top = (min(box[side] for box in boxes) for side in (0, 1))
    right, bottom = (max(box[side] for box in boxes) for side in (2, 3))
    if (right - left) * (bottom - top) > MOST_OF_IT * mask.size:
        return None
    across, down = image.width / small.width, image.height / small.height
    return left * across, top * down, right * across, bottom * down


def zoomed(image: Image.Image, margin: float) -> Image.Image:
    """Crops an image to its plant, or returns it as it is where none stands out.

    Args:
        image: RGB.
        margin: what to leave around the plant, as a share of its longer side.
    """
    box = plant_box(image)
    if box is None:
        return image
    left, top, right, bottom = box
    around = margin * max(right - left, bottom - top)
    return image.crop(
        (
            max(0, round(left - around)),
            max(0, round(top - around)),
            min(image.width, round(right + around) + 1),
            min(image.height, round(bottom + around) + 1),
        )
    )


def _plantness(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(pixels, -1, 0)
    light = pixels.mean(axis=-1)
    score = np.maximum((red + green) / 2 - blue, 0) + 0.7 * (np.median(light) - light)
    counts, edges = np.histogram(score, 64)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts) / counts.sum()
    mean_below = np.cumsum(counts * middles) / counts.sum()
    between = (mean_below[-1] * below - mean_below) ** 2 / (below * (1 - below) + 1e-9)
    return score > middles[between[:-1].argmax()]


def _parts(mask: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Returns left, top, right and bottom of the plant's parts."""
    labels, count = ndimage.label(ndimage.binary_dilation(mask, iterations=2))
    if not count:
        return []
    areas = ndimage.sum(mask, labels, range(1, count + 1))
    found: list[tuple[int, int, int, int]] = []
    for part in np.argsort(-areas):
        if areas[part] < SMALLEST_PART * areas.max():
            break
        rows, columns = np.nonzero((labels == part + 1) & mask)
        top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        short, long = sorted((bottom - top, right - left))
        at_edge = top == 0 or left == 0 or bottom == mask.shape[0] or right == mask.shape[1]
        if at_edge and (short < THIN * long or (found and short < 0.2 * max(mask.shape))):
            continue
        found.append((int(left), int(top), int(right), int(bottom)))
    return found
