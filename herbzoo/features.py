"""Features of a frozen backbone, computed once and kept on disk.

A kept file is found by a digest of everything that decides its content: the backbone's weights and
options, the preprocessing, the seed of drawn views, and of each image its source's fingerprint. So
it is never stale, and runs with other heads share it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader

from herbzoo.data.batches import Drawn, ImageRows
from herbzoo.data.cache_root import cache_root
from herbzoo.data.records import Collection
from herbzoo.model_digest import add_weights
from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification
from herbzoo.whole_file import whole

logger = logging.getLogger(__name__)

FORMAT = 1
"""Raised whenever what is computed changes, so that older files are not read."""


def cache_folder() -> Path:
    """Returns where features are kept: `HERBZOO_CACHE`, or `~/.cache/herbzoo`."""
    return cache_root() / "features"


def frozen_features(
    model: HerbForImageClassification,
    rows: ImageRows,
    *,
    views: int,
    device: torch.device,
    batch_size: int,
    workers: int,
    keep: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Computes, or reads back, the backbone's features of every row.

    Args:
        model: whose backbone computes; it is put into evaluation.
        rows: the images; the first view is plain, further ones are drawn with `rows.augment`.
        views: of each image.
        device: where to compute.
        batch_size: images at a time.
        workers: processes that decode.
        keep: look for them on disk, and leave them there.
        progress: called with images done and images in all.

    Returns:
        `[views, N, F]`, float32, on the CPU.
    """
    kept = _kept_file(model, rows, views) if keep else None
    if kept is not None and kept.is_file():
        try:
            return load_file(kept)["features"]
        except (SafetensorError, KeyError) as error:
            logger.warning("recomputing damaged features %s: %s", kept, error)
    model.backbone.eval()
    done, features = 0, torch.empty(0)
    for view in range(views):
        loader = DataLoader(
            _View(rows, view), batch_size=batch_size, num_workers=workers, pin_memory=False
        )
        for pixels in loader:
            with torch.inference_mode():
                computed = model.backbone(pixels.to(device)).float().cpu()
            if not done:  # at once, as two copies of it may not fit
                features = torch.empty(views * len(rows), computed.shape[-1])
            features[done : done + len(computed)] = computed
            done += len(computed)
            if progress is not None:
                progress(done, views * len(rows))
    features = features.view(views, len(rows), -1)
    if kept is not None:
        with whole(kept) as partial:
            save_file({"features": features}, partial)
        features = load_file(kept)["features"]  # read where it is needed, and not kept in memory
    return features


class _View(torch.utils.data.Dataset[Tensor]):
    """One view of every row: plain for the first, then drawn as in as many epochs."""

    def __init__(self, rows: ImageRows, view: int) -> None:
        self.rows = rows
        self.view = view

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Tensor:
        if self.view == 0:
            return self.rows.plain(row)
        return self.rows[Drawn(row, self.view)]["pixel_values"]


def _kept_file(model: HerbForImageClassification, rows: ImageRows, views: int) -> Path | None:
    """Returns the file these features belong in, or `None` if the images have no fingerprint."""
    images = _fingerprints(rows.collection)
    if images is None:
        return None
    digest = hashlib.sha256()
    recipe = {
        "format": FORMAT,
        "views": views,
        "backbone": dict(model.config.backbone),
        "image": repr(rows.letterbox.spec),
        "drawn": (rows.view_options, rows.seed) if views > 1 or rows.mask else None,
    }
    digest.update(json.dumps(recipe, sort_keys=True).encode())
    add_weights(digest, model.backbone)
    for fingerprint in images:
        digest.update(fingerprint.encode() + b"\0")
    if rows.mask:  # which sees sheets and field photos with other eyes
        for domain in rows.collection.frame["basisOfRecord"]:
            digest.update(domain.encode() + b"\0")
    return cache_folder() / f"{digest.hexdigest()[:32]}.safetensors"


def _fingerprints(collection: Collection) -> list[str] | None:
    fingerprint = getattr(collection.images, "fingerprint", None)
    if fingerprint is None:
        return None
    return [fingerprint(key) for key in collection.frame["image"]]
