"""Image and names to scores: a herbzoo model under the interface of CLIP's kind.

This file imports torch, transformers and its own siblings only, so that it can travel to the Hub
beside the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.utils.generic import ModelOutput

from .configuration_herbzoo import HerbConfig
from .modeling_herbzoo import HerbForImageClassification
from .parts_herbzoo import PartError


@dataclass
class HerbZeroShotOutput(ModelOutput):
    """What `HerbForZeroShotImageClassification` returns, under the names that CLIP has for it."""

    logits_per_image: Tensor | None = None
    """`[B, N]`: scaled cosines of images and names, float32."""
    logits_per_text: Tensor | None = None
    """`[N, B]`, the same transposed."""
    text_embeds: Tensor | None = None
    """`[N, D]` of unit length."""
    image_embeds: Tensor | None = None
    """`[B, D]` of unit length."""


class HerbForZeroShotImageClassification(HerbForImageClassification):
    """Images and tokenised names to scores, of the same weights as `HerbForImageClassification`.

    The names come with each call; those that the head was aimed at are not looked at, nor what was
    fitted to them: the offset for unseen taxa, the hubness, a class map.

    Args:
        config: of a model whose head has `reads_names`, `tower`, `class_vectors` and `scale`.

    Raises:
        PartError: if the head does not read names.
    """

    def __init__(self, config: HerbConfig) -> None:
        super().__init__(config)
        if not getattr(self.head, "reads_names", False):
            # No TypeError: the stock pipeline would catch it, and wrap it in two tracebacks.
            raise PartError(
                f"the head {config.head['name']!r} reads no names and knows only the taxa it was "
                "trained on: zero-shot classification needs a model with a head that reads names"
            )

    def forward(  # type: ignore[override]  # other arguments, and another output
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        features: Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> HerbZeroShotOutput | tuple[Tensor, ...]:
        """Scores a batch of images against names.

        Args:
            input_ids: `[N, L]`, the names as the run's tokenizer gives them.
            attention_mask: `[N, L]`, 0 at padding; all tokens count when absent.
            pixel_values: `[B, 3, H, W]`, normalised as `backbone.image_spec()` says.
            features: `[B, F]` of a frozen backbone, instead of images.
            return_dict: `False` for a plain tuple.
            **kwargs: ignored; tokenizers give more than is asked for.

        Raises:
            ValueError: if images or names are missing.
        """
        if input_ids is None:
            raise ValueError("names are missing: give input_ids, from the tokenizer of the run")
        if pixel_values is None and features is None:
            raise ValueError("images are missing: give pixel_values, from the image processor")
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        names = self.head.class_vectors(self.head.tower(input_ids, attention_mask))
        images = F.normalize(self.embed(pixel_values, features).float(), dim=-1)
        with torch.autocast(images.device.type, enabled=False):
            logits = self.head.scale() * (images @ names.T)
        output = HerbZeroShotOutput(logits, logits.T, names, images)
        return output.to_tuple() if return_dict is False else output
