"""The ways of training that `train.py` compares, each timed by the epoch."""

from __future__ import annotations

import argparse
import contextlib
import time
from typing import Any

import torch

OURS = "herbzoo"
LR, WEIGHT_DECAY = 2e-3, 0.05


class Clock:
    """The seconds of each epoch; a callback of a Trainer as well as something to call."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds: list[float] = []
        self.steps = 0
        self.started = 0.0

    def start(self) -> None:
        """Starts an epoch."""
        self._wait()
        self.started = time.perf_counter()

    def stop(self) -> None:
        """Ends it."""
        self._wait()
        self.seconds.append(time.perf_counter() - self.started)

    def _wait(self) -> None:
        if self.device != "cpu":
            torch.cuda.synchronize()


def install(clock: Clock) -> None:
    """Has every Trainer of this process tell the clock its epochs."""
    from transformers import TrainerCallback, trainer

    class Told(TrainerCallback):
        def on_epoch_begin(self, *args: Any, **kwargs: Any) -> None:
            clock.start()

        def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
            clock.stop()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            clock.steps += 1

    trainer.DEFAULT_CALLBACKS.append(Told)


def train_herbzoo(options: argparse.Namespace, clock: Clock) -> None:
    """Trains as `herbzoo train` does."""
    from herbzoo.prepared import Hardware
    from herbzoo.recipe import DataRecipe, ImageRecipe, OptimRecipe, PartRecipe, Recipe
    from herbzoo.training import train

    install(clock)
    recipe = Recipe(
        backbone=PartRecipe(options.backbone, pretrained=False),
        neck=PartRecipe("identity"),
        head=PartRecipe("softmax"),
        data=DataRecipe(str(options.folder), validation_share=0, test_share=0),
        image=ImageRecipe(size=options.size),
        training=OptimRecipe(
            epochs=1 + options.epochs,
            batch_size=options.batch,
            lr=LR,
            weight_decay=WEIGHT_DECAY,
            log="none",
        ),
        output=str(options.output / "run"),
    )
    train(recipe, hardware=Hardware(options.device, options.workers, options.dtype))


def network(options: argparse.Namespace) -> Any:
    """Returns herbzoo's backbone, for its timm name, its options and its image statistics."""
    from herbzoo.modeling.parts_herbzoo import create

    spec = {"name": options.backbone, "options": {"image_size": options.size}}
    return create("backbones", spec)


def layout(options: argparse.Namespace) -> torch.memory_format:
    """Returns the memory layout of the peers."""
    return torch.contiguous_format if options.plain_layout else torch.channels_last


def train_transformers(options: argparse.Namespace, clock: Clock) -> None:
    """Trains as the example script of transformers does."""
    from datasets import load_dataset
    from torchvision.transforms import (
        Compose,
        Normalize,
        RandomHorizontalFlip,
        RandomResizedCrop,
        ToTensor,
    )
    from transformers import (
        AutoModelForImageClassification,
        TimmWrapperConfig,
        Trainer,
        TrainingArguments,
    )

    install(clock)
    ours = network(options)
    spec = ours.image_spec()
    data = load_dataset(
        "imagefolder",
        data_dir=str(options.folder),
        split="train",
        cache_dir=str(options.output / "cache"),
    )
    transform = Compose(
        [
            RandomResizedCrop(tuple(spec["size"])),
            RandomHorizontalFlip(),
            ToTensor(),
            Normalize(mean=spec["mean"], std=spec["std"]),
        ]
    )

    def transforms(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        batch["pixel_values"] = [transform(image.convert("RGB")) for image in batch["image"]]
        return batch

    def collate(examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        return {
            "pixel_values": torch.stack([example["pixel_values"] for example in examples]),
            "labels": torch.tensor([example["label"] for example in examples]),
        }

    data.set_transform(transforms)
    config = TimmWrapperConfig(
        architecture=ours.architecture,
        model_args=ours.model_options,
        num_labels=data.features["label"].num_classes,
    )
    model = AutoModelForImageClassification.from_config(config)
    torch.nn.Module.to(model, memory_format=layout(options))
    arguments = TrainingArguments(
        output_dir=str(options.output / "trainer"),
        use_cpu=options.device == "cpu",
        num_train_epochs=1 + options.epochs,
        per_device_train_batch_size=options.batch,
        learning_rate=LR,
        weight_decay=WEIGHT_DECAY,
        bf16=options.dtype == "bfloat16",
        fp16=options.dtype == "float16",
        dataloader_num_workers=options.workers,
        dataloader_pin_memory=options.device != "cpu",
        remove_unused_columns=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    Trainer(model=model, args=arguments, train_dataset=data, data_collator=collate).train()


def train_timm(options: argparse.Namespace, clock: Clock) -> None:
    """Trains as the training script of timm does."""
    import timm
    from timm.data import create_dataset, create_loader
    from timm.optim import create_optimizer_v2
    from timm.utils import NativeScaler

    ours = network(options)
    spec = ours.image_spec()
    device = torch.device(options.device)
    data = create_dataset("", root=str(options.folder))
    loader = create_loader(
        data,
        input_size=(3, *spec["size"]),
        batch_size=options.batch,
        is_training=True,
        scale=(0.08, 1.0),
        ratio=(3 / 4, 4 / 3),
        interpolation="random",
        mean=tuple(spec["mean"]),
        std=tuple(spec["std"]),
        num_workers=options.workers,
        pin_memory=options.device != "cpu",
        device=device,
    )
    classes = len(data.reader.class_to_idx)
    model = timm.create_model(ours.architecture, num_classes=classes, **ours.model_options)
    model.to(device, memory_format=layout(options)).train()
    optimiser = create_optimizer_v2(
        model, opt="adamw", lr=LR, weight_decay=WEIGHT_DECAY, fused=True
    )
    criterion = torch.nn.CrossEntropyLoss().to(device)
    mixed = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(options.dtype)
    autocast = contextlib.nullcontext()
    if mixed is not None:
        autocast = torch.autocast(device.type, dtype=mixed)
    scaler = NativeScaler(device=device.type) if mixed is torch.float16 else None
    for _ in range(1 + options.epochs):
        clock.start()
        for images, labels in loader:
            images = images.contiguous(memory_format=layout(options))
            with autocast:
                loss = criterion(model(images), labels)
            if scaler is not None:
                scaler(loss, optimiser)
            else:
                loss.backward()
                optimiser.step()
            optimiser.zero_grad()
            clock.steps += 1
        clock.stop()
