"""Species never trained on (LeafSnap): by name, against chance and against guessing by genus.

    python benchmarks/zero_shot.py --data ../shared/data/leafsnap --seeds 0 1 2

Each run is `herbzoo train --split-column zero_shot_split --group-by zero_shot`; finished ones are
read from `--output` and not repeated. Training knows 48 species; the 553 test photos are of these
and of 12 others. Methods:

- zero_shot: the recipe of that name, whose prompt is `{family} {name}`;
- names: the same without hierarchical text, prompt `{name}`;
- higher: the same with the text of the higher ranks alone, prompt `{family} {genus}`;
- gradients: the same head trained by gradient steps, without discriminants and offset;
- arcface: the recipe `cross_domain` without offset. It knows no unseen name, so the genus of its
  best species is taken, and one of the unseen names of that genus at random: the expected share of
  right answers is stated.

Prints a Markdown table, means over the seeds with the lowest and highest, and the gain of the first
method over the others on the same photos, with a 95% interval of a paired bootstrap over them.
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
COLUMN = "zero_shot_split"
GUESSING = "arcface"
METHODS: dict[str, tuple[str, ...]] = {
    "zero_shot": ("--recipe", "zero_shot"),
    "names": ("--recipe", "zero_shot", "--set", 'head.prompts=["{name}"]'),
    "higher": ("--recipe", "zero_shot", "--set", 'head.prompts=["{family} {genus}"]'),
    "gradients": (
        *("--recipe", "zero_shot", "--set", "training.discriminant=false"),
        *("--set", "training.stacking_species=0", "--epochs", "40", "--lr", "0.003"),
        *("--batch-size", "64"),
    ),
    GUESSING: (
        *("--recipe", "cross_domain", "--set", "training.stacking_species=0"),
        *("--set", "data.validation_share=0.1"),
    ),
}
COLUMNS = ("unseen top-1", "unseen top-5", "seen", "unseen", "H", "genus of unseen")
RESAMPLES = 10_000


def trained(options: argparse.Namespace, method: str, seed: int) -> Path:
    """Returns the folder of a run, training it if it is not there."""
    run: Path = options.output / f"{method}-{seed}"
    if not (run / "metrics.json").is_file():
        command = [str(HERBZOO), "train", *METHODS[method], "--data", str(options.data)]
        command += ["--backbone", options.backbone, "--image-size", str(options.image_size)]
        command += ["--split-column", COLUMN, "--group-by", "zero_shot"]
        command += ["--seed", str(seed), "--output", str(run)]
        print("$", " ".join(command), file=sys.stderr, flush=True)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return run


def unseen_rows(data: Path) -> Any:
    """Returns the test photos of species that were not trained on."""
    from herbzoo.data.readers import open_collection
    from herbzoo.data.splits import by_column

    test = by_column(open_collection(data), COLUMN).test
    return test.select((test.column("zero_shot") == "unseen").to_numpy(dtype=bool))


def named_by_text(run: Path, rows: Any) -> np.ndarray:
    """Returns how surely the right one of the unseen names comes first, `[N]`: 1 / n of n ties."""
    from herbzoo.evaluation.evaluated import coded_truth
    from herbzoo.evaluation.new_names import add_names_of
    from herbzoo.inference import Identifier

    identifier = Identifier.from_pretrained(run)
    trained_on = len(identifier.taxonomy)
    add_names_of(identifier, rows)
    truth = coded_truth(rows, identifier.taxonomy)
    sure = np.zeros(len(rows))
    for batch in identifier.scored(rows, 64, -1):
        scores = batch.logits[:, trained_on:].numpy()
        own = scores[np.arange(len(scores)), truth[batch.rows] - trained_on]
        first = own == scores.max(axis=1)
        sure[batch.rows] = first / (scores == own[:, None]).sum(axis=1)
    return sure


def guessed(run: Path, rows: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the expected top-1 and top-5 of a guess within the best genus, and its rightness."""
    from herbzoo.inference import Identifier

    identifier = Identifier.from_pretrained(run)
    genera = np.array([taxon.genus for taxon in identifier.taxonomy.taxa])
    names = rows.frame.drop_duplicates("scientificName")
    among = names["genus"].value_counts().to_dict()
    truth = rows.column("genus").to_numpy(dtype=str)
    one, five, right = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
    for batch in identifier.scored(rows, 64, -1):
        for row, genus in zip(batch.rows, genera[batch.logits.argmax(1).numpy()], strict=True):
            inside, hit = among.get(genus, 0), genus == truth[row]
            one[row] = hit / inside if inside else 1 / len(names)
            first = min(5, inside)
            rest = (5 - first) / max(1, len(names) - inside)
            five[row] = first / inside if hit else rest
            right[row] = hit
    return one, five, right


def known_genera(data: Path, rows: Any) -> np.ndarray:
    """Returns whether training had the genus of each row, `[N]`."""
    from herbzoo.data.readers import open_collection
    from herbzoo.data.splits import by_column

    train = by_column(open_collection(data), COLUMN).train
    return np.isin(rows.column("genus").to_numpy(str), train.column("genus").to_numpy(str))


def figures(metrics: dict[str, Any]) -> list[float]:
    """Returns the columns of the table for a method that reads names."""
    alone, groups = metrics["unseen_among_unseen"], metrics["groups"]["zero_shot"]
    return [
        *(alone["top1"], alone["top5"], groups["seen"]["top1"], groups["unseen"]["top1"]),
        metrics["harmonic_mean"]["zero_shot"],
        metrics["unseen_of_known_genera"]["genus_top1"]["value"],
    ]


def cell(values: list[float]) -> str:
    """Returns the mean, with the least and the most."""
    if np.isnan(values).any():
        return ""
    return f"{statistics.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def gain(first: np.ndarray, other: np.ndarray) -> str:
    """Returns the mean difference of `[seeds, N]`, with a paired interval over the rows."""
    apart = (first - other).mean(axis=0)
    rows = np.random.default_rng(0).integers(0, len(apart), (RESAMPLES, len(apart)))
    low, high = np.quantile(apart[rows].mean(axis=1), [0.025, 0.975])
    return f"{apart.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def main() -> None:
    """Trains what is missing and prints the table and the gains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("runs/zero-shot"))
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    runs = {  # seed by seed: the methods share the features of the images
        (method, seed): trained(options, method, seed)
        for seed in options.seeds
        for method in options.methods
    }
    rows = unseen_rows(options.data)
    known = known_genera(options.data, rows)
    chance = 1 / rows.frame["scientificName"].nunique()
    print("| method | " + " | ".join(COLUMNS) + " |")
    print("|---|" + "---:|" * len(COLUMNS))
    print(f"| chance | {chance:.3f} | {5 * chance:.3f} | | | | |")
    right: dict[str, np.ndarray] = {}
    for method in options.methods:
        own = [runs[method, seed] for seed in options.seeds]
        if method == GUESSING:
            guesses = [guessed(run, rows) for run in own]
            right[method] = np.stack([one for one, _, _ in guesses])
            blank = [float("nan")] * 3
            table = [[o.mean(), f.mean(), *blank, g[known].mean()] for o, f, g in guesses]
        else:
            right[method] = np.stack([named_by_text(run, rows) for run in own])
            table = [figures(json.loads((run / "metrics.json").read_text())) for run in own]
        cells = [cell(list(values)) for values in zip(*table, strict=True)]
        print(f"| {method} | " + " | ".join(cells) + " |", flush=True)
    first, *others = options.methods
    print(f"\n{first} over the others, top-1 among the unseen names, {len(rows)} photos:")
    for method in others:
        print(f"- {method}: {gain(right[first], right[method])}")


if __name__ == "__main__":
    main()
