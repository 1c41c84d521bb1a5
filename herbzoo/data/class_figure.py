"""The figure of a collection's classes: images a species by domain, most frequent first.

Field photos stand above a common line and herbarium sheets hang below it, like a plant and its
roots. Up to `NAMED` species are bars with their names. Up to `ALIGNED` the two sides of a species
are opposite each other; more are too many to follow, and each side is ranked by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from herbzoo.data.describe import Description
from herbzoo.whole_file import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 80
"""The most species whose names are written out."""
ALIGNED = 600
"""The most species whose place on the axis is the same in both domains."""
FILE_NAME = "class_distribution.png"

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/) is told apart by the colour-blind.
_COLOURS = {"field": "#E69F00", "herbarium": "#0072B2", "other": "#7F7F7F"}
_LABELS = {"field": "field photos", "herbarium": "herbarium sheets", "other": "other images"}
_INK, _FAINT = "#333333", "#8C8C8C"
_LOG_FROM = 20
"""The ratio of most to fewest images from which the axis is logarithmic."""
_LOG_FLOOR = 0.5
"""Where a logarithmic bar starts, so that one image shows and none does not."""
_LEAST_SHARE = 0.3
"""Height of the lowest panel, as a share of the highest; otherwise all have one scale."""
_WIDTH, _TITLE_HEIGHT, _PANELS_HEIGHT, _AXIS_HEIGHT = 11.0, 0.8, 4.0, 0.55
"""Inches."""
_FEW = 20
"""Species whose names have room for larger letters."""


@dataclass(frozen=True)
class _Panel:
    """The images a species in one domain, in the order of the axis."""

    domain: str
    counts: np.ndarray
    hangs: bool


@dataclass(frozen=True)
class _Scale:
    """The scale of images that the panels share."""

    log: bool

    def height(self, images: float) -> float:
        """Returns how high a bar is, in a unit that all panels share."""
        return math.log10(images / _LOG_FLOOR) if self.log else images

    def images(self, height: float) -> float:
        """Returns the images of a bar so high."""
        return _LOG_FLOOR * 10**height if self.log else height

    @property
    def floor(self) -> float:
        """Returns where bars start."""
        return _LOG_FLOOR if self.log else 0.0


def class_figure(description: Description) -> Figure:
    """Draws images a species by domain.

    Args:
        description: of a collection with at least one named image.

    Returns:
        A figure of its own, apart from pyplot's.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = _panels(description)
    named = len(description.species) <= NAMED
    below = _names_height(description) if named else _AXIS_HEIGHT
    height = _TITLE_HEIGHT + _PANELS_HEIGHT + below
    figure = Figure(figsize=(_WIDTH, height), dpi=150)
    FigureCanvasAgg(figure)
    scale = _Scale(log=_spread(panels) >= _LOG_FROM)
    tops = [scale.height(panel.counts.max()) * 1.05 for panel in panels]
    tops = [max(top, _LEAST_SHARE * max(tops)) for top in tops]
    grid = {"hspace": 0, "left": 0.075, "right": 0.985, "height_ratios": tops}
    grid |= {"top": 1 - _TITLE_HEIGHT / height, "bottom": below / height}
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, gridspec_kw=grid)[:, 0]
    for axis, panel, top in zip(axes, panels, tops, strict=True):
        _bars(axis, panel, scale, gaps=named)
        _images_axis(axis, panel, scale, (top, max(tops)))
    _species_axis(axes[-1], description, len(panels))
    figure.text(0.012, 1 - 0.14 / height, _title(description), fontsize=11, va="top", color=_INK)
    _legend(figure, panels, 1 - 0.38 / height)
    middle = (below + _PANELS_HEIGHT / 2) / height
    label = figure.text(0.012, middle, "images a species", fontsize=9, color=_INK)
    label.set(rotation=90, verticalalignment="center")
    return figure


def write_class_figure(description: Description, folder: Path) -> Path:
    """Writes `class_distribution.png` into a folder; returns its path."""
    path = folder / FILE_NAME
    with whole(path) as partial:
        class_figure(description).savefig(partial, format="png")
    return path


def _panels(description: Description) -> list[_Panel]:
    species = description.species
    images = np.array([kind.images for kind in species])
    counts = {
        "field": np.array([kind.field for kind in species]),
        "herbarium": np.array([kind.herbarium for kind in species]),
    }
    counts["other"] = images - counts["field"] - counts["herbarium"]
    filled = {domain: column for domain, column in counts.items() if column.any()}
    if len(species) > ALIGNED:
        filled = {domain: np.sort(column)[::-1] for domain, column in filled.items()}
    hanging = "herbarium" if "field" in filled else ""
    return [_Panel(domain, column, domain == hanging) for domain, column in filled.items()]


def _spread(panels: list[_Panel]) -> float:
    present = np.concatenate([panel.counts[panel.counts > 0] for panel in panels])
    return float(present.max() / present.min())


def _bars(axis: Axes, panel: _Panel, scale: _Scale, gaps: bool) -> None:
    heights = np.maximum(panel.counts, scale.floor)
    edges = np.arange(len(heights) + 1) + 0.5
    colour = _COLOURS[panel.domain]
    if gaps:
        axis.bar(edges[:-1] + 0.5, heights - scale.floor, 0.82, bottom=scale.floor, color=colour)
    else:
        axis.stairs(heights, edges, baseline=scale.floor, fill=True, color=colour, linewidth=0)


def _images_axis(axis: Axes, panel: _Panel, scale: _Scale, tops: tuple[float, float]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    own, highest = tops
    if scale.log:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(10))
        axis.yaxis.set_minor_locator(NullLocator())
    else:
        axis.set_yticks(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]).tick_values(0, highest))
    axis.set_ylim(scale.floor, scale.images(own))
    if panel.hangs:
        axis.invert_yaxis()
    # The common line is labelled once, from above.
    axis.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: "" if panel.hangs and value == 0 else f"{value:,.0f}")
    )
    axis.grid(axis="y", color="#E3E3E3", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(colors=_INK, labelsize=8, length=0)
    for side in ("left", "right", "top", "bottom"):
        axis.spines[side].set_visible(side == ("top" if panel.hangs else "bottom"))
        axis.spines[side].set_color(_FAINT)


def _legend(figure: Figure, panels: list[_Panel], top: float) -> None:
    """Says in a line below the title what the colours are and how many species have none."""
    from matplotlib.patches import Patch

    handles = []
    for panel in panels:
        there = int((panel.counts > 0).sum())
        text = f"{panel.counts.sum():,} {_LABELS[panel.domain]} of {there:,} species"
        if missing := len(panel.counts) - there:
            text += f" (none of {missing:,})"
        handles.append(Patch(color=_COLOURS[panel.domain], label=text))
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.004, top),
        ncols=len(handles),
        frameon=False,
        fontsize=9,
        labelcolor=_INK,
        handlelength=1,
        handleheight=0.9,
        columnspacing=2.5,
    )


def _species_axis(axis: Axes, description: Description, panels: int) -> None:
    species = description.species
    axis.set_xlim(0.3, len(species) + 0.7)
    if len(species) > NAMED:
        order = "species, the most frequent first"
        order += ", each domain by itself" if len(species) > ALIGNED and panels > 1 else ""
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.set_xlabel(order, fontsize=9, color=_INK)
        return
    names = [_fitting(kind.scientificName) for kind in species]
    size = 9 if len(names) <= _FEW else 7
    axis.set_xticks(range(1, len(names) + 1), names, fontsize=size, rotation=90)
    for label in axis.get_xticklabels():
        label.set_fontstyle("italic")


def _names_height(description: Description) -> float:
    """Returns the inches that the longest name takes below the axis."""
    longest = max(len(_fitting(kind.scientificName)) for kind in description.species)
    return 0.25 + longest * (0.073 if len(description.species) <= _FEW else 0.058)


def _fitting(name: str) -> str:
    return name if len(name) <= 30 else name[:29] + "…"


def _title(description: Description) -> str:
    name = description.name.rstrip("/").rpartition("/")[2]
    title = f"{name}: {description.images:,} images of {len(description.species):,} species"
    tail = description.tail
    if tail is None or tail.most == tail.fewest:
        return title
    return f"{title}; the most frequent fifth of them has {tail.head_share:.0%} of the images"
