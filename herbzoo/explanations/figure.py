"""The figure of an explanation: the image with its zones, and where the model looked in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from herbzoo.data.zones import Zone
from herbzoo.explanations.explanation import PARTS, REST, Explanation, zone_shares
from herbzoo.whole_file import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    "label": "#D55E00",
    "barcode": "#CC79A7",
    "colour_card": "#0072B2",
    "border": "#555555",
}
"""Of the outlines of zones, from Okabe and Ito's palette; dashes tell them apart as well."""
_DASHES: dict[str, tuple[float, Sequence[float]]] = {
    "label": (0, ()),
    "barcode": (0, (1, 1)),
    "colour_card": (0, (4, 1.5)),
    "border": (0, (6, 1.5, 1, 1.5)),
}
_MAP = "cividis"
"""Perceptually uniform, the same to the colour-blind, and of rising lightness in grey."""
_INK = "#333333"
_PANEL = 4.4
"""Inches of the longer side of a panel."""
_HEAD, _FOOT, _GAP, _EDGE = 0.62, 0.85, 0.15, 0.15
_FINE = 4096
"""Cells of a map from which on their number does not matter to who looks at it."""
_DETAIL = (0.45, 0.55)
"""How dark the darkest of the image makes the colours of the map, and how much of it shows."""


def explanation_figure(explanation: Explanation, zones: Sequence[Zone] = ()) -> Figure:
    """Draws the image with its zones, and beside it the map over the image.

    Args:
        explanation: of one image.
        zones: of the sheet, in pixels of `explanation.image`; none for another picture.

    Returns:
        A figure of its own, apart from pyplot's.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    wide, high = (_PANEL * side / max(explanation.image.size) for side in explanation.image.size)
    wide_figure = max(2 * wide + _GAP + 2 * _EDGE, 5.6)
    high_figure = high + _HEAD + _FOOT
    figure = Figure(figsize=(wide_figure, high_figure), dpi=150)
    FigureCanvasAgg(figure)
    start = (wide_figure - 2 * wide - _GAP) / 2
    for number, left in enumerate((start, start + wide + _GAP)):
        axis = figure.add_axes(
            (left / wide_figure, _FOOT / high_figure, wide / wide_figure, high / high_figure)
        )
        axis.axis("off")
        axis.imshow(
            overlay(explanation) if number else np.asarray(explanation.image), aspect="auto"
        )
        _outline(axis, zones, thin=bool(number))
    _head(figure, explanation, high_figure)
    _foot(figure, explanation, zones, (wide_figure, high_figure))
    return figure


def write_figure(path: Path, explanation: Explanation, zones: Sequence[Zone] = ()) -> Path:
    """Writes the figure as a PNG; returns its path."""
    with whole(path) as partial:
        explanation_figure(explanation, zones).savefig(partial, format="png")
    return path


def in_words(explanation: Explanation, zones: Sequence[Zone]) -> str:
    """Returns how the attention divides among the zones, against their share of the picture."""
    if not explanation.heat.any():
        return "Nothing in the image speaks for this taxon."
    if not zones:
        return "No zones of a herbarium sheet were found."
    shares = zone_shares(explanation, zones)
    parts = [part for part in (REST, *PARTS[:-1]) if shares.area[part] > 0]
    names = {REST: "plant and paper", "colour_card": "colour card"}
    pairs = [(names.get(part, part), shares.attention[part], shares.area[part]) for part in parts]
    return ", ".join(
        f"{name} {looked:.0%} ({area:.0%} of the area)" for name, looked, area in pairs
    )


def overlay(explanation: Explanation) -> np.ndarray:
    """Returns the map's colours `[H, W, 3]`, darkened by what is dark in the image."""
    import matplotlib

    heat = explanation.heat
    colours = matplotlib.colormaps[_MAP](heat / heat.max() if heat.any() else heat)[..., :3]
    grey = np.asarray(explanation.image.convert("L"), dtype=np.float32) / 255
    low, high = np.percentile(grey, [1, 99])
    detail = np.clip((grey - low) / (high - low), 0, 1) if high > low else np.ones_like(grey)
    floor, rest = _DETAIL
    return colours * (floor + rest * detail)[..., None]


def _outline(axis: Axes, zones: Sequence[Zone], thin: bool) -> None:
    from matplotlib.patches import Rectangle

    for zone in zones:
        left, top, right, bottom = zone.box
        box = Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False)
        box.set(edgecolor="white" if thin else COLOURS[zone.kind], linestyle=_DASHES[zone.kind])
        box.set(linewidth=0.8 if thin else 1.4)
        axis.add_patch(box)


def _head(figure: Figure, explanation: Explanation, height: float) -> None:
    name = explanation.taxon.scientificName
    figure.text(
        0.5, 1 - 0.1 / height, f"Where the model looked for {name}", fontsize=10.5, va="top",
        ha="center", color=_INK,
    )  # fmt: skip
    rows, columns = explanation.cells
    how = explanation.method
    pixels = rows * columns > _FINE
    how += "" if pixels else f", {rows} × {columns} cells"
    words = f"{_fitting(explanation.key)} · score {explanation.score:.2f} · {how}"
    figure.text(0.5, 1 - 0.36 / height, words, fontsize=7.5, va="top", ha="center", color=_INK)


def _foot(
    figure: Figure, explanation: Explanation, zones: Sequence[Zone], size: tuple[float, float]
) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.lines import Line2D

    width, height = size
    lines = _broken(in_words(explanation, zones), round(16 * width))
    if explanation.padding >= 0.005:
        lines += f"\n{explanation.padding:.0%} of the whole map was on the black bars around it."
    figure.text(
        0.5, (_FOOT - 0.34) / height, lines, fontsize=7.5, va="top", ha="center", color=_INK,
        linespacing=1.35,
    )  # fmt: skip
    bar = figure.add_axes(
        ((width / 2 + 1.25) / width, (_FOOT - 0.2) / height, 0.8 / width, 0.09 / height)
    )
    figure.colorbar(ScalarMappable(cmap=_MAP), cax=bar, orientation="horizontal", ticks=[])
    bar.text(-0.06, 0.5, "looked little", fontsize=7, ha="right", va="center", color=_INK)
    bar.text(1.06, 0.5, "much", fontsize=7, ha="left", va="center", color=_INK)
    kinds = [kind for kind in COLOURS if any(zone.kind == kind for zone in zones)]
    handles = [
        Line2D([], [], color=COLOURS[kind], linestyle=_DASHES[kind], label=kind.replace("_", " "))
        for kind in kinds
    ]
    if handles:
        figure.legend(
            handles=handles, loc="center right", ncols=len(handles), frameon=False, fontsize=7,
            bbox_to_anchor=(0.5 + 0.45 / width, (_FOOT - 0.155) / height), labelcolor=_INK,
            handlelength=1.8, columnspacing=1, handletextpad=0.5, borderpad=0,
        )  # fmt: skip


def _broken(text: str, width: int) -> str:
    """Breaks a text after commas, into lines of about the same length."""
    import textwrap

    text = text.replace(" ", "\N{NO-BREAK SPACE}").replace(",\N{NO-BREAK SPACE}", ", ")

    lines = math.ceil(len(text) / width)
    return textwrap.fill(text, max(20, math.ceil(len(text) / lines) + 12))


def _fitting(key: str) -> str:
    return key if len(key) <= 48 else "…" + key[-47:]
