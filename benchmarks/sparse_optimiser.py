"""Which optimiser suits class vectors of which each step touches a few: a made-up flora of 5,000.

    python benchmarks/sparse_optimiser.py

Species lie around genera, their counts fall off as a power of the rank, and a linear neck learns
with the head: dense AdamW over all classes, and others over a tenth of them at each step. Every
one runs with the same batches and schedule, and is scored on as many images of every species. The
state is what the optimiser would keep for a million class vectors of 256.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Iterator

import torch
from herbzoo_plugins.heads.arcface import ArcFace
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, AdamW, Optimizer, SparseAdam

from herbzoo.optimisation import DenseAndSparse, clip_gradients

SPECIES, GENERA, FEATURES, WIDTH, BATCH, RATE = 5000, 500, 128, 64, 64, 0.1


class RowwiseAdagrad(Optimizer):
    """Adagrad with one sum of squares a row."""

    def __init__(self, parameters: list[nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Updates the rows that have a gradient."""
        for group in self.param_groups:
            for table in group["params"]:
                gradient = table.grad.coalesce()
                rows, values = gradient.indices()[0], gradient.values()
                sums = self.state[table].setdefault("sum", torch.zeros(len(table)))
                sums[rows] += values.square().mean(dim=1)
                steps = values / (sums[rows].sqrt() + 1e-10).unsqueeze(1)
                table.index_add_(0, rows, steps, alpha=-group["lr"])


SPARSE: dict[str, tuple[Callable[..., Optimizer], tuple[float, ...], int]] = {
    "SGD": (SGD, (0.5, 2.0, 10.0), 0),
    "SparseAdam": (SparseAdam, (2e-3, 6e-3, 2e-2), 2 * 256),
    "Adagrad": (Adagrad, (2e-2, 5e-2, 0.2), 256),
    "row-wise Adagrad": (RowwiseAdagrad, (2e-2, 0.1, 0.3), 1),
}
"""Optimiser, rates to try, and floats of state for each class vector of 256."""


class Flora:
    """Draws features and species."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        genera = self.normal(GENERA, FEATURES).repeat_interleave(SPECIES // GENERA, dim=0)
        self.centres = genera + 0.7 * self.normal(SPECIES, FEATURES)
        tail = torch.arange(1, SPECIES + 1).float() ** -0.7
        self.shares = tail[torch.randperm(SPECIES, generator=self.generator)]

    def normal(self, *shape: int) -> Tensor:
        """Draws from the normal distribution."""
        return torch.randn(*shape, generator=self.generator)

    def draw(self, count: int, shares: Tensor) -> tuple[Tensor, Tensor]:
        """Draws features `[count, FEATURES]` with their species."""
        species = torch.multinomial(shares, count, replacement=True, generator=self.generator)
        return self.centres[species] + 0.9 * self.normal(count, FEATURES), species


def top1(
    make: Callable[[nn.Module, ArcFace], Optimizer], rate: float, seed: int, steps: int
) -> float:
    """Trains neck and head, and returns how many of the test images are named."""
    torch.manual_seed(seed)
    flora = Flora(seed)
    images, truth = flora.draw(4000, torch.ones(SPECIES))
    neck, head = nn.Linear(FEATURES, WIDTH), ArcFace(WIDTH, SPECIES, sample_rate=rate)
    optimiser = make(neck, head)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min(1.0, (step + 1) / 75) * 0.5 * (1 + math.cos(math.pi * step / steps)),
    )
    for _ in range(steps):
        features, species = flora.draw(BATCH, flora.shares)
        head.train().loss(neck(features), species).backward()
        clip_gradients([*neck.parameters(), *head.parameters()], 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    with torch.no_grad():
        return float((head.eval().logits(neck(images)).argmax(dim=1) == truth).float().mean())


def candidates() -> Iterator[tuple[str, float, int, Callable[[nn.Module, ArcFace], Optimizer]]]:
    """Yields name, sample rate, floats of state a class and what makes the optimiser."""
    yield (
        "AdamW, all classes",
        1.0,
        2 * 256,
        lambda neck, head: AdamW([*neck.parameters(), *head.parameters()], 2e-3, weight_decay=0.05),
    )
    for name, (kind, rates, floats) in SPARSE.items():
        for lr in rates:

            def make(
                neck: nn.Module,
                head: ArcFace,
                kind: Callable[..., Optimizer] = kind,
                lr: float = lr,
            ) -> Optimizer:
                dense = AdamW(neck.parameters(), 2e-3, weight_decay=0.05)
                return DenseAndSparse(dense, kind([head.weight], lr=lr))

            yield f"{name}, lr {lr:g}", RATE, floats, make


def main() -> None:
    """Prints a line for each optimiser and rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for name, rate, floats, make in candidates():
        reached = [top1(make, rate, seed, options.steps) for seed in range(options.seeds)]
        print(
            f"{name:<28} top-1 {statistics.mean(reached):.3f} "
            f"({min(reached):.3f} to {max(reached):.3f}), state {4e6 * floats / 1e9:.3f} GB",
            flush=True,
        )


if __name__ == "__main__":
    main()
