"""What a training starts from: what recipe and data decide (`Prepared`), and the machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import CLIPImageProcessor

from herbzoo.build import image_spec_of
from herbzoo.data.batches import FeatureRows, ImageRows, class_indices
from herbzoo.data.masking import MaskZones
from herbzoo.data.records import Collection
from herbzoo.data.sampling import check_sampling
from herbzoo.data.splits import Split
from herbzoo.data.transforms import Augment, Letterbox, Reframe
from herbzoo.embedder import DTYPES
from herbzoo.errors import HerbzooError
from herbzoo.features import frozen_features
from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification
from herbzoo.recipe import Recipe
from herbzoo.taxonomy import Taxonomy

EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Hardware:
    """Where and how to compute; it is no part of the recipe."""

    device: str = "auto"
    workers: int = -1
    """Processes that decode images; -1 for one a core."""
    dtype: str = "auto"
    """`float32`, `bfloat16` or `float16`; `auto` is mixed precision where the hardware has it."""

    def __post_init__(self) -> None:
        """Refuses what cannot be, before anything is loaded.

        Raises:
            HerbzooError: if there is no such dtype.
        """
        if self.dtype not in DTYPES:
            raise HerbzooError(f"there is no dtype {self.dtype!r}; there are {', '.join(DTYPES)}")

    @property
    def worker_count(self) -> int:
        """Processes to start."""
        return (os.cpu_count() or 1) if self.workers < 0 else self.workers


@dataclass(frozen=True)
class Prepared:
    """Everything that a training needs and that its recipe and data decide."""

    recipe: Recipe
    split: Split
    taxonomy: Taxonomy
    model: HerbForImageClassification
    processor: CLIPImageProcessor

    def __post_init__(self) -> None:
        """Refuses views and samplings that the rows do not allow, before anything is written.

        Raises:
            RecipeError: if there is no such zone to mask.
            DataError: if domains are to be paired and no species has both.
        """
        rows = self.training_rows(self.split.train)
        check_sampling(self.recipe.training.sampling, rows.collection, rows.labels)

    def rows(self, part: Collection) -> ImageRows:
        """Returns the images of some rows as they are, to measure on."""
        letterbox = Letterbox(image_spec_of(self.processor))
        return ImageRows(part, letterbox, class_indices(part, self.taxonomy))

    def training_rows(self, part: Collection) -> ImageRows:
        """Returns the images of some rows in random views, as the recipe wants them."""
        image, rows = self.recipe.image, self.rows(part)
        rows.augment = Augment(image.augment, image.recolour)
        rows.seed = self.recipe.seed
        rows.mask = MaskZones(tuple(image.mask), image.mask_share) if image.mask else None
        if image.zoom or image.any_way_up:
            rows.reframe = Reframe(image.zoom, image.any_way_up)
        return rows


def kept_features(
    prepared: Prepared,
    rows: ImageRows,
    device: torch.device,
    hardware: Hardware,
    report: Callable[[str], None],
) -> FeatureRows:
    """Computes the backbone's features for each view of each row, or reads those kept.

    Features of a backbone that was tuned are not kept: no other run will have its weights.
    """
    tuned = not prepared.recipe.training.freeze_backbone

    def tell(done: int, total: int) -> None:
        step = EVALUATION_BATCH * 16
        if done // step != (done - EVALUATION_BATCH) // step or done == total:
            report(f"features: {done} of {total} views")

    drawn = rows.reframe is not None or (
        rows.augment is not None and rows.augment.strength + rows.augment.recolour > 0
    )
    features = frozen_features(
        prepared.model,
        rows,
        views=prepared.recipe.training.feature_views if drawn else 1,
        device=device,
        batch_size=EVALUATION_BATCH,
        workers=hardware.worker_count,
        keep=not tuned,
        progress=tell,
    )
    return FeatureRows(features, rows.labels)
