"""The report of an evaluation: figures beside it, and all of it in one page that needs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from herbzoo.data.class_figure import FILE_NAME as CLASS_FILE
from herbzoo.data.class_figure import class_figure
from herbzoo.data.describe import describe
from herbzoo.data.records import Collection
from herbzoo.errors import RecipeError
from herbzoo.evaluation.class_counts import Answers
from herbzoo.evaluation.evaluated import Evaluated
from herbzoo.evaluation.figures import (
    confusion,
    neighbours,
    reliability,
    risk_coverage,
    species_f1,
    training_curves,
)
from herbzoo.evaluation.figures.look import NothingToDraw, write_png
from herbzoo.evaluation.leak_figure import FILE_NAME as LEAK_FILE
from herbzoo.evaluation.metrics import METRIC_NAMES
from herbzoo.evaluation.outcomes import Outcomes
from herbzoo.evaluation.page import encoded, write_page
from herbzoo.evaluation.report_tables import overall_table, sections, shown, species_tables
from herbzoo.evaluation.strata import training_counts
from herbzoo.recipe import FILE_NAME as RECIPE_FILE
from herbzoo.recipe import Recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE_NAME = "report.html"
FIGURES = "figures"
TRAIN_CLASS_FILE = "class_distribution_train.png"


@dataclass(frozen=True)
class Picture:
    """A figure that is there as a PNG."""

    title: str
    path: Path
    caption: str


@dataclass(frozen=True)
class LeftOut:
    """A figure that is not there."""

    title: str
    reason: str


@dataclass(frozen=True)
class _Plan:
    """A figure that is drawn if the input allows."""

    title: str
    file_name: str
    caption: str
    draw: Callable[[], Figure]


def write_report(
    folder: Path,
    evaluated: Evaluated,
    metrics: dict[str, Any],
    *,
    run: Path | None,
    train: Collection | None,
    gallery: Callable[[], Evaluated] | None = None,
    before: Outcomes | None = None,
    thresholds: Mapping[str, tuple[float, float]] | None = None,
    more: Sequence[Picture | LeftOut] = (),
) -> Path:
    """Draws what can be drawn into `folder/figures` and writes `folder/report.html`.

    Figures of an earlier evaluation that cannot be drawn now are deleted, as they would contradict
    the page.

    Args:
        folder: where to write; it is made.
        evaluated: the rows and what the model made of them; with embeddings, if their neighbours
            are to be shown.
        metrics: what `metrics.json` holds; all of it is shown.
        run: the run folder, for the course of its training; `None` if it is not here.
        train: the rows the model learned from, if they are known.
        gallery: returns rows with embeddings whose sheets are looked up, such as training rows, or
            raises `NothingToDraw`.
        before: outcomes of the same rows before calibration.
        thresholds: by label, coverage and risk measured at a chosen threshold.
        more: other figures, already written, or why they are not there.

    Returns:
        The page's path.
    """
    plans = _plans(evaluated, metrics, run, train, gallery, before, thresholds)
    pictures, left_out = _draw(folder / FIGURES, plans)
    leak = folder / FIGURES / LEAK_FILE
    if "leak_audit" in metrics and leak.is_file():
        caption = "Sheets as the model saw them, and what it made of each view."
        pictures.append(Picture("Leak audit", leak, caption))
    pictures += [one for one in more if isinstance(one, Picture)]
    left_out += [one for one in more if isinstance(one, LeftOut)]
    values = _values(evaluated, metrics, run, pictures, left_out)
    return write_page(folder / FILE_NAME, "report.html.j2", **values)


def _plans(
    evaluated: Evaluated,
    metrics: Mapping[str, Any],
    run: Path | None,
    train: Collection | None,
    gallery: Callable[[], Evaluated] | None,
    before: Outcomes | None,
    thresholds: Mapping[str, tuple[float, float]] | None,
) -> list[_Plan]:
    outcomes = evaluated.outcomes
    training = training_counts(evaluated.taxonomy)
    split = metrics.get("split", "evaluated")
    return [
        _Plan(
            "F1 by number of training images",
            species_f1.FILE_NAME,
            "A dot is a species. Few, medium and many are bounded as by Liu et al. 2019 "
            "(arXiv:1904.05160).",
            lambda: species_f1.species_f1_figure(
                Answers(outcomes.truth, outcomes.predicted).counts(), training
            ),
        ),
        _Plan(
            "Most confused species",
            confusion.FILE_NAME,
            "Both directions of a pair are counted. The mistake shown is the one that the model "
            "was surest of, beside a training image of the species it was taken for.",
            lambda: confusion.confusion_figure(evaluated, train),
        ),
        _Plan(
            "Nearest herbarium sheets",
            neighbours.FILE_NAME,
            "A solid frame and ✓ mark the same species, a dashed frame and ✗ another.",
            lambda: _neighbours(evaluated, gallery),
        ),
        _Plan(
            "Reliability",
            reliability.FILE_NAME,
            "Bars on the dashed line are as often right as they are sure. The expected "
            "calibration error (ECE) is the mean of the hatched gaps, weighed by answers.",
            lambda: reliability.reliability_figure(outcomes, before),
        ),
        _Plan(
            "Risk and coverage",
            risk_coverage.FILE_NAME,
            "Answers are given from the surest on. The area is the mean risk over all coverages; "
            "lower is better.",
            lambda: risk_coverage.risk_coverage_figure(outcomes, thresholds),
        ),
        _Plan(
            "Course of the training",
            training_curves.FILE_NAME,
            "Training loss is over augmented images, validation loss over images as they are.",
            lambda: _curves(run),
        ),
        _Plan(
            "Classes that were evaluated",
            CLASS_FILE,
            "Images a species by domain.",
            lambda: _classes(evaluated.collection, f"{split} rows"),
        ),
        _Plan(
            "Classes that were learned",
            TRAIN_CLASS_FILE,
            "Images a species by domain.",
            lambda: _classes(train, "train rows"),
        ),
    ]


def _draw(folder: Path, plans: Sequence[_Plan]) -> tuple[list[Picture], list[LeftOut]]:
    pictures, left_out = [], []
    for plan in plans:
        path = folder / plan.file_name
        try:
            write_png(plan.draw(), path)
        except NothingToDraw as reason:
            path.unlink(missing_ok=True)
            left_out.append(LeftOut(plan.title, str(reason)))
        else:
            pictures.append(Picture(plan.title, path, plan.caption))
    return pictures, left_out


def _neighbours(evaluated: Evaluated, gallery: Callable[[], Evaluated] | None) -> Figure:
    if gallery is None:
        raise NothingToDraw("there are no embeddings of training rows")
    return neighbours.neighbours_figure(evaluated, gallery())


def _curves(run: Path | None) -> Figure:
    curves = None if run is None else training_curves.read_curves(run)
    if curves is None:
        raise NothingToDraw("the run has no logs here")
    return training_curves.training_curves_figure(curves)


def _classes(collection: Collection | None, which: str) -> Figure:
    if collection is None:
        raise NothingToDraw("it is not known which rows the model learned from")
    name = f"{_last_part(collection.name)}, {which}"
    description = describe(replace(collection, name=name))
    if not description.species:
        raise NothingToDraw("no row has a name")
    return class_figure(description)


def _values(
    evaluated: Evaluated,
    metrics: Mapping[str, Any],
    run: Path | None,
    pictures: Sequence[Picture],
    left_out: Sequence[LeftOut],
) -> dict[str, Any]:
    return dict(
        model=run.resolve().name if run is not None else "a model",
        made_of=_made_of(run),
        data=_last_part(str(metrics.get("data", evaluated.collection.name))),
        protocol=str(metrics.get("protocol", "standard")).replace("_", " "),
        split=str(metrics.get("split", "")),
        images=int(metrics.get("n", len(evaluated))),
        species=len(np.unique(evaluated.outcomes.truth)),
        unknown=metrics["overall"].get("unknown", 0),
        unreadable=metrics.get("unreadable", 0),
        tiles=list(_tiles(metrics)),
        overall=overall_table(metrics),
        sections=sections(metrics),
        species_tables=species_tables(evaluated),
        pictures=[(each, _data_uri(each.path)) for each in pictures],
        left_out=left_out,
        made_with=f"herbzoo {version('herbzoo')}",
    )


def _tiles(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yields name, value and interval of the figures that stand for all."""
    intervals = metrics.get("intervals", {})
    for key, name in METRIC_NAMES.items():
        if key in metrics["overall"]:
            own = intervals.get(key)
            ends = own if isinstance(own, Mapping) and {"low", "high"} <= set(own) else None
            between = "" if ends is None else f"{shown(ends['low'])} to {shown(ends['high'])}"
            yield name, shown(metrics["overall"][key]), between


def _made_of(run: Path | None) -> str:
    """Says of which parts a model is, if its recipe is there."""
    if run is None:
        return ""
    try:
        recipe = Recipe.load(run / RECIPE_FILE)
    except RecipeError:  # not trained by `herbzoo train`
        return ""
    return (
        f"backbone {recipe.backbone.name}, head {recipe.head.name}, images of "
        f"{recipe.image.size} pixels, seed {recipe.seed}"
    )


def _last_part(name: str) -> str:
    """Returns what the data are called, without the path of somebody's disk."""
    return Path(name).name or name


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + encoded(path)
