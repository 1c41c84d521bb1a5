"""A linear or cosine classifier with cross-entropy, and two ways to do justice to rare classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Softmax(nn.Module):
    """Linear scores and cross-entropy.

    What it knows of how often each taxon was collected changes the loss alone, never the scores.

    Args:
        in_features: width of the embedding.
        num_classes: number of taxa.
        label_smoothing: share of the target spread over all classes (Szegedy et al. 2016,
            https://arxiv.org/abs/1512.00567, section 7).
        logit_adjustment: how strongly the loss makes up for a long tail: the `tau` by which the
            logarithm of a class's share of the training images is added to its score (Menon et
            al. 2021, https://arxiv.org/abs/2007.07314, eq. 10); 1 aims at the mean accuracy over
            classes, 0 is off.
        class_weighting: weights errors by the inverse effective number of images of the true class
            (Cui et al. 2019, https://arxiv.org/abs/1901.05555): its `beta`, such as 0.999, of
            which 1 / (1 - beta) is the number of images beyond which more count for little;
            0 is off.
        cosine: score by the cosine to the class vectors, without bias.
        scale: by which cosines are multiplied; linear scores are left alone.
    """

    log_shares: Tensor
    class_weights: Tensor

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        label_smoothing: float = 0.1,
        logit_adjustment: float = 0.0,
        class_weighting: float = 0.0,
        cosine: bool = False,
        scale: float = 30.0,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing {label_smoothing} must be at least 0 and below 1")
        if logit_adjustment < 0:
            raise ValueError(f"logit_adjustment {logit_adjustment} must be at least 0")
        if not 0 <= class_weighting < 1:
            raise ValueError(f"class_weighting {class_weighting} must be at least 0 and below 1")
        if scale <= 0:
            raise ValueError(f"scale {scale} must be positive")
        self.label_smoothing = label_smoothing
        self.logit_adjustment = logit_adjustment
        self.class_weighting = class_weighting
        self.cosine = cosine
        self.scale = scale
        self._allocate(nn.Linear(in_features, num_classes, bias=not cosine))

    def _allocate(self, classifier: nn.Linear) -> None:
        """Takes a classifier, and forgets how often its classes were collected."""
        self.classifier = classifier
        blank = classifier.weight.new_zeros(classifier.out_features)
        if self.logit_adjustment:
            self.register_buffer("log_shares", blank)
        if self.class_weighting:
            self.register_buffer("class_weights", blank + 1)

    def reset_parameters(self) -> None:
        """Initialises the classifier, and takes all classes for equally common."""
        self.classifier.reset_parameters()
        if self.logit_adjustment:
            nn.init.zeros_(self.log_shares)
        if self.class_weighting:
            nn.init.ones_(self.class_weights)

    def prepare(self, labels: Any) -> None:
        """Learns the training counts; another number of classes starts anew.

        Args:
            labels: read by attribute: `names`, and `counts` if known.
        """
        before = self.classifier
        if len(labels.names) != before.out_features:
            device, dtype = before.weight.device, before.weight.dtype
            width, bias = before.in_features, before.bias is not None
            fresh = nn.Linear(width, len(labels.names), bias=bias, device=device, dtype=dtype)
            self._allocate(fresh)
        if not labels.counts:
            return
        counts = torch.tensor(labels.counts).clamp(min=1).double()
        if self.logit_adjustment:
            self.log_shares.copy_((counts / counts.sum()).log())
        if self.class_weighting:
            self.class_weights.copy_(effective_number_weights(counts, self.class_weighting))

    def refresh(self) -> None:
        """Has nothing to recompute: what it knows of the counts is set by `prepare`."""

    def logits(self, embeddings: Tensor) -> Tensor:
        """Maps `[B, D]` to `[B, C]`."""
        if not self.cosine:
            return self.classifier(embeddings)
        with torch.autocast(embeddings.device.type, enabled=False):
            directions = F.normalize(embeddings.float(), dim=-1)
            vectors = F.normalize(self.classifier.weight.float(), dim=-1)
            return self.scale * F.linear(directions, vectors)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean cross-entropy of `[B, D]` against class indices `[B]`."""
        scores = self.logits(embeddings).float()
        if self.logit_adjustment:
            scores = scores + self.logit_adjustment * self.log_shares
        if not self.class_weighting:
            return F.cross_entropy(scores, labels, label_smoothing=self.label_smoothing)
        # Not `cross_entropy(weight=...)`, which divides by the batch's weights: a batch of one
        # class would weigh as much as any other.
        losses = F.cross_entropy(
            scores, labels, reduction="none", label_smoothing=self.label_smoothing
        )
        return (losses * self.class_weights[labels]).mean()


def effective_number_weights(counts: Tensor, beta: float) -> Tensor:
    """Returns a weight for each class, `(1 - beta) / (1 - beta ** count)`, of mean 1 over images.

    Cui et al. scale to a mean of 1 over classes; over images the loss keeps its size, and with it
    the learning rate its meaning, however long the tail.
    """
    weights = (1 - beta) / (1 - beta**counts)
    return weights * counts.sum() / (weights * counts).sum()
