"""The figure of a leak audit: sheets as the model saw them, and what it made of each view."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from herbzoo.data.masking import VIEWS
from herbzoo.data.records import Collection
from herbzoo.errors import ImageError
from herbzoo.evaluation.leak_audit import LABELS, audited_rows, view_of
from herbzoo.whole_file import whole

if TYPE_CHECKING:
    from PIL.Image import Image

    from herbzoo.data.zone_table import ZoneTable

FILE_NAME = "leak_audit.png"
EXAMPLES = 4
_SIZE = (480, 480)
_INK = "#333333"


def write_figure(
    folder: Path,
    audit: dict[str, Any],
    collection: Collection,
    zones: ZoneTable | None = None,
    seed: int = 0,
) -> Path:
    """Draws example sheets of several institutions in all views into `folder/leak_audit.png`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    examples = _examples(audited_rows(collection), zones, seed)
    rows = max(1, len(examples))
    figure = Figure(figsize=(9.2, 0.7 + 3.1 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, len(VIEWS), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for line, (name, pictures) in zip(axes, examples, strict=False):
        for axis, view in zip(line, VIEWS, strict=True):
            axis.imshow(np.asarray(pictures[view]))
        line[0].set_title(name, fontsize=7, style="italic", loc="left", color=_INK)
    for axis, view in zip(axes[0], VIEWS, strict=True):
        top1 = audit["views"][view]["top1"]
        text = f"{LABELS[view]}\ntop-1 {top1['value']:.3f} [{top1['low']:.3f}, {top1['high']:.3f}]"
        axis.text(
            0.5, 1.1, text, transform=axis.transAxes, ha="center", va="bottom", fontsize=8.5,
            color=_INK,
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    with whole(path) as partial:
        figure.savefig(partial, dpi=110, format="png")
    return path


def _examples(
    sheets: Collection, zones: ZoneTable | None, seed: int
) -> list[tuple[str, dict[str, Image]]]:
    """Opens a few sheets in all views, of one institution after another."""
    order = np.random.default_rng(seed).permutation(len(sheets))
    shuffled = sheets.select(order)
    turn = shuffled.frame.groupby("institutionCode").cumcount().to_numpy()
    shuffled = shuffled.select(np.argsort(turn, kind="stable"))
    found: list[tuple[str, dict[str, Image]]] = []
    for row in range(min(len(shuffled), 3 * EXAMPLES)):
        one = shuffled.frame.iloc[row]
        try:
            pictures = {
                view: view_of(shuffled, view, zones).open(one["image"], _SIZE) for view in VIEWS
            }
        except ImageError:
            continue
        found.append(
            (" · ".join(filter(None, [one["scientificName"], one["institutionCode"]])), pictures)
        )
        if len(found) == EXAMPLES:
            break
    return found
