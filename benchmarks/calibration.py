"""What a calibration and its promises are worth on LeafSnap: ECE, and precision against promised.

    python benchmarks/calibration.py --data ../shared/data/leafsnap --seeds 0 1 2

Three situations. `own split`: the recipe `frozen` on herbzoo's own split, in which validation and
test rows are of one kind. `cross_domain`: the same on the column of that name, in which nine of ten
validation rows are pressed leaves and all test rows are photos of living ones. `withheld`: the
recipe `cross_domain` on that column, which calibrates on field photos of withheld species. What is
printed is read from the `metrics.json` that training writes of the test rows. Finished runs in
`--output` are not repeated.
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
COLUMN = ("--split-column", "cross_domain")
SITUATIONS = {
    "own split": ("--recipe", "frozen", "--head", "softmax"),
    "cross_domain": ("--recipe", "frozen", "--head", "softmax", *COLUMN),
    "withheld": ("--recipe", "cross_domain", *COLUMN),
}
PROMISES = ("0.80", "0.90", "0.95")


def trained(options: argparse.Namespace, situation: str, seed: int) -> dict[str, Any]:
    """Returns the metrics of a run, training it if it is not there."""
    run = options.output / f"{situation.replace(' ', '-')}-{seed}"
    if not (run / "metrics.json").is_file():
        command = [str(HERBZOO), "train", *SITUATIONS[situation]]
        command += ["--backbone", options.backbone, "--image-size", str(options.image_size)]
        command += ["--data", str(options.data), "--seed", str(seed), "--output", str(run)]
        print("$", " ".join(command), file=sys.stderr, flush=True)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    metrics: dict[str, Any] = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return metrics


def cell(values: list[float]) -> str:
    """Returns the mean, with the least and the most."""
    return f"{statistics.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def promise(found: list[dict[str, Any]]) -> str:
    """Returns precision of the answers given, and how many rows were answered at which rank."""
    kept = [one["precision"] for one in found if one["precision"] is not None]
    of_rank = ", ".join(
        f"{rank} {statistics.mean(one['ranks'][rank]['coverage'] for one in found):.0%}"
        for rank in found[0]["ranks"]
    )
    return f"{cell(kept) if kept else 'no answers'}; {of_rank}"


def main() -> None:
    """Trains what is missing and prints a Markdown table a situation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("runs/calibration"))
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--situations", nargs="+", choices=SITUATIONS, default=list(SITUATIONS))
    options = parser.parse_args()
    for situation in options.situations:
        runs = [trained(options, situation, seed) for seed in options.seeds]
        calibrations = [run["calibration"] for run in runs]
        print(f"\n{situation}: {len(runs)} seeds, {runs[0]['n']} test rows")
        print(f"top-1 {cell([run['overall']['top1'] for run in runs])}")
        rows = ", ".join(f"{one['rows']:,}" for one in calibrations)
        print(f"calibrated on {rows} rows: {calibrations[0]['source']}")
        print(f"temperature {cell([one['temperature'] for one in calibrations])}")
        before = cell([one["before"]["ece"] for one in calibrations])
        print(f"ECE {before} before, {cell([run['overall']['ece'] for run in runs])} after")
        print("| promised | precision of the answers; share of rows answered at each rank |")
        print("|---:|---|")
        for name in PROMISES:
            print(f"| {name} | {promise([run['selective'][name] for run in runs])} |", flush=True)


if __name__ == "__main__":
    main()
