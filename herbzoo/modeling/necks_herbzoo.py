"""From the features of a backbone to an embedding.

This file imports torch only, so that it can travel to the Hub beside the weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch import distributed as processes
from torch.nn import functional as F


class LinearBatchNorm(nn.Module):
    """Features to an embedding of a chosen width, standardised over the batch.

    The projection and normalisation between backbone and margin head of ArcFace's option E
    (Deng et al. 2019, https://arxiv.org/abs/1801.07698, section 3.2). Processes that train
    together standardise over the batches of all, so that it is their total that counts.
    """

    def __init__(self, in_features: int, embedding_size: int = 256, dropout: float = 0.0) -> None:
        super().__init__()
        self.out_features = embedding_size
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(in_features, embedding_size, bias=False)
        self.norm = nn.BatchNorm1d(embedding_size)

    def forward(self, features: Tensor) -> Tensor:
        """Maps `[B, F]` to `[B, D]`."""
        projected = self.linear(self.dropout(features))
        norm = self.norm
        if self.training and _several_processes():
            return _standardised_together(projected, norm)
        if self.training and len(projected) == 1:  # no variance in a batch of one
            return F.batch_norm(
                projected, norm.running_mean, norm.running_var, norm.weight, norm.bias
            )
        return norm(projected)


class Identity(nn.Identity):
    """The embedding is the backbone's features."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.out_features = in_features


NECKS = {"identity": Identity, "linear_bn": LinearBatchNorm}


def _several_processes() -> bool:
    return (
        processes.is_available() and processes.is_initialized() and processes.get_world_size() > 1
    )


def _standardised_together(values: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """Does what `nn.BatchNorm1d` does, with the statistics of all processes, on any backend."""
    from torch.distributed.nn import functional as together  # absent where torch has no processes

    with torch.autocast(values.device.type, enabled=False):
        values = values.float()
        count = together.all_reduce(values.new_tensor(float(len(values))))
        mean = together.all_reduce(values.sum(dim=0)) / count
        variance = together.all_reduce((values - mean).square().sum(dim=0)) / count
        with torch.no_grad():
            unbiased = variance * count / (count - 1).clamp(min=1)
            for kept, found in ((norm.running_mean, mean), (norm.running_var, unbiased)):
                if kept is not None and norm.momentum is not None:
                    kept.lerp_(found, norm.momentum)
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.add_(1)
        standard = (values - mean) * torch.rsqrt(variance + norm.eps)
        return standard * norm.weight + norm.bias
