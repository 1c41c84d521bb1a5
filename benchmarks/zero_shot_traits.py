"""Unseen species by their traits, or by their names alone (synthetic flora, small Swin).

    python benchmarks/zero_shot_traits.py --seeds 0 1 2

In the synthetic flora a trait description says what is drawn, and an epithet mostly nothing. A
small Swin of random weights learns with a text head on the species of `zero_shot_split=train`, once
with the prompt `{traits}` and once with `{name}`, and names images of species that it never saw:
their traits are known from other species, in other combinations. Names are told apart by the same
head, so what they reach shows what genus words alone are worth.

Unseen species are named twice: in field photos, on which `zero_shot_split` tests, and on herbarium
sheets, most of what it learned from; the first adds the step from the pressed plant to the living
one. Collections and finished runs in `--output` are not made again.

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

import numpy as np

HERBZOO = Path(sys.executable).with_name("herbzoo")
PROMPTS = {"traits": "{traits}", "names": "{name}"}
SMALL_SWIN = (
    *("--backbone", "timm:swin_tiny_patch4_window7_224", "--no-pretrained", "--set"),
    'backbone.model_options={"embed_dim": 48, "depths": [2, 2], "num_heads": [2, 4], '
    '"window_size": 4, "weight_init": "jax"}',
)
LEARNING = (
    *("--set", "head.max_tokens=64", "--set", "head.genus_weight=1"),
    *("--set", "head.family_weight=1", "--set", "training.sampling=domain_paired"),
    *("--set", "training.backbone_lr_scale=1", "--set", "training.layer_decay=1"),
    *("--set", "training.head_epochs=0", "--lr", "0.0007", "--batch-size", "16"),
    *("--set", "image.recolour=0.3", "--set", "image.augment=0.3"),
    *("--set", "data.validation_share=0.05"),
)
SHEETS = "sheets_split"
"""The column by which the sheets of unseen species are test rows, with the same training rows."""
COLUMNS = ("unseen top-1", "times chance", "top-5")


def flora(options: argparse.Namespace, seed: int) -> Path:
    """Returns the folder of a collection, drawing it if it is not there."""
    from herbzoo.data.records import HERBARIUM
    from herbzoo.data.synthetic import synthetic_collection, write_collection

    folder: Path = options.output / f"flora-{seed}"
    if not folder.exists():
        collection = synthetic_collection(options.species, seed, options.images)
        frame = collection.frame
        unseen = frame["basisOfRecord"].eq(HERBARIUM) & frame["zero_shot"].eq("unseen")
        trained_on = frame["zero_shot_split"].eq("train")
        frame[SHEETS] = np.where(unseen, "test", np.where(trained_on, "train", "unused"))
        side = options.image_size + 32
        write_collection(collection, folder, min_size=(side, side))
    return folder


def herbzoo(*arguments: str) -> None:
    """Runs a command of herbzoo."""
    print("$ herbzoo", " ".join(arguments), file=sys.stderr, flush=True)
    subprocess.run([str(HERBZOO), *arguments], check=True, stdout=subprocess.DEVNULL)


def measured(options: argparse.Namespace, text: str, seed: int) -> list[dict[str, Any]]:
    """Returns the metrics of a run on photos and on sheets, making what is not there."""
    run: Path = options.output / f"{text}-{seed}"
    sheets = run / "evaluations" / "sheets"
    data = str(flora(options, seed))
    if not (run / "metrics.json").is_file():
        herbzoo(
            *("train", "--recipe", "baseline", *SMALL_SWIN, *LEARNING, "--head", "clip_text"),
            *("--set", f'head.prompts=["{PROMPTS[text]}"]', "--epochs", str(options.epochs)),
            *("--image-size", str(options.image_size), "--data", data),
            *("--split-column", "zero_shot_split", "--seed", str(seed), "--output", str(run)),
        )
    if not (sheets / "metrics.json").is_file():
        herbzoo(
            *("evaluate", str(run), "--data", data, "--split-column", SHEETS, "--no-report"),
            *("--protocol", "zero_shot", "--output", str(sheets)),
        )
    return [
        json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["unseen_among_unseen"]
        for folder in (run, sheets)
    ]


def cell(values: tuple[float, ...]) -> str:
    """Returns the mean, with the least and the most."""
    return f"{statistics.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("runs/zero-shot-traits"))
    parser.add_argument("--species", type=int, default=300)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--epochs", type=float, default=14)
    parser.add_argument("--texts", nargs="+", choices=PROMPTS, default=list(PROMPTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    print("| text | images | n | chance | " + " | ".join(COLUMNS) + " |")
    print("|---|---|---:|---:|" + "---:|" * len(COLUMNS))
    for text in options.texts:
        runs = [measured(options, text, seed) for seed in options.seeds]
        for images, found in zip(("photos", "sheets"), zip(*runs, strict=True), strict=True):
            rows = "/".join(str(one["n"]) for one in found)
            columns = zip(
                *(
                    (one["chance"], one["top1"], one["top1"] / one["chance"], one["top5"])
                    for one in found
                ),
                strict=True,
            )
            print(f"| {text} | {images} | {rows} | " + " | ".join(map(cell, columns)) + " |")


if __name__ == "__main__":
    main()
