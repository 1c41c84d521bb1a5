"""How much of a model's answers comes from the plant, and how much from the rest of the sheet.

The same model names the same sheets four times: whole; with labels, barcodes, colour cards and
border hidden; with everything but these hidden; and with nothing left but the border. A model that
looks at plants loses little without the margins and is lost with nothing but them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from herbzoo.data.gatherings import gatherings
from herbzoo.data.masking import VIEWS, ZonedImages
from herbzoo.data.records import HERBARIUM, Collection
from herbzoo.errors import DataError
from herbzoo.evaluation.evaluated import coded_truth
from herbzoo.evaluation.institution_probe import probe, probe_rows
from herbzoo.evaluation.intervals import statistics
from herbzoo.evaluation.outcomes import Outcomes
from herbzoo.evaluation.ranking import ScoreAccumulator
from herbzoo.evaluation.resampling import Draws, Interval
from herbzoo.evaluation.text_table import aligned

if TYPE_CHECKING:
    from herbzoo.data.zone_table import ZoneTable
    from herbzoo.inference import Identifier

DEFINITION = (
    "top-1 from the margins alone less the share of the most frequent species, divided by the same "
    "of the whole sheet: 0 where the margins tell nothing, 1 where they tell as much as the sheet"
)
"""What `margin_reliance` is."""
PROBED = ("whole", "plant")
"""The views whose embeddings are probed for the institution."""
LABELS = {
    "whole": "whole sheet",
    "plant": "plant alone",
    "margins": "margins alone",
    "border": "border alone",
}
"""What people call the views."""


@dataclass(frozen=True)
class _Seen:
    """What the model says of one view of every sheet."""

    rows: np.ndarray
    outcomes: Outcomes
    embeddings: dict[int, np.ndarray]


def audited_rows(collection: Collection) -> Collection:
    """Returns the named herbarium sheets of a collection, which are all that is audited.

    Where no row says what it shows, all rows are taken for sheets, and those that do not look like
    one have no margins.

    Raises:
        DataError: if there are none.
    """
    basis = collection.column("basisOfRecord")
    named = collection.column("scientificName") != ""
    sheets = (basis == HERBARIUM) if (basis == HERBARIUM).any() else (basis == "")
    chosen = (sheets & named).to_numpy(dtype=bool)
    if chosen.any():
        return collection.select(chosen)
    found = ", ".join(f"{value!r}" for value in basis.unique()[:5])
    raise DataError(
        f"a leak audit is of herbarium sheets, and {collection.name} has none with a name among "
        f"these {len(collection):,} rows: basisOfRecord is {found}, not {HERBARIUM!r}"
    )


def leak_audit(
    identifier: Identifier,
    collection: Collection,
    *,
    zones: ZoneTable | None = None,
    batch_size: int = 32,
    workers: int = -1,
    seed: int = 0,
    progress: Callable[[int], object] = lambda images: None,
) -> dict[str, Any]:
    """Audits a model on the herbarium sheets of a collection.

    Args:
        identifier: the model.
        collection: rows it was not trained on; others than herbarium sheets are left out.
        zones: boxes from elsewhere for the sheets they know, instead of finding them.
        batch_size: images that go through the model together.
        workers: processes that decode images; 0 is none, -1 chooses.
        seed: of the intervals and of the folds of the probe.
        progress: told how many more pictures are done; there are four of every sheet.

    Returns:
        What `metrics.json` holds under `leak_audit`. Figures are `{"value", "low", "high"}` with a
        95% interval over gatherings.

    Raises:
        DataError: if there are no herbarium sheets, or none can be read.
    """
    sheets = audited_rows(collection)
    truth = coded_truth(sheets, identifier.taxonomy)
    groups = gatherings(sheets.frame)
    to_probe, problem = probe_rows(sheets.frame, groups, seed)
    wanted = set(to_probe.tolist())
    views = {
        view: _look(
            identifier,
            replace(sheets, images=view_of(sheets, view, zones)),
            truth,
            wanted if view in PROBED else set(),
            batch_size,
            workers,
            progress,
        )
        for view in VIEWS
    }
    rows = views["whole"].rows
    if not len(rows):
        raise DataError(f"none of the {len(sheets):,} sheets of {sheets.name} can be read")
    draws = Draws(groups[rows], seed)
    majority = float(np.unique(truth[rows], return_counts=True)[1].max() / len(rows))
    audit: dict[str, Any] = {
        "n": len(rows),
        "species": len(np.unique(truth[rows])),
        "gatherings": len(np.unique(groups[rows])),
        "chance": 1 / len(identifier.taxonomy),
        "majority": majority,
        "views": {view: _figures(seen.outcomes, draws) for view, seen in views.items()},
        "margin_reliance": _reliance(views, draws),
    }
    kept = np.array([row for row in to_probe.tolist() if row in set(rows.tolist())], dtype=np.int64)
    if problem:
        audit["institution"] = {"skipped": problem}
    else:
        names = sheets.frame["institutionCode"].to_numpy(dtype=object)[kept]
        species = sheets.frame["scientificName"].to_numpy(dtype=object)[kept]
        embeddings = {
            view: np.stack([views[view].embeddings[row] for row in kept.tolist()])
            for view in PROBED
        }
        audit["institution"] = probe(embeddings, names, species, groups[kept], seed)
    return audit


def view_of(sheets: Collection, view: str, zones: ZoneTable | None = None) -> ZonedImages:
    """Returns a source of one view of the sheets of a collection."""
    keys, domains = sheets.frame["image"].tolist(), sheets.frame["basisOfRecord"].tolist()
    return ZonedImages(sheets.images, view, dict(zip(keys, domains, strict=True)), zones)


def _look(
    identifier: Identifier,
    sheets: Collection,
    truth: np.ndarray,
    wanted: set[int],
    batch_size: int,
    workers: int,
    progress: Callable[[int], object],
) -> _Seen:
    accumulator = ScoreAccumulator()
    readable = [np.empty(0, dtype=np.int64)]
    embeddings: dict[int, np.ndarray] = {}
    done = 0
    for batch in identifier.scored(sheets, batch_size, workers):
        accumulator.update(batch.logits, truth[batch.rows])
        readable.append(batch.rows)
        for row, embedding in zip(batch.rows.tolist(), batch.embeddings.numpy(), strict=True):
            if row in wanted:
                embeddings[row] = embedding
        progress(batch.end - done)
        done = batch.end
    return _Seen(np.concatenate(readable), accumulator.outcomes(), embeddings)


def _figures(outcomes: Outcomes, draws: Draws) -> dict[str, Any]:
    known = statistics(outcomes)
    names = ("top1", "top5", "macro_f1")
    return {"n": len(outcomes)} | {
        name: Interval.of(known[name], draws).as_dict() for name in names
    }


def _reliance(views: dict[str, _Seen], draws: Draws) -> dict[str, Any]:
    """Returns the headline; without a value where the model beats no constant answer."""
    margins = (views["margins"].outcomes.rank <= 1).astype(float)
    whole = (views["whole"].outcomes.rank <= 1).astype(float)
    _, species = np.unique(views["whole"].outcomes.truth, return_inverse=True)

    def statistic(weights: np.ndarray) -> float:
        total = weights.sum()
        usual = np.bincount(species, weights).max() / total
        beyond = weights @ whole / total - usual
        if beyond <= 0:
            return float("nan")
        return max(0.0, float((weights @ margins / total - usual) / beyond))

    interval = Interval.of(statistic, draws)
    if not np.isfinite(interval.value):
        why = "the whole sheet is named no better than by always giving the most frequent species"
        return {"value": None, "low": None, "high": None, "definition": DEFINITION, "reason": why}
    return {**interval.as_dict(), "definition": DEFINITION}


def audit_table(audit: dict[str, Any]) -> str:
    """Returns an audit as lines for people."""
    lines: list[tuple[str, ...]] = [("", "n", "top-1", "top-5", "macro-F1")]
    for view, figures in audit["views"].items():
        shares = (_with_interval(figures[key]) for key in ("top1", "top5", "macro_f1"))
        lines.append((LABELS[view], f"{figures['n']:,}", *shares))
    lines.append(("most frequent species", "", f"{audit['majority']:.3f}", "", ""))
    lines.append(("chance", "", f"{audit['chance']:.3f}", "", ""))
    reliance = audit["margin_reliance"]
    headline = (
        f"not to be had: {reliance['reason']}"
        if reliance["value"] is None
        else f"{_with_interval(reliance)}\n  ({reliance['definition']})"
    )
    return "\n".join([aligned(lines), f"margin reliance: {headline}", _institution_line(audit)])


def _institution_line(audit: dict[str, Any]) -> str:
    found = audit["institution"]
    if "skipped" in found:
        return f"institution: not probed, {found['skipped']}"
    told = ", ".join(
        f"{_with_interval(share)} from the embedding of the {LABELS[view]}"
        for view, share in found["from_embedding"].items()
    )
    return (
        f"institution ({len(found['institutions'])} of them, {found['n']:,} sheets) told right: "
        f"{told}; {_with_interval(found['from_species'])} from the species, "
        f"{found['majority']:.3f} by always giving the largest"
    )


def _with_interval(figure: dict[str, float]) -> str:
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
