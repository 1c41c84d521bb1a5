"""F1 of each species against the number of its training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from herbzoo.evaluation.class_counts import ClassCounts
from herbzoo.evaluation.figures.look import (
    BLUE,
    INK,
    VERMILION,
    NothingToDraw,
    new_figure,
    tidy,
)
from herbzoo.evaluation.strata import MANY, MEDIUM

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILE_NAME = "species_f1.png"
_APART = 0.008
"""Share of the axis by which dots are moved at most."""
_NONE = 0.5
"""Where a logarithmic axis shows species without training images."""
_BANDS = (("few: fewer than 20", "#F3E3D3"), ("medium: 20 to 100", "#F7F3E6"),
          ("many: more than 100", "#E4EEF5"))  # fmt: skip


def species_f1_figure(counts: ClassCounts, training: np.ndarray) -> Figure:
    """Draws a dot for each species present in the truth, and medians over decades of images.

    Args:
        counts: of the rows that were measured on.
        training: training images of each class `[C]`. Species the model does not know are left
            out, and counted in the title.

    Raises:
        NothingToDraw: if no species has training images that are known.
    """
    known = counts.classes >= 0
    images = np.asarray(training)[counts.classes[known]]
    f1 = counts.f1[known]
    if not (images > 0).any():
        raise NothingToDraw("the taxonomy does not say how many training images a species has")
    title = f"F1 of {len(f1):,} species by the number of their training images"
    if strangers := int((~known).sum()):
        title += f"; {strangers:,} more are unknown to the model and have 0"
    figure = new_figure(4.8, title, width=8.6)
    axis = figure.subplots()
    top = max(10.0, float(images.max()))
    low = 0.35 if (images == 0).any() else 0.75 * float(images.min())
    axis.set_xscale("log")
    high = 1.35 * top
    # A band that holds species has room for its words.
    low, high = (
        min(low, 8) if images.min() < MEDIUM else low,
        max(high, 220) if top > MANY else high,
    )
    axis.set(xlim=(low, high), ylim=(-0.03, 1.14))
    _bands(axis, images, f1)
    axis.plot(
        np.where(images == 0, _NONE, images) * _jitter(len(f1), axis),
        f1,
        linestyle="",
        marker="o",
        markersize=5.5 if len(f1) <= 500 else 3,
        markeredgewidth=0,
        color=BLUE,
        alpha=float(np.clip(150 / len(f1), 0.12, 0.65)),
        label=f"one species, n = {len(f1):,}",
    )
    _medians(axis, images, f1)
    _image_ticks(axis, top, none=bool((images == 0).any()))
    axis.set_yticks(np.arange(0, 1.01, 0.2))
    axis.set_xlabel("training images of the species (logarithmic)")
    axis.set_ylabel(f"F1 on {int(counts.occurrences.sum()):,} images")
    # Above the axis: inside it would hide species of F1 0, which matter most.
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=8,
                labelcolor=INK, borderaxespad=0.2)  # fmt: skip
    tidy(axis)
    return figure


def _bands(axis: Axes, images: np.ndarray, f1: np.ndarray) -> None:
    """Shades few, medium and many, with the mean F1 of each that has a species."""
    left, right = axis.get_xlim()
    edges = (left, MEDIUM - 0.5, MANY + 0.5, right)
    inside = (images < MEDIUM, (images >= MEDIUM) & (images <= MANY), images > MANY)
    for (label, shade), first, last, own in zip(_BANDS, edges[:-1], edges[1:], inside, strict=True):
        first, last = max(first, left), min(last, right)
        if first >= last:
            continue
        axis.axvspan(first, last, color=shade, linewidth=0, zorder=0)
        if own.any():
            words = f"{label}\n{own.sum():,} species, mean {f1[own].mean():.3f}"
            if np.log(last / first) < 0.2 * np.log(right / left):
                words = words.replace(": ", ":\n").replace(", ", ",\n")
            axis.text(
                float(np.sqrt(first * last)),
                1.12,
                words,
                ha="center",
                va="top",
                fontsize=7.5,
                color=INK,
            )


def _jitter(count: int, axis: Axes) -> np.ndarray:
    """Returns factors that move dots a little sideways: many species have the same two numbers."""
    left, right = axis.get_xlim()
    return (right / left) ** np.random.default_rng(0).uniform(-_APART, _APART, count)


def _medians(axis: Axes, images: np.ndarray, f1: np.ndarray) -> None:
    """Draws the median of each decade: 1 to 9 images, 10 to 99, and so on."""
    decades = np.floor(np.log10(np.maximum(images, 1)) + 1e-9).astype(int)
    label: str | None = "median of 1-9, 10-99, ... images"
    for decade in np.unique(decades[images > 0]):
        own = (decades == decade) & (images > 0)
        median, reach = float(np.median(f1[own])), images[own]
        ends = (reach.min() / 1.04, reach.max() * 1.04)
        axis.plot(ends, [median, median], color=VERMILION, linewidth=2.5, label=label, zorder=4)
        axis.annotate(
            f"{median:.2f}",
            (ends[1], median),
            (3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            fontweight="bold",
            color="#9C4400",
        )
        label = None


def _image_ticks(axis: Axes, top: float, none: bool) -> None:
    from matplotlib.ticker import NullLocator

    left, right = axis.get_xlim()
    digits = (1,) if right / left > 1000 else (1, 2, 5) if right / left > 10 else range(1, 10)
    steps = [digit * 10**power for power in range(int(np.log10(top)) + 1) for digit in digits]
    ticks = [step for step in steps if left <= step <= right]
    labels = [f"{step:,}" for step in ticks]
    if none:
        ticks, labels = [_NONE, *ticks], ["0", *labels]
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticks(ticks, labels)
