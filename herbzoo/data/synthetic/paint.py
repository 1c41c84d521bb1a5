"""From shapes in plant coordinates to pixels, smoothed by drawing at twice the size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw

Palette = Mapping[str, Sequence[float]]
"""Colour of each role, such as `leaf`, `stem` or `petal`."""

SUPERSAMPLING = 2
_HAIR = 0.6  # thinner lines, in pixels before shrinking, would come out too heavy


@dataclass
class Drawing:
    """Shapes in the order in which they are painted; x to the right, y up."""

    roles: list[str] = field(default_factory=list)
    points: list[np.ndarray] = field(default_factory=list)
    tones: list[float] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    """Width of a line; 0 fills a polygon."""

    def fill(self, role: str, points: np.ndarray, tone: float = 1.0) -> None:
        """Adds a filled polygon."""
        self.roles.append(role)
        self.points.append(points)
        self.tones.append(tone)
        self.widths.append(0.0)

    def line(self, role: str, points: np.ndarray, width: float, tone: float = 1.0) -> None:
        """Adds an open line of even width."""
        self.roles.append(role)
        self.points.append(points)
        self.tones.append(tone)
        self.widths.append(width)

    def ribbon(
        self, role: str, points: np.ndarray, start: float, end: float, tone: float = 1.0
    ) -> None:
        """Adds a line that tapers from one width to another."""
        along = np.empty_like(points)
        along[1:-1] = points[2:] - points[:-2]
        along[0], along[-1] = points[1] - points[0], points[-1] - points[-2]
        along /= np.hypot(along[:, 0], along[:, 1])[:, None] + 1e-9
        width = start + (end - start) / (len(points) - 1) * np.arange(len(points))
        across = along[:, ::-1] * (-0.5, 0.5) * width[:, None]
        self.fill(role, np.concatenate([points + across, (points - across)[::-1]]), tone)

    def bounds(self) -> tuple[float, float, float, float]:
        """Returns left, bottom, right and top of all shapes."""
        every = np.concatenate(self.points)
        low, high = every.min(0), every.max(0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


@dataclass(frozen=True)
class Painted:
    """A painted drawing, cut to the rectangle it fills."""

    colours: Image.Image
    mask: Image.Image
    corner: tuple[int, int]
    """Left and top of the rectangle in the picture."""

    def onto(self, picture: Image.Image) -> None:
        """Pastes the drawing into a picture."""
        picture.paste(self.colours, self.corner, self.mask)

    def shadow_onto(
        self,
        picture: Image.Image,
        colour: tuple[int, int, int],
        shift: tuple[float, float],
        depth: float,
    ) -> None:
        """Darkens the picture beside the drawing.

        Args:
            picture: darkened in place.
            colour: of a full shadow.
            shift: to the right and down in pixels, at least one.
            depth: 0 for no shadow, 1 for one that hides the picture.
        """
        left, top = (c + max(1, round(s)) for c, s in zip(self.corner, shift, strict=True))
        mask = self.mask.point([int(depth * v) for v in range(256)])
        picture.paste(colour, (left, top, left + mask.width, top + mask.height), mask)


def paint(
    drawing: Drawing,
    size: tuple[int, int],
    matrix: np.ndarray,
    offset: np.ndarray,
    palette: Palette,
) -> Painted:
    """Paints a drawing.

    Args:
        drawing: what to paint.
        size: width and height of the picture in pixels; nothing outside it is painted.
        matrix: `[2, 2]`, from plant coordinates to pixels, y down.
        offset: `[2]`, pixel of the plant's origin.
        palette: the colour of every role in the drawing.
    """
    factor = SUPERSAMPLING
    every = np.concatenate(drawing.points) @ matrix.T + offset
    low = np.clip(np.floor(every.min(0)) - 2, 0, np.array(size) - 1).astype(int)
    high = np.clip(np.ceil(every.max(0)) + 2, low + 1, size).astype(int)
    width, height = (high - low).tolist()
    red, green, blue = (int(c) for c in palette["leaf"])
    # RGBX, not RGBA: Pillow would premultiply RGBA to shrink it, which takes most of the time.
    layer = Image.new("RGBX", (width * factor, height * factor), (red, green, blue, 0))
    canvas = ImageDraw.Draw(layer)
    pixels = (factor * (every - low)).ravel().tolist()
    scale = factor * float(np.sqrt(abs(np.linalg.det(matrix))))
    start = 0
    for role, points, tone, line in zip(
        drawing.roles, drawing.points, drawing.tones, drawing.widths, strict=True
    ):
        end = start + 2 * len(points)
        if line and line * scale < _HAIR:
            start = end
            continue
        r, g, b = palette[role]
        colour = (min(255, int(r * tone)), min(255, int(g * tone)), min(255, int(b * tone)), 255)
        if line:
            canvas.line(pixels[start:end], colour, max(1, round(line * scale)))
        else:
            canvas.polygon(pixels[start:end], colour)
        start = end
    *rgb, mask = layer.reduce(factor).split()
    return Painted(Image.merge("RGB", rgb), mask, (int(low[0]), int(low[1])))


@lru_cache(maxsize=32)
def texture(size: tuple[int, int], grain: int, seed: int, contrast: float) -> Image.Image:
    """Returns a grey texture around 128, as RGB, that looks the same at every size.

    Args:
        size: width and height in pixels.
        grain: how many spots fit across; more is finer.
        seed: which texture.
        contrast: standard deviation of its grey values.
    """
    rng = np.random.default_rng([seed, grain])
    width, height = size
    total = np.zeros((height, width), dtype=np.float32)
    for octave in range(3):
        across = grain * 2**octave
        down = max(2, round(across * height / width))
        spots = Image.fromarray(rng.normal(size=(down, across)).astype(np.float32))
        total += np.asarray(spots.resize(size, Image.Resampling.BICUBIC)) / 2**octave
    total *= contrast / total.std()
    grey = Image.fromarray(np.clip(128 + total, 0, 255).astype(np.uint8))
    return Image.merge("RGB", (grey, grey, grey))


def mottle(image: Image.Image, tile: Image.Image, where: tuple[float, float]) -> Image.Image:
    """Lays a part of a texture over an image.

    Args:
        image: no larger than the tile.
        tile: what `texture` returned.
        where: which part, as shares of what is left over; 0.5 is the middle.
    """
    left = int(where[0] * (tile.width - image.width))
    top = int(where[1] * (tile.height - image.height))
    part = tile.crop((left, top, left + image.width, top + image.height))
    return ImageChops.soft_light(image, part)
