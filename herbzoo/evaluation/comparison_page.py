"""A comparison as one HTML page that needs nothing beside it, and as files in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from herbzoo.evaluation.comparison import Comparison, difference_lines, figures_lines
from herbzoo.evaluation.map_figure import write_map_figure
from herbzoo.evaluation.page import encoded, rendered, write_page
from herbzoo.evaluation.resampling import LEVEL
from herbzoo.run_folder import write_json

JSON_NAME = "comparison.json"
PAGE_NAME = "comparison.html"
FIGURES = "figures"
TEMPLATE = "comparison.html.j2"


def write_comparison(comparison: Comparison, folder: Path) -> tuple[Path, ...]:
    """Writes `comparison.json`, `comparison.html` and, where there are maps, their figure.

    Returns:
        The paths, in this order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figure = None
    if comparison.maps:
        figure = write_map_figure(comparison.maps, folder / FIGURES, comparison.map_note)
    write_json(folder / JSON_NAME, comparison.as_dict())
    page = write_page(folder / PAGE_NAME, TEMPLATE, **_values(comparison, figure))
    return (folder / JSON_NAME, page) if figure is None else (folder / JSON_NAME, page, figure)


def page_of(comparison: Comparison, figure: Path | None = None) -> str:
    """Returns the page.

    Args:
        comparison: what it says.
        figure: a PNG of the maps, which becomes part of the page.
    """
    return rendered(TEMPLATE, **_values(comparison, figure))


def _values(comparison: Comparison, figure: Path | None) -> dict[str, Any]:
    return {
        "comparison": comparison,
        "figures": figures_lines(comparison),
        "differences": difference_lines(comparison) if len(comparison.names) > 1 else [],
        "picture": "" if figure is None else encoded(figure),
        "level": f"{LEVEL:.0%}",
    }
