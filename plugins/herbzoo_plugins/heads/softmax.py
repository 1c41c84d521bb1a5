"""A linear classifier with cross-entropy."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Softmax(nn.Module):
    """Linear scores and cross-entropy.

    Args:
        in_features: width of the embedding.
        num_classes: number of taxa.
        label_smoothing: share of the target spread over all classes (Szegedy et al. 2016,
            https://arxiv.org/abs/1512.00567, section 7).
    """

    def __init__(self, in_features: int, num_classes: int, label_smoothing: float = 0.1) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.classifier = nn.Linear(in_features, num_classes)

    def reset_parameters(self) -> None:
        """Initialises the classifier."""
        self.classifier.reset_parameters()

    def logits(self, embeddings: Tensor) -> Tensor:
        """Maps `[B, D]` to `[B, C]`."""
        return self.classifier(embeddings)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean cross-entropy of `[B, D]` against class indices `[B]`."""
        scores = self.logits(embeddings).float()
        return F.cross_entropy(scores, labels, label_smoothing=self.label_smoothing)
