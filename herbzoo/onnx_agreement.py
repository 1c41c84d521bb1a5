"""Whether an ONNX model answers in onnxruntime as its run does in torch, on real images."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from herbzoo.build import LoadedRun, image_spec_of
from herbzoo.data.readers import open_images
from herbzoo.errors import DataError, ImageError, RunError
from herbzoo.onnx_model import INPUT, OUTPUTS, Dtype, reason_of

logger = logging.getLogger(__name__)

TOLERANCES: dict[Dtype, float] = {"float32": 1e-3, "float16": 5e-2}
"""How far an output may lie from torch's in float32, as a share of that output's range."""
SAMPLE = "synthetic:species=3,images_per_species=4"
"""What an export is checked on unless told."""
BATCHES = (1, 3)
"""Sizes of the batches of the check: the model must take any."""


@dataclass(frozen=True)
class Agreement:
    """How far an exported model's answers lie from torch's."""

    images: int
    differences: dict[str, float]
    """The largest of each output."""
    ranges: dict[str, float]
    """Highest less lowest value of each output in torch."""
    tolerance: float
    """The largest share of the range that passes."""

    @property
    def shares(self) -> dict[str, float]:
        """Returns the largest difference of each output as a share of its range."""
        return {
            name: difference / (self.ranges[name] or 1.0)
            for name, difference in self.differences.items()
        }

    @property
    def passes(self) -> bool:
        """Whether all outputs are near enough; what is no number never is."""
        return all(share <= self.tolerance for share in self.shares.values())

    def __str__(self) -> str:
        """Returns it in words."""
        measured = ", ".join(
            f"{name} differ by up to {self.differences[name]:.1e} ({share:.1e} of their range)"
            for name, share in self.shares.items()
        )
        return (
            f"on {self.images} images in batches of {' and '.join(map(str, BATCHES))}, {measured}; "
            f"{self.tolerance:g} of the range is tolerated"
        )


def sample_pixels(run: LoadedRun, data: str | Path) -> Tensor:
    """Returns as many images as the check takes, from all over a collection, `[B, 3, H, W]`.

    The run's own processor makes pixel values of them. Of too few images some come again.

    Raises:
        DataError: if there are none that can be read.
    """
    collection, wanted = open_images(data), sum(BATCHES)
    size = image_spec_of(run.processor).size
    keys = collection.frame["image"].tolist()
    spread = [keys[row] for row in np.linspace(0, len(keys) - 1, min(wanted, len(keys)), dtype=int)]
    found: list[Any] = []
    for key in dict.fromkeys([*spread, *keys]):  # the others stand in for those that are broken
        try:
            found.append(collection.images.open(key, size))
        except ImageError as error:
            logger.warning("left out: %s", error)
        if len(found) == wanted:
            break
    if not found:
        raise DataError(f"no image of {data} can be read: give --data others to check it on")
    repeated = [found[place % len(found)] for place in range(wanted)]
    return run.processor(images=repeated, return_tensors="pt")["pixel_values"]


def compare(path: Path, images: Tensor, expected: list[np.ndarray], dtype: Dtype) -> Agreement:
    """Runs an ONNX model in onnxruntime, in batches of several sizes.

    Args:
        path: the model.
        images: `[B, 3, H, W]`, from `sample_pixels`.
        expected: what torch makes of them in float32, an array for each of `OUTPUTS`.
        dtype: what the model's backbone computes in; it decides what difference is tolerated.

    Raises:
        RunError: if onnxruntime cannot run it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        batches = [
            session.run(list(OUTPUTS), {INPUT: batch.numpy()})
            for batch in images.split(list(BATCHES))
        ]
    except Exception as error:  # onnxruntime's classes have no parent of their own
        raise RunError(f"onnxruntime cannot run the exported model ({reason_of(error)})") from error
    found = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
    return Agreement(
        len(images),
        {n: _largest(f - e) for n, f, e in zip(OUTPUTS, found, expected, strict=True)},
        {name: float(np.ptp(values)) for name, values in zip(OUTPUTS, expected, strict=True)},
        TOLERANCES[dtype],
    )


def _largest(differences: np.ndarray) -> float:
    return float(np.abs(differences).max())
