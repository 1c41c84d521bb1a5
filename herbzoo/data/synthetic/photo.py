"""A field photo: the living plant among others, in the light of its day."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from herbzoo.data.synthetic import colour
from herbzoo.data.synthetic.colour import RGB
from herbzoo.data.synthetic.flora import Flora
from herbzoo.data.synthetic.individual import Individual, Pose
from herbzoo.data.synthetic.paint import Drawing, Painted, Palette, mottle, paint, texture
from herbzoo.data.synthetic.plant import Plant
from herbzoo.data.synthetic.sheet import draw_individual, scale_for
from herbzoo.data.synthetic.traits import Traits

_PHOTOS = 3
_FRAMES = ((960, 640), (640, 960), (854, 640), (640, 854))
"""Widths and heights of full size."""
_GROUND = 240
"""Longer side of the raster on which the blurred background is drawn, at any scale."""

# Far colour, near colour, and the colours of what grows or lies there.
_PLACES: dict[str, tuple[RGB, RGB, tuple[RGB, ...]]] = {
    "meadow": (
        (138, 168, 92),
        (84, 122, 52),
        ((96, 140, 58), (132, 160, 76), (176, 176, 96), (70, 108, 48)),
    ),
    "forest floor": (
        (62, 66, 44),
        (92, 70, 48),
        ((122, 90, 56), (84, 60, 40), (60, 76, 40), (146, 116, 78)),
    ),
    "shade": ((22, 34, 22), (30, 44, 26), ((38, 58, 32), (22, 36, 22), (54, 74, 40), (16, 22, 16))),
    "open sky": (
        (186, 208, 232),
        (150, 172, 136),
        ((120, 150, 90), (206, 220, 236), (96, 128, 70), (166, 186, 150)),
    ),
    "rock": (
        (150, 146, 138),
        (118, 108, 96),
        ((170, 164, 152), (96, 90, 82), (110, 118, 78), (134, 124, 108)),
    ),
}


def draw_photo(
    flora: Flora,
    species: int,
    plant: int,
    view: int,
    *,
    min_size: tuple[int, int] | None = None,
) -> Image.Image:
    """Draws one photo of one living plant.

    Args:
        flora: the flora the species is of.
        species: index of the species.
        plant: number of the individual within its species.
        view: number of the photo of that plant.
        min_size: height and width in pixels that suffice.
    """
    rng = np.random.default_rng([flora.seed, _PHOTOS, species, plant, view])
    full = _FRAMES[int(rng.integers(len(_FRAMES)))]
    scale = scale_for(full, min_size)
    size = (round(full[0] * scale), round(full[1] * scale))
    # Place and light draw from a stream of their own: nothing of the plant can reach them.
    scenery = np.random.default_rng(int(rng.integers(2**62)))
    place = list(_PLACES)[int(scenery.integers(len(_PLACES)))]
    picture = _background(place, full, size, scenery)

    traits = flora.species[species].traits
    individual = draw_individual(flora, species, plant)
    palette = colour.living(traits.colour, individual.hue, rng)
    subject = _subject(traits, individual, palette, full, scale, rng)
    tile = texture((max(size) + 8, max(size) + 8), 80, 1, 11.0)
    subject = replace(subject, colours=mottle(subject.colours, tile, (rng.random(), rng.random())))
    subject.shadow_onto(
        picture, (14, 18, 10), (9 * scale, 14 * scale), 0.08 if place == "open sky" else 0.38
    )
    subject.onto(picture)
    _foreground(place, full, size, scale, scenery).onto(picture)
    return _lit(picture, scenery)


def _subject(
    traits: Traits,
    individual: Individual,
    palette: Palette,
    full: tuple[int, int],
    scale: float,
    rng: np.random.Generator,
) -> Painted:
    """Paints the plant from some distance and angle."""
    drawing = Plant(traits, individual, Pose(living=True, damage=0.03), rng).grow()
    woody = traits.habit in ("tree", "climber")
    turn = rng.normal(0, 0.5 if woody else 0.14)
    c, s = np.cos(turn), np.sin(turn)
    slant = np.array(
        [[rng.uniform(0.8, 1.0), rng.uniform(-0.14, 0.14)], [0, rng.uniform(0.8, 1.0)]]
    )
    matrix = np.array([[c, s], [s, -c]]) @ slant
    every = np.concatenate(drawing.points) @ matrix.T
    low, high = every.min(0), every.max(0)
    frame = np.array(full, dtype=float)
    factor = float((frame / (high - low)).min()) * rng.uniform(0.9, 1.55)
    # A close camera looks at the flowering top of a stem, but rather at the foot of a rosette.
    hidden = max(float((high - low)[1] - frame[1] / factor), 0.0)
    upward = -0.2 if traits.arrangement == "basal" else 0.35
    aim = (low + high) / 2 - (0, upward * hidden)
    centre = frame * (0.5 + rng.uniform(-0.08, 0.08, 2))
    offset = centre - factor * aim
    size = (round(full[0] * scale), round(full[1] * scale))
    return paint(drawing, size, factor * scale * matrix, offset * scale, palette)


def _background(
    place: str, full: tuple[int, int], size: tuple[int, int], rng: np.random.Generator
) -> Image.Image:
    """Draws what is out of focus, on a small raster that is then enlarged."""
    far, near, things = _PLACES[place]
    ratio = _GROUND / max(full)
    width, height = round(full[0] * ratio), round(full[1] * ratio)
    t = np.linspace(0, 1, height)[:, None, None]
    gradient = (1 - t) * np.array(far) + t * np.array(near) + rng.normal(0, 8)
    rows = np.broadcast_to(gradient, (height, width, 3))
    ground = Image.fromarray(np.clip(rows, 0, 255).astype(np.uint8))
    raster = np.array([width, height])
    # Out of focus means: drawn, shrunk, and enlarged again; the far things more than the near.
    for count, blur, least, most in (
        (44, 7, 9, 30),
        (34 if place != "open sky" else 10, 3, 17, 50),
    ):
        draw = ImageDraw.Draw(ground)
        for leaf in _clutter(count, raster, place in ("meadow", "rock"), least, most, rng):
            draw.polygon(leaf.ravel().tolist(), _toned(things, rng))
        ground = ground.reduce(blur)
        if blur > 3:
            ground = ground.resize((width, height), Image.Resampling.BICUBIC)
    return ground.resize(size, Image.Resampling.BILINEAR)


def _clutter(
    count: int,
    raster: np.ndarray,
    grassy: bool,
    least: float,
    most: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns blades of grass and leaves of no species in particular, `[count, 18, 2]`."""
    blade = rng.random(count) < (0.6 if grassy else 0.1)
    length = rng.uniform(least, most, count) * np.where(blade, 2.0, 1.0)
    breadth = np.where(blade, 2.0, length * rng.uniform(0.16, 0.5, count))
    angle = np.where(
        blade, -np.pi / 2 + rng.normal(0, 0.4, count), rng.uniform(0, 2 * np.pi, count)
    )
    t = np.linspace(0, 1, 9)
    turned = angle[:, None] + rng.normal(0, 0.5, (count, 1)) * t
    along = np.stack([np.cos(turned), np.sin(turned)], 2)
    path = rng.random((count, 1, 2)) * raster + np.cumsum(along, 1) * (length / 8)[:, None, None]
    half = breadth[:, None, None] * np.sin(np.pi * t)[None, :, None] ** 0.8
    across = along[:, :, ::-1] * (-1, 1) * half
    return np.concatenate([path + across, (path - across)[:, ::-1]], 1)


def _toned(colours: tuple[RGB, ...], rng: np.random.Generator) -> tuple[int, int, int]:
    tone = rng.uniform(0.7, 1.2)
    r, g, b = colours[int(rng.integers(len(colours)))]
    return min(255, int(r * tone)), min(255, int(g * tone)), min(255, int(b * tone))


def _foreground(
    place: str, full: tuple[int, int], size: tuple[int, int], scale: float, rng: np.random.Generator
) -> Painted:
    """Paints a few blades of grass, or twigs, that stand before the plant."""
    drawing = Drawing()
    for _ in range(int(rng.integers(2, 8))):
        x = rng.uniform(0, full[0])
        turned = np.pi / 2 + rng.normal(0, 0.25) + rng.normal(0, 0.5) * np.linspace(0, 1, 8)
        step = rng.uniform(0.1, 0.42) * full[1] / 7
        path = np.stack(
            [x + step * np.cumsum(np.cos(turned)), step * np.cumsum(np.sin(turned)) - 30], 1
        )
        drawing.ribbon("leaf", path, rng.uniform(5, 11), 1.5, rng.uniform(0.7, 1.15))
    things = _PLACES["forest floor" if place == "shade" else "meadow"][2]
    palette = {"leaf": things[int(rng.integers(len(things)))]}
    matrix = np.array([[scale, 0.0], [0.0, -scale]])
    return paint(drawing, size, matrix, np.array([0.0, full[1] * scale]), palette)


def _lit(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Lets sun and shade fall on a picture, and gives it the exposure of its camera."""
    contrast = (10.0, 18.0, 28.0)[int(rng.integers(3))]
    tile = texture((120, 120), 3, int(rng.integers(4)), contrast)
    left, top = rng.integers(0, 40, 2).tolist()
    grey = tile.getchannel(0).resize(
        picture.size, Image.Resampling.BILINEAR, box=(left, top, left + 80, top + 80)
    )
    light = Image.merge("RGB", (grey, grey, grey))
    picture = mottle(picture, light, (0.0, 0.0))
    gains = rng.uniform(0.8, 1.14) * rng.normal(1, 0.04, 3)
    return picture.point([min(255, int(v * gain)) for gain in gains for v in range(256)])
