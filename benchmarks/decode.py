"""How fast sheets become tensors: herbzoo's scaled decode, a full decode, and torchvision's loader.

    python benchmarks/decode.py
    python benchmarks/decode.py --real ../shared/data/dsah/sheets-full

From a JPEG on disk (in the system's cache, that is in memory) to normalised float32 [3, 224, 224],
in one process with one thread:

- `herbzoo`: what a loader's worker does for each image: `decode` at the scale that is needed, then
  `Letterbox`, and its `normalise`.
- `full decode`: `Image.open(...).convert("RGB")`, then the same letterbox and normalisation.
- `torchvision`: ImageFolder's `default_loader`, then `Resize(256)`, `CenterCrop(224)`, `ToTensor`
  and `Normalize`, as its references evaluate.

They take turns, in rounds over the same images, so that what else the machine does hits all of
them. The median of the rounds is printed, and of the ratios of the rounds, with least and most.
Ratios of processor time are printed beside: with one thread they should be the same, and a busy
machine troubles them less.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from PIL import Image, features
from sheets import describe, hardware, write_sheets
from torch import Tensor
from torchvision import transforms
from torchvision.datasets.folder import default_loader

from herbzoo.data.images import decode, is_image_path
from herbzoo.data.transforms import Letterbox
from herbzoo.interfaces import ImageSpec

SPEC = ImageSpec(size=(224, 224))
BOUNDS = {1000: 1.8, 4000: 4.5}
OURS = "herbzoo"


def ways() -> dict[str, Callable[[Path], Tensor]]:
    """Returns the ways from a file to a tensor, by name."""
    letterbox = Letterbox(SPEC)
    reference = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(SPEC.mean, SPEC.std),
        ]
    )

    def full(path: Path) -> Tensor:
        with Image.open(path) as image:
            return letterbox.normalise(letterbox(image.convert("RGB")))

    return {
        OURS: lambda path: letterbox.normalise(letterbox(decode(path, SPEC.size))),
        "full decode": full,
        "torchvision": lambda path: reference(default_loader(str(path))),
    }


def seconds(way: Callable[[Path], Tensor], paths: list[Path]) -> tuple[float, float]:
    """Returns wall and processor time of one pass over the images."""
    wall, processor = time.perf_counter(), time.process_time()
    for path in paths:
        way(path)
    return time.perf_counter() - wall, time.process_time() - processor


def compare(paths: list[Path], rounds: int, bound: float | None) -> None:
    """Prints a line for each way."""
    known = ways()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in known}
    for way in known.values():  # the first pass fills caches
        seconds(way, paths)
    names = list(known)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            taken[name].append(seconds(known[name], paths))
    for name, times in taken.items():
        rate = statistics.median(len(paths) / wall for wall, _ in times)
        line = f"  {name:<12} {rate:8.1f} images a second"
        if name != OURS:
            pairs = list(zip(times, taken[OURS], strict=True))
            wall = [theirs[0] / ours[0] for theirs, ours in pairs]
            processor = [theirs[1] / ours[1] for theirs, ours in pairs]
            line += (
                f"; {OURS} is {statistics.median(wall):.2f} times as fast "
                f"({min(wall):.2f} to {max(wall):.2f}), {statistics.median(processor):.2f} in "
                f"processor time ({min(processor):.2f} to {max(processor):.2f})"
            )
            line += "" if bound is None else f"; wanted {bound}"
        print(line, flush=True)


def main() -> None:
    """Measures each kind of sheets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=24, help="of 1000 px; a third of 4000 px")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--real", type=Path, help="a folder of JPEGs to measure as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{hardware()}; one process, one thread; Pillow {version('pillow')} with libjpeg-turbo "
        f"{features.version('libjpeg_turbo')}, torch {torch.__version__}, torchvision "
        f"{version('torchvision')}; medians of {options.rounds} rounds, least and most; "
        f"load average {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for side, bound in BOUNDS.items():
            count = options.images if side == 1000 else max(1, options.images // 3)
            paths = write_sheets(Path(folder) / str(side), count, side)
            print(f"\nsynthetic sheets: {describe(paths)}")
            compare(paths, options.rounds, bound)
    if options.real is not None:
        real = sorted(path for path in options.real.rglob("*") if is_image_path(path))
        print(f"\nreal sheets of {options.real}: {describe(real)}")
        compare(real, options.rounds, None)


if __name__ == "__main__":
    main()
