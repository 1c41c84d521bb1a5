"""JPEGs like those of herbaria, for the other benchmarks: the synthetic flora's sheets, large.

A sheet is drawn at 640 by 960 pixels, enlarged, given the grain that a scanner's sensor leaves,
and saved at quality 90 with halved colour. At 1000 px that makes 170 kB, at 4000 px 2 MB: what
GBIF and Kaggle hand out.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from herbzoo.data.synthetic import SyntheticImages
from herbzoo.data.synthetic.images import sheet_key

GRAIN = 3.0
"""Standard deviation of the grain, of 255."""
QUALITY = 90
SPECIES = 12
HERBARIA = 4
"""Whose paper and furniture are used."""


def write_sheet(path: Path, number: int, side: int) -> None:
    """Writes the sheet of that number with `side` pixels on its longer side."""
    key = sheet_key(number % SPECIES, number // SPECIES, 0, number % HERBARIA)
    drawn = SyntheticImages(SPECIES).open(key)
    size = (round(drawn.width * side / max(drawn.size)), round(drawn.height * side / drawn.height))
    enlarged = np.asarray(drawn.resize(size, Image.Resampling.LANCZOS), dtype=np.float32)
    rng = np.random.default_rng(number)
    grain = rng.normal(0, GRAIN, (*enlarged.shape[:2], 1)).astype(np.float32)
    pixels = np.clip(enlarged + grain, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=QUALITY, subsampling="4:2:0")


def write_sheets(folder: Path, count: int, side: int) -> list[Path]:
    """Writes sheets into folders named for their species; returns the files."""
    paths = [folder / f"species {n % SPECIES:02}" / f"{n:05}.jpg" for n in range(count)]
    for number, path in enumerate(paths):
        write_sheet(path, number, side)
    return paths


def describe(paths: list[Path]) -> str:
    """Returns number, size in pixels, bytes and bits a pixel of some files, in words."""
    pixels, bytes_, sides = 0, 0, []
    for path in paths:
        with Image.open(path) as image:
            pixels += image.width * image.height
            sides.append(max(image.size))
        bytes_ += path.stat().st_size
    longest = f"{min(sides)} to {max(sides)}" if min(sides) < max(sides) else f"{sides[0]}"
    return (
        f"{len(paths)} JPEGs of {longest} px, {bytes_ / len(paths) / 1000:,.0f} kB each, "
        f"{8 * bytes_ / pixels:.1f} bits a pixel"
    )


def hardware() -> str:
    """Returns the processor's name and how many cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return f"{processor_name()}, {cores} cores"


def processor_name() -> str:
    """Returns what Linux says, or the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()
