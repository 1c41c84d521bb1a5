"""Images a second of whole training epochs, from files on disk: herbzoo against its peers.

    python benchmarks/train.py
    python benchmarks/train.py --backbones timm:test_efficientnet --epochs 3
    python benchmarks/train.py --device cuda --dtype bfloat16 --backbones convnextv2_nano swin_tiny \
        --size 224 --images 4096 --batch 128 --workers 14

The same files, the same timm network with a linear classifier and fresh weights, the same batch
size, steps, loader processes and memory layout (channels_last), AdamW, fused:

- `herbzoo`: `herbzoo.training.train` as `herbzoo train` calls it, with its random views.
- `transformers`: the way of its example `run_image_classification`: `load_dataset("imagefolder")`,
  a full decode, torchvision's `RandomResizedCrop`, flip, `ToTensor` and `Normalize` in a
  `set_transform`, and the stock `Trainer` around `TimmWrapperForImageClassification`.
- `timm`: `create_dataset` and `create_loader` with the defaults of its `train.py` (full decode,
  random resized crop, flip, colour jitter 0.4, prefetcher, workers that persist) and that
  script's loop, without its logging and its reading of the loss after each step.

Neither peer turns on channels_last by itself (timm has a flag for it); here both do, unless
`--plain-layout` is given. Each measurement is a process of its own. Its first epoch warms up and
is not counted; an epoch is timed from before its workers are asked for the first batch to the end
of its last step, so neither validation nor checkpoints are in it. The ways take turns in rounds,
so that what else the machine does hits all of them; medians of the rounds and of their ratios are
printed, with least and most.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from sheets import describe, hardware, write_sheets

OURS = "herbzoo"
WAYS = (OURS, "transformers", "timm")
SIDE = 1000
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


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Trains one way; returns the median seconds of the counted epochs and the steps of each."""
    torch.manual_seed(0)
    clock = Clock(options.device)
    with tempfile.TemporaryDirectory(dir=options.folder.parent) as output:
        options.output = Path(output)
        {OURS: train_herbzoo, "transformers": train_transformers, "timm": train_timm}[
            options.measure
        ](options, clock)
    if len(clock.seconds) != 1 + options.epochs:
        raise SystemExit(f"{options.measure} trained {len(clock.seconds)} epochs")
    return {
        "seconds": statistics.median(clock.seconds[1:]),
        "steps": clock.steps / len(clock.seconds),
    }


def in_a_process(way: str, backbone: str, folder: Path, options: argparse.Namespace) -> Any:
    """Measures one way in a process of its own, which reaches no network."""
    command = [sys.executable, __file__, "--measure", way, "--folder", str(folder)]
    command += ["--backbone", backbone]
    for key in ("device", "dtype", "size", "batch", "workers", "epochs"):
        command += [f"--{key}", str(getattr(options, key))]
    command += ["--plain-layout"] if options.plain_layout else []
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TQDM_DISABLE": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **offline}
    )
    if done.returncode:
        raise SystemExit(f"{way} with {backbone} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(backbone: str, folder: Path, options: argparse.Namespace) -> None:
    """Prints a line for each way to train one backbone."""
    found: dict[str, list[float]] = {way: [] for way in options.ways}
    steps = set()
    for number in range(options.rounds):
        turn = number % len(options.ways)
        for way in [*options.ways[turn:], *options.ways[:turn]]:
            one = in_a_process(way, backbone, folder, options)
            found[way].append(one["steps"] * options.batch / one["seconds"])
            steps.add(one["steps"])
    if len(steps) > 1:
        raise SystemExit(f"the ways took different numbers of steps an epoch: {sorted(steps)}")
    print(f"\n{backbone}, {options.size} px, {steps.pop():.0f} steps an epoch", flush=True)
    for way, rates in found.items():
        line = (
            f"  {way:<12} {statistics.median(rates):8.1f} images a second "
            f"({min(rates):.1f} to {max(rates):.1f})"
        )
        if way != OURS and OURS in found:
            ratios = [ours / theirs for ours, theirs in zip(found[OURS], rates, strict=True)]
            line += (
                f"; {OURS} is {statistics.median(ratios):.2f} times as fast "
                f"({min(ratios):.2f} to {max(ratios):.2f})"
            )
        print(line, flush=True)


@contextlib.contextmanager
def sheets_in(folder: Path | None, images: int) -> Iterator[Path]:
    """Gives a folder of sheets: a temporary one, or the one named, filled once."""
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "sheets"
        if not folder.is_dir():
            write_sheets(folder, images, SIDE)
        yield folder


def main() -> None:
    """Compares the ways for each backbone."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--backbones", nargs="+", default=["efficientnet_lite0", "timm:test_efficientnet"]
    )
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--images", type=int, default=384)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=1, help="counted ones, after the first")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--plain-layout", action="store_true", help="no channels_last for peers")
    parser.add_argument("--folder", type=Path, help="of the sheets; filled if it is not there")
    parser.add_argument("--measure", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--backbone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options)))
        return
    if options.images % options.batch:
        parser.error("--images must be a multiple of --batch: timm drops the last, short batch")
    where = hardware()
    if options.device != "cpu":
        where = f"{torch.cuda.get_device_name()}, {where}"
    with sheets_in(options.folder, options.images) as folder:
        print(
            f"{where}; {describe(sorted(folder.rglob('*.jpg')))}; batch {options.batch}, "
            f"{options.workers} workers, {torch.get_num_threads()} threads, {options.dtype}, "
            f"peers in {'plain layout' if options.plain_layout else 'channels_last'}; torch "
            f"{torch.__version__}, timm {version('timm')}, transformers {version('transformers')}; "
            f"{options.rounds} rounds of {options.epochs} epochs after one to warm up; "
            f"load average {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        for backbone in options.backbones:
            compare(backbone, folder, options)


if __name__ == "__main__":
    main()
