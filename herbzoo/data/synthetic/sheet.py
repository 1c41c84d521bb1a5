"""A herbarium sheet: a pressed plant on the paper of one herbarium, with its furniture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from herbzoo.data.synthetic import colour, furniture
from herbzoo.data.synthetic.flora import Flora
from herbzoo.data.synthetic.furniture import Canvas, Layout
from herbzoo.data.synthetic.herbaria import Herbarium, herbaria
from herbzoo.data.synthetic.individual import Individual, Pose
from herbzoo.data.synthetic.paint import Drawing, Palette, mottle, paint, texture
from herbzoo.data.synthetic.plant import Plant

FULL_SIZE = (640, 960)
"""Width and height in pixels."""
_LIVES, _SHEETS = 1, 2


def scale_for(full: tuple[int, int], min_size: tuple[int, int] | None) -> float:
    """Returns 1, 1/2 or 1/4: the least at which the picture has `min_size` (height, width)."""
    if min_size is None:
        return 1.0
    for scale in (0.25, 0.5):
        if scale * full[1] >= min_size[0] and scale * full[0] >= min_size[1]:
            return scale
    return 1.0


def draw_individual(flora: Flora, species: int, plant: int) -> Individual:
    """Returns the plant that all sheets or photos with this number show."""
    rng = np.random.default_rng([flora.seed, _LIVES, species, plant])
    return Individual.draw(flora.species[species].traits, rng)


def draw_sheet(
    flora: Flora,
    species: int,
    plant: int,
    part: int,
    herbarium: int,
    *,
    min_size: tuple[int, int] | None = None,
) -> Image.Image:
    """Draws the sheet of one part of one plant.

    Args:
        flora: the flora the species is of.
        species: index of the species.
        plant: number of the individual within its species.
        part: number of the duplicate; another lies differently.
        herbarium: index into `herbaria(flora.seed)`.
        min_size: height and width in pixels that suffice.
    """
    rng = np.random.default_rng([flora.seed, _SHEETS, species, plant, part, herbarium])
    traits = flora.species[species].traits
    individual = draw_individual(flora, species, plant)
    scale = scale_for(FULL_SIZE, min_size)
    keeper = herbaria(flora.seed)[herbarium]
    # Paper and furniture draw from a stream of their own: nothing of the plant can reach them.
    canvas, layout = furniture.empty_sheet(keeper, _furniture_rng(rng), scale, FULL_SIZE)
    pose = Pose(living=False, damage=float(rng.uniform(0.02, 0.14)))
    drawing = Plant(traits, individual, pose, rng).grow()
    _mount(canvas, layout, keeper, drawing, colour.dried(traits.colour, individual.hue, rng), rng)
    return _photographed(canvas.image, rng)


def _furniture_rng(rng: np.random.Generator) -> np.random.Generator:
    return np.random.default_rng(int(rng.integers(2**62)))


def _mount(
    canvas: Canvas,
    layout: Layout,
    keeper: Herbarium,
    drawing: Drawing,
    palette: Palette,
    rng: np.random.Generator,
) -> None:
    """Lays the plant into its box, with shadow, mottled surface and straps."""
    matrix, offset = _fit(drawing, layout.plant_box, rng)
    size, scale = canvas.image.size, canvas.scale
    plant = paint(drawing, size, matrix * scale, offset * scale, palette)
    tile = texture((size[0] + size[0] // 4, size[1] + size[1] // 4), 110, 0, 15.0)
    plant = replace(plant, colours=mottle(plant.colours, tile, (rng.random(), rng.random())))
    plant.shadow_onto(canvas.image, (52, 44, 36), (3 * scale, 4 * scale), 0.32)
    plant.onto(canvas.image)
    stems = [
        points
        for role, points, width in zip(drawing.roles, drawing.points, drawing.widths, strict=True)
        if role in ("stem", "wood") and not width and len(points) > 16
    ]
    for stem in stems[:3]:
        middle = (stem[: len(stem) // 2] + stem[: len(stem) // 2 - 1 : -1]) / 2
        furniture.straps(canvas, keeper, middle @ matrix.T + offset, rng)


def _fit(
    drawing: Drawing, box: tuple[float, float, float, float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Turns the plant a little and scales it so that it fills most of a box.

    Returns:
        The matrix and offset from plant coordinates to pixels of the full-size sheet.
    """
    turn = rng.normal(0, 0.1)
    c, s = np.cos(turn), np.sin(turn)
    rotation = np.array([[c, s], [s, -c]])  # y down
    if rng.random() < 0.5:
        rotation = rotation * np.array([-1, 1])
    every = np.concatenate(drawing.points) @ rotation.T
    low, high = every.min(0), every.max(0)
    left, top, right, bottom = box
    room = np.array([right - left, bottom - top])
    factor = float((room / (high - low)).min()) * rng.uniform(0.86, 1.0)
    slack = room - factor * (high - low)
    corner = np.array([left, top]) + slack * rng.uniform(0.2, 0.8, 2)
    return factor * rotation, corner - factor * low


def _photographed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Gives the sheet the exposure and white balance of its camera."""
    gains = rng.uniform(0.93, 1.03) * rng.normal(1, 0.006, 3)
    table = [min(255, int(v * gain)) for gain in gains for v in range(256)]
    return image.point(table)
