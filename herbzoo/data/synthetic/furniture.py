"""What lies on a herbarium sheet beside the plant; none of it knows the species.

Positions are pixels of the full-size sheet and are scaled when drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from herbzoo.data.synthetic.herbaria import Colour, Herbarium
from herbzoo.data.synthetic.paint import mottle, texture

Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""

_CARD: tuple[Colour, ...] = (
    (115, 82, 68), (194, 150, 130), (98, 122, 157), (87, 108, 67), (133, 128, 177), (103, 189, 170),
    (214, 126, 44), (80, 91, 166), (193, 90, 99), (94, 60, 108), (157, 188, 64), (224, 163, 46),
    (56, 61, 150), (70, 148, 73), (175, 54, 60), (231, 199, 31), (187, 86, 149), (8, 133, 161),
    (243, 243, 242), (200, 200, 200), (160, 160, 160), (122, 122, 121), (85, 85, 85), (52, 52, 52),
)  # fmt: skip
_WHITE: Colour = (250, 250, 248)
_PENCIL: Colour = (70, 68, 72)
_BAND = 0.175
"""Share of the paper's height, at its foot, that belongs to the label and never to the plant."""


@dataclass(frozen=True)
class Canvas:
    """An image and its scale; draws in pixels of the full-size sheet."""

    image: Image.Image
    scale: float
    _draw: ImageDraw.ImageDraw = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_draw", ImageDraw.Draw(self.image))

    def box(self, box: Box, fill: Colour | None, outline: Colour | None = None) -> None:
        """Draws a rectangle."""
        left, top, right, bottom = (round(v * self.scale) for v in box)
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        self._draw.rectangle(corners, fill, outline)

    def polygon(self, points: np.ndarray, fill: Colour) -> None:
        """Draws a filled polygon."""
        self._draw.polygon((points * self.scale).ravel().tolist(), fill)

    def line(self, points: np.ndarray, fill: Colour, width: float) -> None:
        """Draws an open line."""
        pixels = max(1, round(width * self.scale))
        self._draw.line((points * self.scale).ravel().tolist(), fill, pixels)

    def stencil(self, mask: Image.Image, corner: tuple[float, float], fill: Colour) -> None:
        """Prints a mask that has this canvas's scale in one colour."""
        at = (round(corner[0] * self.scale), round(corner[1] * self.scale))
        self.image.paste(fill, (*at, at[0] + mask.width, at[1] + mask.height), mask)


@dataclass(frozen=True)
class Layout:
    """Where things are on one sheet."""

    paper: Box
    plant_box: Box


def empty_sheet(
    keeper: Herbarium, rng: np.random.Generator, scale: float, full: tuple[int, int]
) -> tuple[Canvas, Layout]:
    """Returns a sheet with label, barcode and stamps, without a plant."""
    paper = _paper_box(keeper, full)
    left, top, right, bottom = paper
    width, height = right - left, bottom - top
    canvas = Canvas(_base(keeper, scale, full, int(rng.integers(3))).copy(), scale)
    foot = bottom - _BAND * height
    label_width = width * rng.uniform(0.42, 0.5)
    label_height = (bottom - foot) * rng.uniform(0.76, 0.9)
    edge = 10 + 6 * rng.random()
    x = right - edge - label_width if keeper.label_right else left + edge
    y = bottom - edge - label_height
    _label(canvas, keeper, (x, y, x + label_width, y + label_height), rng)

    near, far = (left, x) if keeper.label_right else (x + label_width, right)
    if keeper.barcode_top:
        corner = (right - 128 if keeper.label_right else left + 14, top + 8 * (1 + rng.random()))
    else:
        corner = (near + 16 + 8 * rng.random(), bottom - 46 - 6 * rng.random())
    _barcode(canvas, corner, rng)
    if keeper.bed is None and keeper.card != "none":
        card_box = (near + 18, foot + 6, near + 18 + 96, foot + 78)
        _card(canvas, card_box, 6 if keeper.card == "grid" else 12)
    stamp_at = (far - 76 - 10 * rng.random(), foot + 14 + 18 * rng.random())
    canvas.stencil(_stamp(keeper.stamp, scale), stamp_at, keeper.ink)
    if rng.random() < 0.4:
        slip_x, slip_y = near + 120 + 20 * rng.random(), bottom - 34 - 40 * rng.random()
        _slip(canvas, (slip_x, slip_y, min(slip_x + 104, far - 4), slip_y + 26), rng)
    inset = 0.07 * width
    plant_box = (left + inset, top + 0.068 * height, right - inset, foot - 0.006 * height)
    return canvas, Layout(paper, plant_box)


def straps(canvas: Canvas, keeper: Herbarium, stem: np.ndarray, rng: np.random.Generator) -> None:
    """Holds a stem down at a few points.

    Args:
        canvas: the sheet, with the plant on it.
        keeper: whose way of mounting.
        stem: `[N, 2]` points along it in pixels of the full-size sheet.
        rng: chooses where.
    """
    length, width = {"linen": (44, 9), "paper": (40, 5), "thread": (20, 2)}[keeper.straps]
    fill: Colour = {"linen": (226, 218, 196), "paper": (244, 243, 238), "thread": (52, 48, 44)}[
        keeper.straps
    ]
    for share in (0.12, 0.5, 0.82):
        index = min(len(stem) - 2, max(1, round((share + rng.uniform(-0.06, 0.06)) * len(stem))))
        along = stem[index + 1] - stem[index - 1]
        along = along / (np.hypot(*along) + 1e-9)
        across = np.array([-along[1], along[0]]) + rng.uniform(-0.3, 0.3) * along
        half, thick = 0.5 * length * rng.uniform(0.8, 1.2) * across, 0.5 * width * along
        corners = np.array([half + thick, half - thick, -half - thick, -half + thick])
        canvas.polygon(stem[index] + corners + (1, 2), (120, 112, 98))
        canvas.polygon(stem[index] + corners, fill)


def _paper_box(keeper: Herbarium, full: tuple[int, int]) -> Box:
    width, height = full
    if keeper.bed is None:
        return (0, 0, width, height)
    wide, narrow = 62, 12
    left = wide if keeper.bed_side == "left" else narrow
    right = wide if keeper.bed_side == "right" else narrow
    top = wide if keeper.bed_side == "top" else narrow
    return (left, top, width - right, height - narrow)


@lru_cache(maxsize=30)
def _base(keeper: Herbarium, scale: float, full: tuple[int, int], variant: int) -> Image.Image:
    """Returns bed and paper with what always lies at the same place."""
    rng = np.random.default_rng([variant, *keeper.code.encode()])
    size = (round(full[0] * scale), round(full[1] * scale))
    canvas = Canvas(Image.new("RGB", size, keeper.bed or keeper.paper), scale)
    paper = _paper_box(keeper, full)
    tint = rng.normal(0, 1.5, 3) - (0, variant, 3 * variant)
    red, green, blue = (
        int(np.clip(c + t, 0, 255)) for c, t in zip(keeper.paper, tint, strict=True)
    )
    canvas.box(paper, (red, green, blue))
    for _ in range(6 * variant):  # foxing of old paper
        x, y = rng.uniform(paper[0], paper[2] - 8), rng.uniform(paper[1], paper[3] - 8)
        spot: Colour = (red - 14, green - 20, blue - 30)
        canvas.box((x, y, x + 4 * rng.random() + 2, y + 4 * rng.random() + 2), spot)
    for grain, contrast in ((160, 4.0), (3, 5.0)):
        tile = texture(size, grain, variant, contrast)
        canvas.image.paste(mottle(canvas.image, tile, (0.0, 0.0)))
    if keeper.bed is not None:
        _bed_furniture(canvas, keeper, full)
    return canvas.image


def _bed_furniture(canvas: Canvas, keeper: Herbarium, full: tuple[int, int]) -> None:
    """Lays ruler and colour card on the table beside the sheet."""
    width, height = full
    columns = 6 if keeper.card == "grid" else 12
    if keeper.bed_side == "top":
        _ruler(canvas, (width * 0.5, 14, width * 0.94, 46))
        if keeper.card != "none":
            _card(canvas, (16, 8, 16 + (78 if columns == 6 else 180), 54), columns)
        return
    left = 6 if keeper.bed_side == "left" else width - 56
    _ruler(canvas, (left + 9, height * 0.42, left + 41, height * 0.86))
    if keeper.card != "none":
        deep = 76 if columns == 6 else 190
        _card(canvas, (left, height * 0.12, left + 50, height * 0.12 + deep), 24 // columns)


def _card(canvas: Canvas, box: Box, columns: int) -> None:
    left, top, right, bottom = box
    rows = len(_CARD) // columns
    canvas.box(box, (24, 24, 24))
    wide, high = (right - left - 4) / columns, (bottom - top - 4) / rows
    for index, patch in enumerate(_CARD):
        x, y = left + 2 + wide * (index % columns), top + 2 + high * (index // columns)
        canvas.box((x + 1, y + 1, x + wide - 1, y + high - 1), patch)


def _ruler(canvas: Canvas, box: Box) -> None:
    left, top, right, bottom = box
    canvas.box(box, _WHITE, (60, 60, 60))
    upright = bottom - top > right - left
    for mark in range(1, 40):
        reach = 0.62 if mark % 10 == 0 else (0.44 if mark % 5 == 0 else 0.26)
        if upright:
            y = top + (bottom - top) * mark / 40
            canvas.line(np.array([(left, y), (left + reach * (right - left), y)]), (30, 30, 30), 1)
        else:
            x = left + (right - left) * mark / 40
            canvas.line(np.array([(x, top), (x, top + reach * (bottom - top))]), (30, 30, 30), 1)


def _label(canvas: Canvas, keeper: Herbarium, box: Box, rng: np.random.Generator) -> None:
    """Draws a label: the herbarium's printed title over lines that nobody can read."""
    left, top, right, bottom = box
    canvas.box((left + 2, top + 2, right + 2, bottom + 2), (172, 164, 146))
    canvas.box(box, keeper.label_paper, (150, 144, 130))
    if keeper.framed:
        canvas.box((left + 4, top + 4, right - 4, bottom - 4), None, keeper.ink)
    title = _title(keeper.title, canvas.scale)
    middle = (left + right) / 2 - title.width / canvas.scale / 2
    canvas.stencil(title, (middle, top + 9), keeper.ink)
    written = rng.random() < 0.5
    ink: Colour = (48, 52, 96) if written and rng.random() < 0.5 else _PENCIL
    for y in np.arange(top + 32, bottom - 12, 13.0):
        canvas.box((left + 10, y + 2, left + 10 + rng.uniform(26, 44), y + 6), keeper.ink)
        _words(canvas, (left + 60, y, right - 12, y + 8), ink, rng, written=written)


def _words(
    canvas: Canvas, box: Box, ink: Colour, rng: np.random.Generator, *, written: bool
) -> None:
    """Fills a line with illegible words, typed or written by hand."""
    left, top, right, bottom = box
    end = left + (right - left) * rng.uniform(0.35, 1.0)
    while left < end - 8:
        word = min(end, left + rng.uniform(12, 46))
        if written:
            x = np.arange(left, word, 3.0)
            y = (top + bottom) / 2 + rng.uniform(-4, 4, len(x))
            canvas.line(np.stack([x, y], 1), ink, 1.2)
        else:
            canvas.box((left, top + 2, word, bottom - 2), tuple(min(255, c + 62) for c in ink))  # type: ignore[arg-type]
        left = word + 6


def _slip(canvas: Canvas, box: Box, rng: np.random.Generator) -> None:
    """Draws a determination slip."""
    canvas.box(box, (252, 250, 242), (170, 164, 150))
    left, top, right, _ = box
    _words(canvas, (left + 6, top + 4, right - 6, top + 12), _PENCIL, rng, written=True)
    _words(canvas, (left + 6, top + 14, right - 6, top + 22), _PENCIL, rng, written=False)


def _barcode(canvas: Canvas, corner: tuple[float, float], rng: np.random.Generator) -> None:
    x, y = corner
    canvas.box((x, y, x + 112, y + 38), _WHITE, (190, 190, 186))
    canvas.box((x + 30, y + 4, x + 82, y + 9), (90, 90, 90))
    at = x + 7.0
    for bar in rng.uniform(1.5, 5, 22).tolist():
        if at + bar > x + 105:
            break
        canvas.box((at, y + 12, at + 0.55 * bar, y + 34), (16, 16, 16))
        at += bar + 1


@lru_cache(maxsize=64)
def _title(text: str, scale: float) -> Image.Image:
    """Returns the printed title of a label as a mask."""
    font = ImageFont.load_default(15)
    left, top, right, bottom = (int(v) for v in font.getbbox(text))
    mask = Image.new("L", (right - left + 2, bottom - top + 2))
    ImageDraw.Draw(mask).text((1 - left, 1 - top), text, 255, font)
    size = (max(1, round(mask.width * scale)), max(1, round(mask.height * scale)))
    return mask.resize(size, Image.Resampling.BOX)


@lru_cache(maxsize=16)
def _stamp(shape: str, scale: float) -> Image.Image:
    """Returns the stamp of a herbarium as a mask."""
    mask = Image.new("L", (240, 240))
    draw = ImageDraw.Draw(mask)
    if shape == "diamond":
        for inset, ink in ((6, 200), (14, 0), (20, 200), (25, 0)):
            draw.polygon(
                [(inset, 120), (120, 60 + inset / 2), (240 - inset, 120), (120, 180 - inset / 2)],
                ink,
            )
    else:
        flat = 0 if shape == "round" else 46
        for inset, ink in ((8, 200), (15, 0), (52, 160), (57, 0)):
            draw.ellipse((inset, flat + inset * 0.8, 240 - inset, 240 - flat - inset * 0.8), ink)
        for angle in np.linspace(0, 2 * np.pi, 26, endpoint=False):
            x, y = 120 + 86 * np.cos(angle), 120 + (86 - flat * 0.86) * np.sin(angle)
            draw.rectangle((x - 6, y - 7, x + 6, y + 7), 150)
    draw.rectangle((86, 114, 154, 126), 190)
    size = max(1, round(66 * scale))
    return mask.resize((size, size), Image.Resampling.BOX)
