"""A map of embeddings as SVG: it follows the page's colours and width, and names its points."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np

from herbzoo.data.records import FIELD
from herbzoo.demo.wording import count, name_html, percent
from herbzoo.evaluation.embedding_map import EmbeddingMap, MapNumbers
from herbzoo.evaluation.map_figure import most_frequent

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), without black, which a dark page
# would swallow, and in an order in which neighbours differ in lightness too.
_PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999933", "#F0E442")
_SIDE = 1000
_EDGE = 30
_RADIUS = 8


def maps_html(maps: Mapping[str, EmbeddingMap]) -> str:
    """Returns maps of the same sheets side by side, later ones turned to lie like the first.

    Args:
        maps: by the name of the run.
    """
    first = next(iter(maps.values()))
    coloured = dict(zip(most_frequent(first)[: len(_PALETTE)], _PALETTE, strict=False))
    panels = "".join(
        _panel(name, found if found is first else found.turned_to(first), coloured)
        for name, found in maps.items()
    )
    kinds = len(np.unique(first.species.astype(str)))
    entries = [
        f'<li><i style="background:{colour}"></i>{name_html(name)}</li>'
        for name, colour in coloured.items()
    ]
    if kinds > len(coloured):
        others = count(kinds - len(coloured), "other species", "other species")
        entries.append(f'<li><i class="hz-others"></i>{others}</li>')
    if (first.domains == FIELD).any():
        entries.append("<li>● sheet ▲ field photo</li>")
    legend = f'<ul class="hz-map-legend">{"".join(entries)}</ul>'
    return f'<div class="hz-maps">{panels}</div>{legend}'


def _panel(name: str, found: EmbeddingMap, coloured: Mapping[str, str]) -> str:
    low, extent = found.points.min(axis=0), np.ptp(found.points, axis=0)
    scale = (_SIDE - 2 * _EDGE) / max(float(extent.max()), 1e-9)
    points = _EDGE + scale * (found.points - low)
    width, height = (round(2 * _EDGE + scale * float(side)) for side in extent)
    order = sorted(range(len(points)), key=lambda one: found.species[one] in coloured)
    marks = "".join(
        _mark(points[row], str(found.species[row]), str(found.domains[row]), coloured)
        for row in order
    )
    said = in_words(found.numbers)
    alt = f"Map of {len(points)} embeddings of {name}. {said}"
    return (
        f'<figure class="hz-plate hz-map"><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(alt)}">{marks}</svg>'
        f"<figcaption><strong>{escape(name)}</strong><span>{escape(said)}</span></figcaption></figure>"
    )


def _mark(point: np.ndarray, species: str, domain: str, coloured: Mapping[str, str]) -> str:
    x, y = float(point[0]), float(point[1])
    colour = coloured.get(species, "")
    paint = f'fill="{colour}"' if colour else 'class="hz-others"'
    title = f"<title>{escape(species)}</title>"
    if domain == FIELD:
        corners = f"{x:.0f},{y - 10:.0f} {x - 9:.0f},{y + 7:.0f} {x + 9:.0f},{y + 7:.0f}"
        return f'<polygon points="{corners}" {paint}>{title}</polygon>'
    return f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{_RADIUS}" {paint}>{title}</circle>'


def in_words(numbers: MapNumbers) -> str:
    """Returns what must be known of the embeddings before the map is believed."""
    said = []
    if numbers.purity is not None and numbers.purity_chance is not None:
        said.append(
            f"Of the {numbers.neighbours} nearest sheets {percent(numbers.purity)} are of the same "
            f"species; at random it would be {percent(numbers.purity_chance)}."
        )
    if numbers.cross_purity is not None and numbers.cross_purity_chance is not None:
        said.append(
            f"Across sheets and field photos it is {percent(numbers.cross_purity)}; at random "
            f"{percent(numbers.cross_purity_chance)}."
        )
    said.append(f"{count(numbers.n, 'sheet', 'sheets')}. Distances on the map are bent.")
    return " ".join(said)
