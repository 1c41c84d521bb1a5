"""The look that figures share: their ink, and colours that the colour-blind tell apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from herbzoo.whole_file import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
WIDTH = 11.0
"""Inches."""
INK, FAINT, GRID = "#333333", "#8C8C8C", "#E3E3E3"
# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/).
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"


class NothingToDraw(ValueError):
    """Raised where a figure would be empty; the message says why."""


def new_figure(height: float, title: str, width: float = WIDTH, **kwargs: Any) -> Figure:
    """Makes a figure of its own, apart from pyplot's, with a title over its whole width.

    Args:
        height: in inches.
        title: what the figure shows.
        width: in inches.
        kwargs: of `matplotlib.figure.Figure`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08, wspace=0.02)
    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout, **kwargs)
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.012, ha="left", fontsize=11, color=INK)
    return figure


def tidy(axis: Axes, grid: Literal["x", "y", "both"] = "both") -> None:
    """Leaves of an axis what is read: a faint grid, and a line below and at the left."""
    axis.grid(axis=grid, color=GRID, linewidth=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(colors=INK, labelsize=8, length=0)
    for side in ("left", "right", "top", "bottom"):
        axis.spines[side].set_visible(side in ("left", "bottom"))
        axis.spines[side].set_color(FAINT)
    for label in (axis.xaxis.label, axis.yaxis.label, axis.title):
        label.set(fontsize=9, color=INK)


def plain(text: str, most: int = 0) -> str:
    """Returns text on one line that is drawn as it stands: a `$` would begin a formula.

    Args:
        text: as the data have it.
        most: letters, or 0 for all of them.
    """
    line = " ".join(text.split())
    if most and len(line) > most:
        line = line[: most - 1] + "…"
    return line.replace("$", r"\$")


def write_png(figure: Figure, path: Path) -> Path:
    """Writes a figure beside and renames it, so that it is never half there."""
    with whole(path) as partial:
        figure.savefig(partial, dpi=DPI, format="png")
    return path
