"""Heads compared on pressed leaves to field photos (LeafSnap), as the README's table shows them.

    python benchmarks/leafsnap.py --data ../shared/data/leafsnap --seeds 0 1 2 --recipe frozen
    python benchmarks/leafsnap.py --data ../shared/data/leafsnap --seeds 0 --epochs 8

Each run is `herbzoo train ... --split-column cross_domain --group-by pairs`; finished ones are read
from `--output` and not repeated. Prints a Markdown table: the mean over the seeds, and the lowest
and highest where there are several.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HERBZOO = Path(sys.executable).with_name("herbzoo")
HEADER = (
    "| head | top-1 | top-5 | MRR | macro-F1 | with pairs | without pairs | H |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|"
)


def trained(options: argparse.Namespace, head: str, seed: int) -> dict[str, Any]:
    """Returns the metrics of a run, training it if it is not there."""
    run = options.output / f"{options.recipe or 'tuned'}-{head}-{seed}"
    if not (run / "metrics.json").is_file():
        command = [str(HERBZOO), "train", "--backbone", options.backbone, "--head", head]
        command += ["--data", str(options.data), "--split-column", "cross_domain"]
        command += ["--group-by", "pairs", "--image-size", str(options.image_size)]
        command += ["--seed", str(seed), "--output", str(run)]
        command += ["--recipe", options.recipe] if options.recipe else []
        command += ["--epochs", str(options.epochs)] if options.epochs else []
        print("$", " ".join(command), file=sys.stderr, flush=True)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def figures(metrics: dict[str, Any]) -> list[float]:
    """Returns the columns of the table."""
    overall, pairs = metrics["overall"], metrics["groups"]["pairs"]
    return [
        *(overall[key] for key in ("top1", "top5", "mrr", "macro_f1")),
        *(pairs[value]["top1"] for value in ("with", "without")),
        metrics["harmonic_mean"]["pairs"],
    ]


def cell(values: tuple[float, ...]) -> str:
    """Returns the mean and, of several, the range."""
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f}-{max(values):.3f})"


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("runs/leafsnap"))
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--heads", nargs="+", default=["softmax", "arcface"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--recipe", default="")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--epochs", type=float, default=0)
    options = parser.parse_args()
    print(HEADER)
    for head in options.heads:
        runs = [figures(trained(options, head, seed)) for seed in options.seeds]
        print(f"| {head} | " + " | ".join(map(cell, zip(*runs, strict=True))) + " |", flush=True)


if __name__ == "__main__":
    main()
