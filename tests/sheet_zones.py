"""Sheets whose zones are known: drawn ones, and real ones with boxes drawn by eye."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from herbzoo.data.images import decode
from herbzoo.data.sheet_grid import paper_colour
from herbzoo.data.synthetic import furniture, make_flora
from herbzoo.data.synthetic import sheet as sheets
from herbzoo.data.synthetic.herbaria import herbaria

DATA = Path(os.environ.get("HERBZOO_DATA", Path(__file__).parents[2] / "shared" / "data"))
TRUTH = Path(__file__).parent / "data" / "sheet_zones.csv"
FOUND = 0.6
"""Share of a box that must be covered by zones for it to count as found."""

_BASE = furniture._base.__wrapped__
Boxes = list[tuple[str, float, float, float, float]]


@dataclass(frozen=True)
class KnownSheet:
    """A picture with the boxes of everything on it that is no plant, in its pixels."""

    name: str
    image: Image.Image
    boxes: Boxes

    def covered(self, hidden: np.ndarray) -> list[tuple[str, bool]]:
        """Tells of each box whether a mask `[H, W]` covers enough of it."""
        found = []
        for kind, *box in self.boxes:
            left, top, right, bottom = (round(edge) for edge in box)
            part = hidden[max(0, top) : bottom, max(0, left) : right]
            if part.size:
                found.append((kind, bool(part.mean() >= FOUND)))
        return found

    def plant(self) -> np.ndarray:
        """Returns `[H, W]`: what differs from the paper and is in none of the boxes."""
        pixels = np.asarray(self.image, np.float32)
        pixels = pixels / paper_colour(pixels)
        plant = (pixels.mean(2) < 0.83) | (np.ptp(pixels, axis=2) > 0.15)
        for _, *box in self.boxes:
            left, top, right, bottom = (round(edge) for edge in box)
            plant[max(0, top - 3) : bottom + 3, max(0, left - 3) : right + 3] = False
        down, across = (round(0.03 * side) for side in plant.shape)
        plant[:down] = plant[-down:] = False
        plant[:, :across] = plant[:, -across:] = False
        return plant


def synthetic_sheets(
    count: int, seed: int, monkeypatch: pytest.MonkeyPatch, min_size: tuple[int, int] = (320, 320)
) -> Iterator[KnownSheet]:
    """Draws sheets of every herbarium of a flora in turn, and notes where its furniture goes."""
    notes: Boxes = []

    def note(name: str, kind: str, box_of) -> None:
        draw = getattr(furniture, name)

        def noted(canvas, *arguments):
            notes.append((kind, *box_of(*arguments)))
            return draw(canvas, *arguments)

        monkeypatch.setattr(furniture, name, noted)

    note("_label", "label", lambda keeper, box, rng: box)
    note("_slip", "label", lambda box, rng: box)
    note("_barcode", "barcode", lambda at, rng: (*at, at[0] + 112, at[1] + 38))
    note("_card", "colour_card", lambda box, columns: box)
    note("_ruler", "colour_card", lambda box: box)
    stencil = furniture.Canvas.stencil

    def noted_stencil(canvas, mask, corner, fill):
        if mask.width == mask.height:  # a stamp, not a title
            notes.append(("stamp", *corner, corner[0] + 66, corner[1] + 66))
        stencil(canvas, mask, corner, fill)

    monkeypatch.setattr(furniture.Canvas, "stencil", noted_stencil)
    # A sheet that was drawn before would come without its bed's furniture being noted.
    monkeypatch.setattr(furniture, "_base", _BASE)
    flora, keepers = make_flora(12, seed), herbaria(seed)
    rng = np.random.default_rng(seed)
    for number in range(count):
        notes.clear()
        herbarium = number % len(keepers)
        image = sheets.draw_sheet(
            flora, int(rng.integers(12)), number, 0, herbarium, min_size=min_size
        )
        scale = image.width / sheets.FULL_SIZE[0]
        beds = _bed(furniture._paper_box(keepers[herbarium], sheets.FULL_SIZE), sheets.FULL_SIZE)
        boxes = [(kind, *(edge * scale for edge in box)) for kind, *box in [*notes, *beds]]
        yield KnownSheet(f"{seed}-{number}", image, boxes)  # type: ignore[arg-type]


def _bed(paper: tuple[float, float, float, float], full: tuple[int, int]) -> Boxes:
    (left, top, right, bottom), (width, height) = paper, full
    sides = (
        ("border", 0, 0, left, height),
        ("border", right, 0, width, height),
        ("border", 0, 0, width, top),
        ("border", 0, bottom, width, height),
    )
    return [side for side in sides if side[3] > side[1] and side[4] > side[2]]


def real_sheets(long_side: int = 512) -> list[KnownSheet]:
    """Opens the real sheets whose zones were drawn by eye; skips where they are not here."""
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}; set HERBZOO_DATA")
    boxes: dict[str, Boxes] = defaultdict(list)
    with TRUTH.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            edges = (float(row[edge]) for edge in ("left", "top", "right", "bottom"))
            boxes[row["image"]].append((row["kind"], *edges))  # type: ignore[arg-type]
    found = []
    for name, known in boxes.items():
        image = decode(DATA / name)
        full = max(image.size)
        image.thumbnail((long_side, long_side))
        scale = max(image.size) / full
        scaled = [(kind, *(edge * scale for edge in box)) for kind, *box in known]
        found.append(KnownSheet(name, image, scaled))  # type: ignore[arg-type]
    return found


def plain_sheet(
    seed: int = 0,
    plant: str = "ellipse",
    label: tuple[int, int, int] = (252, 250, 244),
    size: tuple[int, int] = (224, 336),
) -> Image.Image:
    """Draws a sheet of a plant of simple shape, with a lettered label on paper of a colour."""
    rng = np.random.default_rng(seed)
    width, height = size
    pixels = rng.normal((236, 230, 214), 2, (height, width, 3))
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    x, y = width / 2 + rng.uniform(-15, 15), 0.36 * height + rng.uniform(-15, 15)
    shapes = {
        "ellipse": [(-70, -20, 70, 20)],
        "upright": [(-20, -80, 20, 80)],
        "pair": [(-60, -60, -10, -10), (10, 10, 60, 60)],
    }
    for left, top, right, bottom in shapes[plant]:
        draw.ellipse((x + left, y + top, x + right, y + bottom), (84, 96, 50))
    left, top = 0.45 * width, 0.72 * height
    draw.rectangle((left, top, width - 12, height - 16), label)
    for line in np.arange(top + 8, height - 24, 8):
        at = left + 6.0
        while at < width - 30:
            word = rng.uniform(4, 12)
            draw.rectangle((at, line, at + word, line + 2), (40, 40, 44))
            at += word + 3
    return image
