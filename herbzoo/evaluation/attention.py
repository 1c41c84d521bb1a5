"""Where a model looked in some of the rows it was measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from herbzoo.data.records import HERBARIUM
from herbzoo.data.zones import find_zones
from herbzoo.errors import HerbzooError
from herbzoo.evaluation.figures.look import NothingToDraw
from herbzoo.explanations.explanation import PARTS, Explanation, ZoneShares, zone_shares

if TYPE_CHECKING:
    from herbzoo.evaluation.evaluated import Evaluated
    from herbzoo.evaluation.protocols import Progress
    from herbzoo.inference import Identifier

SHEETS = 12
"""Herbarium sheets over which the shares of the zones are averaged."""
EXAMPLES = 2
"""Images named right that are shown, and as many named wrong."""
FILES = "looked_*.png"


@dataclass(frozen=True)
class Looked:
    """What was found, and pictures of it."""

    shares: dict[str, Any]
    """What `metrics.json` holds: `method`, `sheets`, and the mean `attention` and `area` of each
    zone over the sheets in which zones were found; empty without such sheets."""
    figures: tuple[tuple[Path, str], ...]
    """With what to say of them."""


def looked(
    identifier: Identifier,
    evaluated: Evaluated,
    folder: Path,
    progress: Progress,
    *,
    workers: int = -1,
    seed: int = 0,
) -> Looked:
    """Explains rows drawn at random: herbarium sheets, and some named right and wrong.

    Figures that an earlier evaluation left in the folder are deleted.

    Args:
        identifier: the model.
        evaluated: the rows, and what the model made of them.
        folder: of the figures; it is made.
        progress: shows how far it is.
        workers: processes that decode images; 0 is none, -1 chooses.
        seed: of the draw.

    Raises:
        NothingToDraw: if the model cannot be explained.
    """
    from herbzoo.explanations.explainer import Explainer
    from herbzoo.explanations.figure import write_figure
    from herbzoo.image_batches import Failure

    for old in folder.glob(FILES):
        old.unlink()
    sheets, examples = _drawn(evaluated, seed)
    rows = np.union1d(sheets, examples)
    found: dict[int, Explanation] = {}
    try:
        explainer = Explainer(identifier)
        with progress("explaining", len(rows)) as advance:
            collection = evaluated.collection.select(rows)
            explained = explainer.explained(collection, workers=workers)
            for row, one in zip(rows.tolist(), explained, strict=True):
                if not isinstance(one, Failure):
                    found[row] = one
                advance(1)
    except HerbzooError as error:
        raise NothingToDraw(str(error)) from error
    zones = {row: find_zones(one.image, one.domain) for row, one in found.items()}
    folder.mkdir(parents=True, exist_ok=True)
    names = evaluated.collection.column("scientificName").to_numpy(dtype=object)
    right = evaluated.outcomes.right
    figures = []
    for number, row in enumerate((row for row in examples.tolist() if row in found), 1):
        path = write_figure(folder / f"looked_{number}.png", found[row], zones[row])
        taken = found[row].taxon.scientificName
        said = f"{taken}, named right." if right[row] else f"{names[row]}, taken for {taken}."
        figures.append((path, said))
    shares = [zone_shares(found[row], zones[row]) for row in sheets.tolist() if zones.get(row)]
    return Looked(_mean(shares, explainer.method), tuple(figures))


def _drawn(evaluated: Evaluated, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sheets to average over, and the examples: those named right, then the others."""
    order = np.random.default_rng(seed).permutation(len(evaluated))
    domains = evaluated.collection.column("basisOfRecord").to_numpy(dtype=object)
    right = evaluated.outcomes.right[order]
    examples = np.concatenate([order[right][:EXAMPLES], order[~right][:EXAMPLES]])
    return order[domains[order] == HERBARIUM][:SHEETS], examples


def _mean(shares: Sequence[ZoneShares], method: str) -> dict[str, Any]:
    told = [one for one in shares if not np.isnan(one.attention[PARTS[0]])]
    if not told:
        return {}
    return {
        "method": method,
        "sheets": len(told),
        **{
            kind: {
                part: float(np.mean([getattr(one, kind)[part] for one in told])) for part in PARTS
            }
            for kind in ("attention", "area")
        },
    }
