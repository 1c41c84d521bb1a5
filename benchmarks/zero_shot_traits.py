"""Unseen species by their traits, or by their names alone (synthetic flora, small Swin).

    python benchmarks/zero_shot_traits.py --seeds 0 1 2

In the synthetic flora a trait description says what is drawn, and an epithet mostly nothing. A
small Swin of random weights learns with a text head on the species of `zero_shot_split=train`, once
with the prompt `{traits}` and once with `{name}`, and names test photos of all species, those it
never saw among them: their traits are known from other species, in other combinations. Collections
and finished runs in `--output` are not made again.

Prints a Markdown table, means over the seeds with the lowest and highest.
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
PROMPTS = {"traits": "{traits}", "names": "{name}"}
SMALL_SWIN = (
    *("--backbone", "swin_tiny", "--no-pretrained", "--set", "backbone.embed_dim=48"),
    *("--set", "backbone.depths=[2, 2, 4, 2]", "--set", "backbone.num_heads=[2, 4, 8, 16]"),
    *("--set", "backbone.window_size=4", "--set", "backbone.drop_path_rate=0.0"),
)
COLUMNS = ("unseen top-1", "times chance", "unseen top-5", "seen", "unseen", "H")


def flora(options: argparse.Namespace, seed: int) -> Path:
    """Returns the folder of a collection, drawing it if it is not there."""
    from herbzoo.data.synthetic import synthetic_collection, write_collection

    folder: Path = options.output / f"flora-{seed}"
    if not folder.exists():
        collection = synthetic_collection(options.species, seed, options.images)
        side = options.image_size + 32
        write_collection(collection, folder, min_size=(side, side))
    return folder


def trained(options: argparse.Namespace, text: str, seed: int) -> dict[str, Any]:
    """Returns the metrics of a run, training it if it is not there."""
    run: Path = options.output / f"{text}-{seed}"
    if not (run / "metrics.json").is_file():
        command = [str(HERBZOO), "train", "--recipe", "baseline", *SMALL_SWIN]
        command += ["--head", "clip_text", "--set", f'head.prompts=["{PROMPTS[text]}"]']
        command += ["--set", "head.max_tokens=64", "--set", "training.discriminant=true"]
        command += ["--set", "training.stacking_species=10"]
        command += ["--set", "training.stacking_withholds=species"]
        command += ["--set", "training.backbone_lr_scale=1", "--set", "training.layer_decay=1"]
        command += ["--set", "training.head_epochs=0", "--lr", "0.001"]
        command += ["--set", "data.validation_share=0.05", "--batch-size", "32"]
        command += ["--image-size", str(options.image_size), "--epochs", str(options.epochs)]
        command += ["--data", str(flora(options, seed)), "--split-column", "zero_shot_split"]
        command += ["--seed", str(seed), "--output", str(run)]
        print("$", " ".join(command), file=sys.stderr, flush=True)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found: dict[str, Any] = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return found


def figures(metrics: dict[str, Any]) -> list[float]:
    """Returns the columns of the table."""
    alone, groups = metrics["unseen_among_unseen"], metrics["groups"]["zero_shot"]
    return [
        *(alone["top1"], alone["top1"] / alone["chance"], alone["top5"]),
        *(groups["seen"]["top1"], groups["unseen"]["top1"]),
        metrics["harmonic_mean"]["zero_shot"],
    ]


def cell(values: tuple[float, ...]) -> str:
    """Returns the mean, with the least and the most."""
    return f"{statistics.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("runs/zero-shot-traits"))
    parser.add_argument("--species", type=int, default=150)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--epochs", type=float, default=30)
    parser.add_argument("--texts", nargs="+", choices=PROMPTS, default=list(PROMPTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    found = {
        text: [trained(options, text, seed) for seed in options.seeds] for text in options.texts
    }
    print("| text | n | chance | " + " | ".join(COLUMNS) + " |")
    print("|---|---:|---:|" + "---:|" * len(COLUMNS))
    for text, runs in found.items():
        rows = "/".join(str(run["unseen_among_unseen"]["n"]) for run in runs)
        chance = cell(tuple(run["unseen_among_unseen"]["chance"] for run in runs))
        columns = zip(*map(figures, runs), strict=True)
        print(f"| {text} | {rows} | {chance} | " + " | ".join(map(cell, columns)) + " |")


if __name__ == "__main__":
    main()
