"""ArcFace: an angular margin between classes (Deng et al. 2019, arXiv:1801.07698)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .class_sample import (
    distributed,
    mean_over_processes,
    present_classes,
    sample_classes,
    share_first,
)
from .margin_loss import margin_cross_entropy, scaled_cosines

RARITY_POWER = -0.25
"""How the margin grows with rarity: counts to this power (Cao et al. 2019, Ha et al. 2020)."""


class ArcFace(nn.Module):
    """Scaled cosines to class vectors; in training the true class must win by a margin.

    Angles are computed in single precision with autocast off, and kept away from 0 and 180
    degrees, where the derivative of the margin is infinite. The margin lives in `loss` alone, so
    inference never sees a label.

    Args:
        in_features: width of the embedding.
        num_classes: number of taxa.
        scale: by which cosines are multiplied; the `s` of the paper.
        margin: angle in radians that the true class is set back by; the `m` of the paper.
        margin_warmup_steps: training batches over which the margin grows from zero.
        sub_centers: class vectors of each class, of which the nearest counts (Deng et al. 2020,
            "Sub-center ArcFace"): mislabelled and deviant specimens gather at a centre of their
            own.
        rare_margin: margin of the class with the fewest training images, where `margin` is that of
            the one with the most; in between it follows the number of images to the power -1/4
            (Cao et al. 2019, LDAM, arXiv:1906.07413; between two bounds as in the dynamic margins
            of Ha et al. 2020, arXiv:2010.05350). The counts come with the labels. `None` for one
            margin for all.
        sample_rate: share of the classes that a training batch is scored against: its own and a
            random choice of the others (An et al. 2022, Partial FC, arXiv:2203.15565). Below 1
            the class vectors get sparse gradients. Evaluation and inference score all classes.
        prototypes: score by the class means of embeddings that `set_prototypes` keeps beside the
            class vectors, once it has been called.
    """

    steps: Tensor
    margins: Tensor
    prototypes: Tensor

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        scale: float = 30.0,
        margin: float = 0.3,
        margin_warmup_steps: int = 100,
        sub_centers: int = 1,
        rare_margin: float | None = None,
        sample_rate: float = 1.0,
        prototypes: bool = False,
    ) -> None:
        super().__init__()
        if scale <= 0 or not 0 <= margin < math.pi / 2 or sub_centers < 1:
            raise ValueError(
                f"scale {scale} must be positive, margin {margin} in [0, pi/2) and sub_centers "
                f"{sub_centers} at least 1"
            )
        if rare_margin is not None and not margin <= rare_margin < math.pi / 2:
            raise ValueError(
                f"rare_margin {rare_margin} must be at least margin {margin} and below pi/2"
            )
        if not 0 < sample_rate <= 1:
            raise ValueError(f"sample_rate {sample_rate} must be above 0 and at most 1")
        self.scale = scale
        self.margin = margin
        self.rare_margin = rare_margin
        self.margin_warmup_steps = margin_warmup_steps
        self.sub_centers = sub_centers
        self.sample_rate = sample_rate
        self.starts_alike = False
        # Saved with the model, so that a resumed run does not warm up twice.
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self._allocate(torch.empty(num_classes * sub_centers, in_features), prototypes)
        self.reset_parameters()

    def _allocate(self, vectors: Tensor, prototypes: bool) -> None:
        self.weight = nn.Parameter(vectors)
        self.num_classes, device = len(vectors) // self.sub_centers, vectors.device
        if self.rare_margin is not None:
            margins = torch.full((self.num_classes,), self.margin, device=device)
            self.register_buffer("margins", margins)
        if prototypes:
            blank = torch.zeros(self.num_classes, vectors.shape[1], device=device)
            self.register_buffer("prototypes", blank)

    def reset_parameters(self) -> None:
        """Draws class vectors of random direction and starts the margin warm-up anew."""
        nn.init.normal_(self.weight, std=0.01)
        nn.init.zeros_(self.steps)
        if self.rare_margin is not None:
            nn.init.constant_(self.margins, self.margin)
        if self.has_prototypes:
            nn.init.zeros_(self.prototypes)

    # -- what it knows of its labels -------------------------------------------------------------

    def prepare(self, labels: Any) -> None:
        """Sets the margins by the training counts; another number of classes starts anew.

        Args:
            labels: read by attribute: `names`, and `counts` if known.
        """
        if len(labels.names) != self.num_classes:
            shape = (len(labels.names) * self.sub_centers, self.weight.shape[1])
            self._allocate(self.weight.new_empty(shape), self.has_prototypes)
            self.reset_parameters()
        if self.rare_margin is not None and labels.counts:
            self.margins.copy_(
                margins_by_count(torch.tensor(labels.counts), self.margin, self.rare_margin)
            )

    def refresh(self) -> None:
        """Has nothing to recompute: class vectors are parameters, margins are set by `prepare`."""

    def sparse_parameters(self) -> list[str]:
        """Returns the parameters whose gradients are sparse: the class vectors, if sampled."""
        return ["weight"] if self.sample_rate < 1 else []

    # -- scores -----------------------------------------------------------------------------------

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Returns the cosine of `[B, D]` to the nearest centre of each class, `[B, C]`, float32."""
        vectors: Tensor = self.weight
        centres = self.sub_centers
        if self._scores_by_means():
            vectors, centres = self.prototypes, 1
        with torch.autocast(embeddings.device.type, enabled=False):
            directions = F.normalize(embeddings.float(), dim=-1)
            return scaled_cosines(directions, vectors.float(), 1.0, centres)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Maps `[B, D]` to `[B, C]`: scaled cosines, without margin."""
        return self.scale * self.cosines(embeddings)

    # -- training ---------------------------------------------------------------------------------

    def current_margins(self, labels: Tensor) -> Tensor:
        """Returns the margins in radians of these labels at this step of the warm-up, `[B]`."""
        warmup = max(1, self.margin_warmup_steps)
        done = self.steps.clamp(max=warmup) if self.margin_warmup_steps > 0 else warmup
        full = self.margin if self.rare_margin is None else self.margins[labels]
        return torch.as_tensor(full * done / warmup, device=labels.device).expand(len(labels))

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean cross-entropy with the margin on the true class.

        In training with `sample_rate` below 1 it is over the sampled classes, else over all.

        Args:
            embeddings: `[B, D]`.
            labels: class indices `[B]`.
        """
        margins = self.current_margins(labels)
        vectors: Tensor = self.weight
        columns = labels
        if self.training:
            if self.sample_rate < 1:
                vectors, columns = self._sampled(labels)
            self.steps += 1
        with torch.autocast(embeddings.device.type, enabled=False):
            directions = F.normalize(embeddings.float(), dim=-1)
            return margin_cross_entropy(
                directions, vectors.float(), columns, margins, self.scale, self.sub_centers
            )

    def _sampled(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the vectors of this step's classes, and which of them each label is.

        Among several processes all score the same classes, those of every process's batch among
        them, and each sees the mean of the gradients: DDP, which cannot reduce sparse gradients
        everywhere, is told to leave these parameters alone.
        """
        together = distributed()
        if together and not self.starts_alike:
            share_first(self.weight.data)
            self.starts_alike = True
        classes = sample_classes(
            present_classes(labels), self.num_classes, self.sample_rate, int(self.steps)
        )
        rows = classes
        if self.sub_centers > 1:
            offsets = torch.arange(self.sub_centers, device=rows.device)
            rows = (classes.unsqueeze(1) * self.sub_centers + offsets).flatten()
        vectors = F.embedding(rows, self.weight, sparse=True)
        if together and vectors.requires_grad:
            vectors.register_hook(mean_over_processes)
        return vectors, torch.searchsorted(classes, labels)

    # -- class means ------------------------------------------------------------------------------

    @property
    def has_prototypes(self) -> bool:
        """Whether there is room for class means beside the class vectors."""
        return "prototypes" in self._buffers

    def _scores_by_means(self) -> bool:
        return self.has_prototypes and bool(self.prototypes[0].any())

    @torch.no_grad()
    def set_prototypes(self, embeddings: Tensor, labels: Tensor) -> None:
        """Scores by class means from now on; a class without embeddings keeps its class vector.

        The mean is over directions (Snell et al. 2017, arXiv:1703.05175, on the sphere).

        Args:
            embeddings: `[N, D]`.
            labels: class indices `[N]`.
        """
        directions = F.normalize(embeddings.float(), dim=-1).to(self.weight.device)
        labels = labels.to(self.weight.device)
        means = torch.zeros(
            self.num_classes, self.weight.shape[1], device=self.weight.device
        ).index_add_(0, labels, directions)
        absent = torch.ones(self.num_classes, dtype=torch.bool, device=self.weight.device)
        absent[labels] = False
        centres = self.weight.view(self.num_classes, self.sub_centers, -1)[absent].float()
        means[absent] = F.normalize(centres, dim=-1).sum(dim=1)
        self.register_buffer("prototypes", F.normalize(means, dim=-1))

    @torch.no_grad()
    def add_classes(self, prototypes: Tensor) -> None:
        """Adds classes whose vectors are the means of their embeddings, without training.

        This is the imprinting of Qi et al. 2018, arXiv:1712.07136. The parameter becomes a new
        one, so an optimiser made before does not know it.

        Args:
            prototypes: `[N, D]`, of any length.
        """
        added = F.normalize(prototypes.to(self.weight), dim=-1)
        length = torch.linalg.vector_norm(self.weight, dim=1).mean()
        vectors = (added * length).repeat_interleave(self.sub_centers, dim=0)
        self.weight = nn.Parameter(torch.cat([self.weight, vectors]))
        if self.has_prototypes:
            known = added if self._scores_by_means() else torch.zeros_like(added)
            self.prototypes = torch.cat([self.prototypes, known])
        if self.rare_margin is not None:
            rare = self.margins.new_full((len(added),), self.rare_margin)
            self.margins = torch.cat([self.margins, rare])
        self.num_classes += len(added)


def margins_by_count(counts: Tensor, commonest: float, rarest: float) -> Tensor:
    """Returns a margin for each class: `a * count ** -1/4 + b`, with the bounds given.

    Args:
        counts: training images of each class; none counts as one.
        commonest: margin of the class with the most images; of all, if all have as many.
        rarest: margin of the class with the fewest.
    """
    rarity = counts.clamp(min=1).double().pow(RARITY_POWER)
    spread = rarity.max() - rarity.min()
    if spread == 0:
        return torch.full(counts.shape, commonest)
    return (commonest + (rarest - commonest) * (rarity - rarity.min()) / spread).float()
