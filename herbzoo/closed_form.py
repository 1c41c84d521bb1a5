"""The last stage of a training that needs no gradients: discriminants, stacking, calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from herbzoo.build import place
from herbzoo.calibration import Calibration
from herbzoo.data.records import FIELD
from herbzoo.discriminant import check_discriminant, field_direction, fit_discriminant
from herbzoo.errors import RecipeError
from herbzoo.evaluation.calibrate import FEWEST, learned, most_rows
from herbzoo.evaluation.score_spool import ScoreSpool
from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification
from herbzoo.prepared import EVALUATION_BATCH, Hardware, Prepared, kept_features
from herbzoo.stacking import (
    Contest,
    Round,
    Stacking,
    Withheld,
    as_in_use,
    choose_offset,
    turns,
    withheld,
)

HUBNESS = (0.0, 0.5, 1.0)
"""How much of what names have in common with the mean image is tried to be taken off."""
CALIBRATED_ON = "field photos withheld from the training"


def check_closed_form(prepared: Prepared) -> None:
    """Refuses what `settle` could not do, before anything is computed or written.

    Raises:
        RecipeError: if neck or head cannot be set in closed form.
        DataError: if too few species or field photos are there to learn an offset from.
    """
    if prepared.recipe.training.discriminant:
        check_discriminant(prepared.model)
    optim, head = prepared.recipe.training, prepared.model.config.head["name"]
    favours = hasattr(prepared.model.head, "unseen_offset")
    if optim.stacking_species and optim.stacking_withholds == "species" and not favours:
        raise RecipeError(
            "training.stacking_withholds=species is in favour of species known by name alone, and "
            f"the head {head!r} has no unseen_offset for them: choose one that has, or withhold "
            "photos"
        )
    if optim.stacking_species:
        for turn in turns(optim):
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
    whole = optim.stacking_withholds == "species"

    def fit(chosen: Tensor) -> Tensor:
        """Fits on some of the images; returns which classes are without, and to be favoured."""
        fit_discriminant(model, rows.features, labels, field, chosen)
        counted = chosen if whole else chosen & field
        return torch.bincount(labels[counted], minlength=len(prepared.taxonomy)) == 0

    every = torch.ones(len(labels), dtype=torch.bool)
    if not optim.stacking_species:
        fit(every)
        place(model, device)
        return None
    if whole:
        stacking = _for_names(prepared, rows.features[0], labels, fit)
        report(_line(stacking))
        place(model, device)
        return Settled(stacking, None)
    added = model.add_stacking()
    direction, intercept = field_direction(rows.features[0], field)
    added.direction.copy_(direction)
    added.intercept.fill_(intercept)
    without = torch.bincount(labels[field], minlength=len(prepared.taxonomy)) == 0
    parts = [withheld(prepared, turn) for turn in turns(optim)]
    share = float(without.float().mean())
    most = most_rows(len(prepared.taxonomy))
    mixed = [torch.from_numpy(some) for some in as_in_use(parts, share, prepared.recipe.seed, most)]
    contests, favoured = [], []
    with ScoreSpool(len(prepared.taxonomy)) as scores:
        for part, photos in zip(parts, mixed, strict=True):
            favoured.append(fit(~torch.from_numpy(part.hidden)))
            contests.append(_contest(model, rows.features[0], labels, part, favoured[-1]))
            for features in rows.features[0, photos].split(EVALUATION_BATCH):
                scores.append(_scores(model, features))
        offset, before_after = choose_offset(contests)
        calibration = _calibrated(
            prepared, scores, rows.features[0], mixed, offset * torch.stack(favoured)
        )
    stacking = Stacking(offset, int(without.sum()), _rounds(parts, before_after))
    fit(every)
    added.offsets.copy_(offset * without)
    report(_line(stacking))
    place(model, device)
    return Settled(stacking, calibration)


def _for_names(
    prepared: Prepared, features: Tensor, labels: Tensor, fit: Callable[[Tensor], Tensor]
) -> Stacking:
    """Chooses what a head that reads names adds for unseen ones and takes off for hubs."""
    head = prepared.model.head
    parts = [withheld(prepared, turn) for turn in turns(prepared.recipe.training)]
    contests: dict[float, list[Contest]] = {hubness: [] for hubness in HUBNESS}
    for part in parts:
        learned_from = ~torch.from_numpy(part.hidden)
        favoured = fit(learned_from)
        head.image_mean.copy_(_mean_direction(prepared.model, features[learned_from]))
        for hubness, own in contests.items():
            head.hubness.fill_(hubness)
            own.append(_contest(prepared.model, features, labels, part, favoured))
    chosen = {hubness: choose_offset(own) for hubness, own in contests.items()}
    best = max(chosen, key=lambda hubness: sum(after for _, after in chosen[hubness][1]))
    offset, before_after = chosen[best]
    fit(torch.ones(len(labels), dtype=torch.bool))
    head.image_mean.copy_(_mean_direction(prepared.model, features))
    head.hubness.fill_(best)
    head.unseen_offset.fill_(offset)
    return Stacking(offset, 0, _rounds(parts, before_after), best)


@torch.inference_mode()
def _mean_direction(model: HerbForImageClassification, features: Tensor) -> Tensor:
    """Returns the mean `[D]` of the embeddings of `[N, F]`, each of unit length."""
    sums = sum(
        functional.normalize(model.embed(None, some), dim=-1).sum(dim=0)
        for some in features.split(EVALUATION_BATCH)
    )
    return torch.as_tensor(sums) / len(features)


def _rounds(
    parts: Sequence[Withheld], before_after: Sequence[tuple[float, float]]
) -> tuple[Round, ...]:
    return tuple(
        Round(part.species, int(part.unseen.sum()), part.seen_count, *pair)
        for part, pair in zip(parts, before_after, strict=True)
    )


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
    part: Withheld,
    favoured: Tensor,
) -> Contest:
    """Scores withheld rows, some at a time: all scores of thousands of species would be many."""
    rows = torch.from_numpy(np.flatnonzero(part.rows))
    unseen = torch.from_numpy(part.unseen)
    pieces = (of[rows].split(EVALUATION_BATCH) for of in (features, labels, unseen))
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
    which = "species known by name alone"
    if stacking.favoured:
        which = f"{stacking.favoured} species without field photos"
    return (
        f"stacking: {stacking.offset:.2f} for {which}; "
        f"on withheld species the harmonic mean goes from {before:.3f} to {after:.3f}"
    )
