"""The last stage of a training that needs no gradients: discriminants, stacking, calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from herbzoo.build import place
from herbzoo.calibration import Calibration
from herbzoo.data.records import FIELD
from herbzoo.discriminant import check_discriminant, field_direction, fit_discriminant
from herbzoo.evaluation.calibrate import FEWEST, learned
from herbzoo.evaluation.score_spool import ScoreSpool
from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification
from herbzoo.prepared import EVALUATION_BATCH, Hardware, Prepared, kept_features
from herbzoo.stacking import (
    Contest,
    Round,
    Stacking,
    as_in_use,
    choose_offset,
    turns,
    withheld,
)

CALIBRATED_ON = "field photos withheld from the training"


def check_closed_form(prepared: Prepared) -> None:
    """Refuses what `settle` could not do, before anything is computed or written.

    Raises:
        RecipeError: if neck or head cannot be set in closed form.
        DataError: if too few species or field photos are there to learn an offset from.
    """
    if prepared.recipe.training.discriminant:
        check_discriminant(prepared.model)
    if prepared.recipe.training.stacking_species:
        for turn in turns(prepared.recipe.training):
            withheld(prepared, turn)


@dataclass(frozen=True)
class Settled:
    """What was found on withheld training rows."""

    stacking: Stacking
    calibration: Calibration | None
    """`None` if there are too few rows."""


def settle(
    prepared: Prepared, device: torch.device, hardware: Hardware, report: Callable[[str], None]
) -> Settled | None:
    """Sets neck, class means and, if the recipe wants it, stacking, from the training images.

    Args:
        prepared: the model, on its device, its backbone as it stays.
        device: where to compute features.
        hardware: workers.
        report: takes a line about what is going on.

    Returns:
        What withheld rows say; `None` without stacking.
    """
    model, optim = prepared.model, prepared.recipe.training
    train = prepared.split.train
    model.hold_backbone(True)
    model.eval()
    report("computing the features of the training images, or reading those kept")
    rows = kept_features(prepared, prepared.training_rows(train), device, hardware, report)
    labels = torch.from_numpy(rows.labels)
    field = torch.tensor((train.column("basisOfRecord") == FIELD).to_numpy(dtype=bool))
    model.cpu()

    def fit(chosen: Tensor) -> Tensor:
        """Fits on some of the images; returns which classes have no field photo among them."""
        fit_discriminant(model, rows.features, labels, field, chosen)
        known = torch.bincount(labels[chosen & field], minlength=len(prepared.taxonomy))
        return known == 0

    every = torch.ones(len(labels), dtype=torch.bool)
    if not optim.stacking_species:
        fit(every)
        place(model, device)
        return None
    added = model.add_stacking()
    direction, intercept = field_direction(rows.features[0], field)
    added.direction.copy_(direction)
    added.intercept.fill_(intercept)
    without = torch.bincount(labels[field], minlength=len(prepared.taxonomy)) == 0
    parts = [withheld(prepared, turn) for turn in turns(optim)]
    share = float(without.float().mean())
    mixed = [torch.from_numpy(some) for some in as_in_use(parts, share, prepared.recipe.seed)]
    contests, favoured = [], []
    with ScoreSpool(len(prepared.taxonomy)) as scores:
        for part, photos in zip(parts, mixed, strict=True):
            mask = torch.from_numpy(part.rows)
            favoured.append(fit(~mask))
            unseen = torch.from_numpy(part.unseen)[mask]
            contests.append(
                _contest(model, rows.features[0, mask], labels[mask], unseen, favoured[-1])
            )
            for features in rows.features[0, photos].split(EVALUATION_BATCH):
                scores.append(_scores(model, features))
        offset, before_after = choose_offset(contests)
        calibration = _calibrated(
            prepared, scores, rows.features[0], mixed, offset * torch.stack(favoured)
        )
    rounds = tuple(
        Round(part.species, int(part.unseen.sum()), part.seen_count, *pair)
        for part, pair in zip(parts, before_after, strict=True)
    )
    stacking = Stacking(offset, int(without.sum()), rounds)
    fit(every)
    added.offsets.copy_(offset * without)
    report(_line(stacking))
    place(model, device)
    return Settled(stacking, calibration)


def _calibrated(
    prepared: Prepared,
    scores: ScoreSpool,
    features: Tensor,
    photos: Sequence[Tensor],
    offsets: Tensor,
) -> Calibration | None:
    """Learns a calibration from withheld photos.

    Args:
        prepared: what is trained.
        scores: `[N, C]` before stacking.
        features: `[training rows, F]`.
        photos: for each round, the training rows it scored.
        offsets: for each round, those of its stacking, `[rounds, C]`.
    """
    if len(scores) < FEWEST:
        return None
    stacking = prepared.model.stacking
    assert stacking is not None
    rows = torch.cat(list(photos))
    turn = torch.repeat_interleave(torch.tensor([len(part) for part in photos]))
    field = stacking.field_probability(features[rows])
    with ScoreSpool(len(prepared.taxonomy)) as stacked:
        for part, logits in scores.chunks():
            stacked.append(logits + field[part].unsqueeze(1) * offsets[turn[part]])
        chosen = prepared.split.train.select(rows.numpy())
        return learned(stacked, chosen, prepared.taxonomy, CALIBRATED_ON)


def _contest(
    model: HerbForImageClassification,
    features: Tensor,
    labels: Tensor,
    unseen: Tensor,
    favoured: Tensor,
) -> Contest:
    """Scores withheld rows, some at a time: all scores of thousands of species would be many."""
    pieces = (tensor.split(EVALUATION_BATCH) for tensor in (features, labels, unseen))
    return Contest.joined(
        [
            Contest.of(_scores(model, some), truth, new, favoured)
            for some, truth, new in zip(*pieces, strict=True)
        ]
    )


@torch.inference_mode()
def _scores(model: HerbForImageClassification, features: Tensor) -> Tensor:
    """Returns scores `[B, C]` before stacking."""
    scores: Tensor = model.head.logits(model.embed(None, features))
    return scores


def _line(stacking: Stacking) -> str:
    before, after = (
        sum(getattr(turn, key) for turn in stacking.rounds) / len(stacking.rounds)
        for key in ("before", "after")
    )
    return (
        f"stacking: {stacking.offset:.2f} for {stacking.favoured} species without field photos; "
        f"on withheld species the harmonic mean goes from {before:.3f} to {after:.3f}"
    )
