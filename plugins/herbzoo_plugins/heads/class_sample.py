"""The classes that a training step scores: those of the batch and some of the others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributed as processes


def sample_classes(present: Tensor, num_classes: int, share: float, draw: int) -> Tensor:
    """Chooses a share of the classes, with all that are present among them.

    As in Partial FC (An et al. 2021, arXiv:2010.05222; 2022, arXiv:2203.15565). Of the others one
    is drawn from each of as many equal stretches as are wanted, beginning at a random place: each
    is drawn with the same probability, and neither time nor memory grows with those left out.

    Args:
        present: the classes of the batch, sorted, each once.
        num_classes: classes there are.
        share: of them to choose; more if more are present.
        draw: number of the draw; every process that draws the same number chooses the same.

    Returns:
        Class indices `[K]`, sorted, each once, on the device of `present`.
    """
    others = num_classes - len(present)
    wanted = min(max(0, round(share * num_classes) - len(present)), others)
    if not wanted:
        return present
    generator = torch.Generator().manual_seed(draw)
    edges = torch.arange(wanted + 1) * others // wanted
    within = torch.rand(wanted, generator=generator, dtype=torch.float64)
    drawn = edges[:-1] + (within * edges.diff()).long()
    drawn = (drawn + torch.randint(others, (1,), generator=generator)) % others
    drawn = drawn.to(present.device)
    # The n-th of the others stands as many places further up as classes present come before it.
    before = present - torch.arange(len(present), device=present.device)
    drawn += torch.searchsorted(before, drawn, right=True)
    return torch.cat([present, drawn]).sort().values


def distributed() -> bool:
    """Whether this is one of several processes that train together."""
    return processes.is_available() and processes.is_initialized() and _world() > 1


def present_classes(labels: Tensor) -> Tensor:
    """Returns the classes in the batches of all processes, sorted, each once."""
    if not distributed():
        return labels.unique()
    sizes = [torch.zeros(1, dtype=torch.long, device=labels.device) for _ in range(_world())]
    processes.all_gather(sizes, torch.tensor([len(labels)], device=labels.device))
    longest = max(int(size) for size in sizes)
    padded = torch.cat([labels, labels[:1].expand(longest - len(labels))])
    gathered = [torch.empty_like(padded) for _ in sizes]
    processes.all_gather(gathered, padded)
    return torch.cat(gathered).unique()


def mean_over_processes(gradient: Tensor) -> Tensor:
    """Returns the mean of what every process has here, on any backend; the same on each."""
    mean = gradient / _world()
    processes.all_reduce(mean)
    return mean


def share_first(tensor: Tensor) -> None:
    """Gives every process the tensor of the first."""
    processes.broadcast(tensor, 0)


def _world() -> int:
    return processes.get_world_size()
