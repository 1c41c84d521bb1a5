"""A sampled head trained by two processes on the CPU: `test_sparse_training` starts them."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from herbzoo_plugins.heads.class_sample import present_classes
from torch import distributed as processes
from torch.nn.parallel import DistributedDataParallel

from herbzoo.build import build
from herbzoo.interfaces import PartSpec
from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification
from herbzoo.optimisation import clip_gradients, create_optimizer
from herbzoo.recipe import OptimRecipe
from herbzoo.taxonomy import Taxonomy

CLASSES, STEPS, BATCH = 30, 4, 3
TAXONOMY = Taxonomy.from_names(f"Genus species{number}" for number in range(CLASSES))


def new_model(seed: int = 0) -> HerbForImageClassification:
    """Returns a model without batch statistics, so that two half batches are one."""
    torch.manual_seed(seed)
    head = PartSpec("arcface", {"sample_rate": 0.4, "margin_warmup_steps": 3})
    parts = (PartSpec("timm:test_convnext"), PartSpec("identity"), head)
    return build(*parts, TAXONOMY, image_size=32, pretrained_backbone=False)[0]


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the images and labels of both processes, one after the other."""
    generator = torch.Generator().manual_seed(step)
    images = torch.randn(2 * BATCH, 3, 32, 32, generator=generator)
    return images, torch.randint(CLASSES, (2 * BATCH,), generator=generator)


def learn(model: torch.nn.Module, core: HerbForImageClassification, rows: slice) -> list[float]:
    """Trains some steps on these rows of each batch; returns the losses."""
    optimiser = create_optimizer(core, OptimRecipe(), torch.optim.AdamW, {})
    losses = []
    for step in range(STEPS):
        images, labels = batch(step)
        loss = model.train()(pixel_values=images[rows], labels=labels[rows]).loss
        loss.backward()
        clip_gradients(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    return losses


def work(rank: int, folder: str) -> None:
    """Trains as one of two processes, and leaves what came of it in the folder."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    meeting = f"file://{folder}/meeting"
    processes.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    core = new_model(seed=rank)  # the first process's weights must win
    model = DistributedDataParallel(core)
    losses = learn(model, core, slice(rank * BATCH, (rank + 1) * BATCH))
    uneven = torch.tensor([[5, 2, 5], [9]][rank])
    found = {"losses": losses, "present": present_classes(uneven), "state": core.state_dict()}
    torch.save(found, Path(folder) / f"{rank}.pt")
    processes.destroy_process_group()
