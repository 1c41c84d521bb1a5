"""From the classes a head was trained on to the classes a model answers with.

This file imports torch only, so that it can travel to the Hub beside the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ClassMerge(nn.Module):
    """Adds up the probabilities of head classes that have become one class.

    The softmax of the merged logits is exactly the sum of the softmax of the head's, for any head:
    the log of a sum of exponentials is taken over each group. Without dropped classes, the
    normaliser stays the same too. It has no parameters and nothing to save.

    Args:
        class_map: for each class of the head its class in the output; -1 drops it.
        num_classes: classes of the output.
    """

    groups: Tensor

    def __init__(self, class_map: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.class_map = tuple(class_map)
        self.num_classes = num_classes
        self.register_buffer("groups", self._groups(), persistent=False)

    def _groups(self) -> Tensor:
        dropped = self.num_classes  # one column too many, cut off at the end
        return torch.tensor([dropped if to < 0 else to for to in self.class_map])

    def init_non_persistent_buffers(self) -> None:
        """Fills the buffer anew: a model is loaded on the meta device, without its values."""
        self.groups = self._groups().to(self.groups.device)

    def forward(self, logits: Tensor) -> Tensor:
        """Maps logits of the head `[B, H]` to logits of the output `[B, C]`, at least float32."""
        scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
        groups = self.groups.expand(scores.shape[0], -1)
        highest = scores.new_full((scores.shape[0], self.num_classes + 1), -torch.inf)
        highest = highest.scatter_reduce(1, groups, scores.detach(), "amax")
        highest = highest.clamp(torch.finfo(scores.dtype).min)  # a group may be all -inf
        shares = torch.exp(scores - highest.gather(1, groups))
        sums = torch.zeros_like(highest).scatter_add(1, groups, shares)
        tiny = torch.finfo(scores.dtype).tiny  # log(0) would have no gradient
        return (highest + sums.clamp(tiny).log())[:, : self.num_classes]
