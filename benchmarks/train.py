"""Images a second of whole training epochs, from files on disk: herbzoo against its peers.

    python benchmarks/train.py
    python benchmarks/train.py --backbones timm:lcnet_035 --epochs 3
    python benchmarks/train.py --device cuda --dtype bfloat16 --size 224 --images 4096 \
        --batch 128 --workers 14 --backbones convnextv2_nano swin_tiny

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
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from sheets import describe, hardware, write_sheets
from training_ways import OURS, Clock, train_herbzoo, train_timm, train_transformers

WAYS = (OURS, "transformers", "timm")
SIDE = 1000


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
    parser.add_argument("--backbones", nargs="+", default=["efficientnet_lite0", "timm:lcnet_035"])
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
