"""Any timm model as a backbone: `timm:<model>`, and the ground the named families stand on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import timm
from timm.data.config import resolve_model_data_config
from torch import Tensor, nn


class TimmFeatures(nn.Module):
    """A timm model without its classifier.

    Args:
        architecture: the timm name, with the tag of its weights: `convnextv2_nano.fcmae_ft_in1k`.
        image_size: pixels, a side or `(height, width)`; 0 for the size the weights were trained at.
        image_aware: whether the model itself must know the image size (Swin, ViT).
        **model_options: passed to `timm.create_model`.
    """

    pretrained = ""

    def __init__(
        self,
        architecture: str,
        image_size: int | Sequence[int] = 0,
        image_aware: bool = False,
        **model_options: Any,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.model_options = model_options
        native = _native(architecture)
        size = image_size or native.input_size[-2:]
        self.image_size = (size, size) if isinstance(size, int) else tuple(size)
        if image_aware:
            self.model_options["img_size"] = self.image_size
        self.model: Any = timm.create_model(architecture, num_classes=0, **self.model_options)
        patch = getattr(getattr(self.model, "patch_embed", None), "patch_size", (1, 1))
        patch = (patch, patch) if isinstance(patch, int) else patch
        if any(side % step for side, step in zip(self.image_size, patch, strict=True)):
            raise ValueError(f"image_size {self.image_size} must be a multiple of {patch} pixels")
        # num_features is the width before the head's own layers, which differs for some models.
        self.out_features = getattr(self.model, "head_hidden_size", self.model.num_features)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Maps `[B, 3, H, W]` to `[B, out_features]`."""
        return self.model(pixel_values)

    def load_pretrained(self) -> None:
        """Loads the weights of the architecture's tag from the Hub, or the Hub's local cache.

        Raises:
            RuntimeError: if timm has no weights for the architecture.
            OSError: if the Hub cannot be reached.
        """
        source = timm.create_model(
            self.architecture, pretrained=True, num_classes=0, **self.model_options
        )
        self.model.load_state_dict(source.state_dict())

    def image_spec(self) -> dict[str, Any]:
        """Returns size, mean, std, interpolation and crop_pct as timm records them."""
        native = resolve_model_data_config(self.model)
        return {
            "size": list(self.image_size),
            "mean": list(native["mean"]),
            "std": list(native["std"]),
            "interpolation": native["interpolation"],
            "crop_pct": native["crop_pct"],
        }

    def layer_groups(self) -> list[list[str]]:
        """Returns parameter names from the stem to the last block, in groups of one depth."""
        matcher = self.model.group_matcher(coarse=False)
        groups = timm.models.group_parameters(self.model, matcher, reverse=False)
        return [[f"model.{name}" for name in names] for _, names in sorted(groups.items())]


class TimmBackbone(TimmFeatures):
    """Any timm model, by its timm name.

    Args:
        architecture: what stands behind the colon in `timm:<architecture>`.
        image_size: pixels, a side or `(height, width)`; 0 for the size the weights were trained at.
        drop_path_rate: stochastic depth, where the model has it.
        model_options: anything else `timm.create_model` takes for this model.
    """

    pretrained = "as timm lists, from the Hub"

    def __init__(
        self,
        architecture: str,
        image_size: int | Sequence[int] = 0,
        drop_path_rate: float = 0.0,
        model_options: dict[str, Any] | None = None,
    ) -> None:
        options = dict(model_options or {})
        if drop_path_rate:
            options["drop_path_rate"] = drop_path_rate
        fixed = bool(image_size and _native(architecture).fixed_input_size)
        super().__init__(architecture, image_size, image_aware=fixed, **options)


def _native(architecture: str) -> Any:
    """Returns what timm records of an architecture and the weights of its tag."""
    try:
        native = timm.get_pretrained_cfg(architecture)
    except RuntimeError as error:  # a tag that there is not
        raise ValueError(str(error)) from error
    if native is None:
        raise ValueError(f"timm has no model {architecture!r}")
    return native
