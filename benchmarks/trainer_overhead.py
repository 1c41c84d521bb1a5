"""What `HerbTrainer` costs over a bare PyTorch loop, with the same loader, model and optimiser.

    python benchmarks/trainer_overhead.py

Both train the same model on the same rows in the same order, and are timed from the first step to
the end of the last. They take turns, several times, so that what else the machine does hits both;
the median of the rounds' ratios is printed. Images are drawn by the synthetic flora, once, into a
temporary folder.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainingArguments, set_seed

from herbzoo.build import build, image_spec_of, place
from herbzoo.data.batches import EpochSampler, ImageRows, class_indices
from herbzoo.data.readers import open_collection
from herbzoo.data.synthetic import synthetic_collection, write_collection
from herbzoo.data.transforms import Augment, Letterbox
from herbzoo.interfaces import PartSpec
from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification
from herbzoo.optimisation import parameter_groups
from herbzoo.recipe import OptimRecipe
from herbzoo.taxonomy import Taxonomy
from herbzoo.trainer import HerbTrainer

RECIPE = OptimRecipe(epochs=1)


class Clock(TrainerCallback):
    """Times the steps alone."""

    started = ended = 0.0

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Starts at the first step."""
        self.started = self.started or time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Moves the end to this step's."""
        self.ended = time.perf_counter()


def prepare(folder: Path, backbone: str, size: int) -> tuple[HerbForImageClassification, ImageRows]:
    """Returns a fresh model with the same initial weights every time, and the rows."""
    set_seed(0)
    collection = open_collection(folder)
    taxonomy = Taxonomy.from_collection(collection)
    model, processor = build(
        PartSpec(backbone),
        PartSpec("linear_bn"),
        PartSpec("arcface"),
        taxonomy,
        image_size=size,
        pretrained_backbone=False,
    )
    letterbox = Letterbox(image_spec_of(processor))
    rows = ImageRows(collection, letterbox, class_indices(collection, taxonomy), Augment())
    return place(model, torch.device("cpu")), rows


def bare_loop(
    model: HerbForImageClassification, rows: ImageRows, batch: int, workers: int
) -> float:
    """Trains one epoch with nothing but PyTorch; returns the seconds of the steps."""
    loader: DataLoader[Any] = DataLoader(
        rows, batch_size=batch, sampler=EpochSampler(len(rows), 0), num_workers=workers
    )
    groups = parameter_groups(model, RECIPE)
    optimiser = torch.optim.AdamW(groups, fused=True)
    steps = len(loader)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    model.train()
    started = 0.0
    for inputs in loader:
        started = started or time.perf_counter()
        loss = model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE.grad_clip)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    return time.perf_counter() - started


def herb_trainer(
    model: HerbForImageClassification, rows: ImageRows, batch: int, workers: int, folder: str
) -> float:
    """Trains one epoch as `herbzoo train` does, without evaluation; returns the seconds."""
    arguments = TrainingArguments(
        output_dir=folder,
        use_cpu=True,
        num_train_epochs=1,
        per_device_train_batch_size=batch,
        lr_scheduler_type="cosine",
        max_grad_norm=RECIPE.grad_clip,
        dataloader_num_workers=workers,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        logging_strategy="no",
        save_strategy="no",
        seed=0,
        disable_tqdm=True,
    )
    trainer = HerbTrainer(RECIPE, model=model, args=arguments, train_dataset=rows)
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    return clock.ended - clock.started


def main() -> None:
    """Prints the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(max(1, (os.cpu_count() or 2)))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "flora"
        write_collection(synthetic_collection(12, 0, 32), folder)
        bare, ours = [], []
        for _ in range(options.rounds):
            model, rows = prepare(folder, options.backbone, options.size)
            bare.append(bare_loop(model, rows, options.batch, options.workers))
            model, rows = prepare(folder, options.backbone, options.size)
            ours.append(herb_trainer(model, rows, options.batch, options.workers, temporary))
            print(f"bare loop {bare[-1]:.2f} s, HerbTrainer {ours[-1]:.2f} s", flush=True)
        ratios = [one / other for one, other in zip(ours, bare, strict=True)]
        print(
            f"{len(rows)} images at {options.size} px, {options.backbone}: HerbTrainer takes "
            f"{statistics.median(ratios):.3f} times the bare loop (median of {options.rounds} "
            f"rounds, {min(ratios):.3f} to {max(ratios):.3f})"
        )


if __name__ == "__main__":
    main()
