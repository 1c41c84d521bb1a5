"""The herbarium sheets nearest to some field photos, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from herbzoo.data.describe import DOMAINS, domain_of
from herbzoo.data.records import FIELD, HERBARIUM, Collection
from herbzoo.errors import DataError
from herbzoo.evaluation.evaluated import Evaluated
from herbzoo.evaluation.figures.look import BLUE, INK, VERMILION, NothingToDraw, new_figure, plain
from herbzoo.evaluation.figures.picture import show_picture
from herbzoo.evaluation.retrieval import retrieve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILE_NAME = "neighbours.png"
EXAMPLES = 3
"""Photos that are named right, and as many that are named wrong."""
NEAREST = 4
MOST_QUERIES = 1000
"""Photos that are looked up for the figure's number and drawn from for its examples."""
_RIGHT, _WRONG = "✓", "✗"


@dataclass(frozen=True)
class _Part:
    """The rows of a collection that are compared, and what they are called."""

    rows: np.ndarray
    one: str
    many: str


_PARTS = {
    DOMAINS[FIELD]: ("field photo", "field photos"),
    DOMAINS[HERBARIUM]: ("herbarium sheet", "herbarium sheets"),
}


def neighbours_figure(
    queries: Evaluated, gallery: Evaluated, *, examples: int = EXAMPLES, seed: int = 0
) -> Figure:
    """Draws field photos, drawn at random among those named right and wrong, with nearest sheets.

    Where the queries hold no field photo, or the gallery no herbarium sheet, all their images are
    taken. An image is never compared with itself.

    Args:
        queries: rows with embeddings.
        gallery: rows with embeddings, such as the training rows.
        examples: photos of each kind; fewer where there are not so many.
        seed: of the choice.

    Raises:
        NothingToDraw: if embeddings are missing, or nothing is left to compare.
    """
    if queries.embeddings is None or gallery.embeddings is None:
        raise NothingToDraw("no embeddings were kept")
    asked = _part(queries.collection, DOMAINS[FIELD], "image", "images")
    offered = _part(gallery.collection, DOMAINS[HERBARIUM], "training image", "training images")
    asked_rows = np.random.default_rng(seed).permutation(asked.rows)[:MOST_QUERIES]
    photos = queries.select(asked_rows)
    own = set(photos.collection.frame["image"])
    others = ~gallery.collection.frame["image"].iloc[offered.rows].isin(own).to_numpy(dtype=bool)
    sheets = gallery.select(offered.rows[others])
    assert photos.embeddings is not None and sheets.embeddings is not None
    names = photos.collection.column("scientificName").to_numpy(dtype=object)
    species = sheets.collection.column("scientificName").to_numpy(dtype=object)
    try:
        found = retrieve(photos.embeddings, sheets.embeddings, names, species)
    except DataError as error:
        raise NothingToDraw(str(error)) from error
    chosen = _chosen(photos.outcomes.right, names, examples)
    shown = min(NEAREST, found.nearest.shape[1])
    title = (
        f"Of {found.gallery:,} {offered.many} the nearest to {len(chosen)} {asked.many}, by cosine "
        "of the embeddings\n"
        f"The nearest is of the right species for {found.recall_at(1):.0%} of {found.queries:,} "
        f"{asked.many}; shown are some drawn at random, named right and wrong"
    )
    figure = new_figure(0.75 + 2.45 * len(chosen), title)
    axes = figure.subplots(len(chosen), 1 + shown, squeeze=False, width_ratios=[1.15] + shown * [1])
    labels = queries.taxonomy.labels_in_order()
    for line, row in zip(axes, chosen, strict=True):
        _query(line[0], photos, row, labels, asked.one)
        near = zip(found.nearest[row], found.similarity[row], strict=True)
        for place, (axis, (sheet, cosine)) in enumerate(zip(line[1:], near, strict=False), 1):
            same = bool(species[sheet] == names[row])
            show_picture(
                axis, sheets.collection, sheet, frame=BLUE if same else VERMILION, dashed=not same
            )
            text = f"{place}. {plain(str(species[sheet]), 26)}\n{_mark(same)}, cosine {cosine:.2f}"
            axis.set_title(text, fontsize=8, color=INK)
    return figure


def _part(collection: Collection, domain: str, one: str, many: str) -> _Part:
    """Returns the rows of a domain, or all if there are none."""
    basis = collection.column("basisOfRecord")
    inside = basis.map({value: domain_of(value) for value in basis.unique()}) == domain
    if inside.any():
        return _Part(np.flatnonzero(inside), *_PARTS[domain])
    return _Part(np.arange(len(collection)), one, many)


def _chosen(right: np.ndarray, names: Sequence[str] | np.ndarray, examples: int) -> list[int]:
    """Takes the first of each kind, of different species as far as there are so many."""
    chosen: list[int] = []
    for kind in (True, False):
        rows = np.flatnonzero(right == kind).tolist()
        first: dict[str, int] = {}
        for row in rows:
            first.setdefault(names[row], row)
        several = set(first.values())
        chosen += [*first.values(), *(row for row in rows if row not in several)][:examples]
    return chosen


def _query(axis: Axes, photos: Evaluated, row: int, labels: Sequence[str], what: str) -> None:
    predicted, right = int(photos.outcomes.predicted[row]), bool(photos.outcomes.right[row])
    truth = plain(str(photos.collection.frame["scientificName"].iloc[row]), 30)
    answer = plain(labels[predicted], 24) if 0 <= predicted < len(labels) else "no answer"
    confidence = photos.outcomes.confidence[row]
    said = f"{_RIGHT} named right" if right else f"{_WRONG} named {answer}"
    sure = f" ({confidence:.0%})" if np.isfinite(confidence) else ""
    show_picture(axis, photos.collection, row, frame=INK)
    axis.set_title(f"{what}\n{truth}\n{said}{sure}", fontsize=8, color=INK)


def _mark(same: bool) -> str:
    return f"{_RIGHT} same species" if same else f"{_WRONG} another"
