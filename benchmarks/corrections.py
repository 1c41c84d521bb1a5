"""What reviewing doubtful names is worth: train on wrong names, review the list, train again.

    python benchmarks/corrections.py --data ../shared/data/leafsnap --seeds 0 1 2

LeafSnap, cross-domain rows: a tenth of the pressed leaves of genera of several species get the name
of another species of the genus, exposures of one leaf together (as in `benchmarks/suspects.py`).
Everything else is the command line: `train` on these names, `suspects` over the training rows, a
review of the most doubtful leaves by a reviewer who knows the truth, `train --corrections`. The
test is the 553 field photos, whose names are as published. For comparison, training on the right
names, and with as many names reviewed that were drawn by lot.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from suspects_trials import exposures, features_of, pretrained, swapped

from herbzoo.curation.case_files import read_cases
from herbzoo.curation.features import Features
from herbzoo.curation.review import Review
from herbzoo.data.decisions import AGREE, OTHER, REJECT
from herbzoo.data.readers import open_collection
from herbzoo.data.records import HERBARIUM

HERBZOO = Path(sys.executable).with_name("herbzoo")
COLUMN = "cross_domain"


def run_herbzoo(*arguments: object) -> None:
    """Runs a command, and shows it."""
    command = [str(HERBZOO), *map(str, arguments)]
    print("$", " ".join(command), file=sys.stderr, flush=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def trained(data: Path, run: Path, seed: int, head: str, *more: object) -> dict[str, float]:
    """Trains with the recipe `frozen`, and returns the overall metrics.

    Without random views and validation rows, so that all runs share the backbone's features.
    """
    if not (run / "metrics.json").is_file():
        recipe = ("--recipe", "frozen", "--head", head, "--image-size", 160, "--seed", seed)
        plain = ("--set", "training.feature_views=1", "--set", "data.validation_share=0")
        rows = ("--data", data, "--split-column", COLUMN)
        run_herbzoo("train", *recipe, *plain, *rows, "--output", run, *more)
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))["overall"]


def with_names(images: Path, table: str, names: dict[str, str]) -> Path:
    """Writes a table beside the images, with other names for some."""
    rows = pd.read_csv(images / "metadata.csv", dtype=str, keep_default_na=False)
    changed = rows["file_name"].map(names)
    rows["scientificName"] = changed.where(changed.notna(), rows["scientificName"])
    rows.to_csv(images / table, index=False)
    return images / table


def training_rows(noisy: Path) -> Path:
    """Writes a table of the training rows alone, as nothing may be known of the test."""
    rows = pd.read_csv(noisy, dtype=str, keep_default_na=False)
    rows = rows[rows[COLUMN] == "train"].drop(columns=[COLUMN])
    path = noisy.with_name(f"training-{noisy.name}")
    rows.to_csv(path, index=False)
    return path


def reviewed(results: Path, truth: dict[str, str]) -> int:
    """Decides every case of a list as somebody would who knows the truth; returns how many."""
    review = Review(results)
    cases = read_cases(results)
    for case in cases:
        right = truth[case.record.image]
        proposed = {one.candidate.scientificName for one in case.proposals}
        if right == case.record.scientificName:
            decision = REJECT
        else:
            decision = AGREE if right in proposed else OTHER
        answer = review.take([_claim(case.id, decision, right)], 0)
        assert not answer["problem"] and not answer["refused"], answer
    return len(cases)


def _claim(case: str, decision: str, name: str) -> dict[str, str]:
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    return {
        "caseID": case,
        "decision": decision,
        "scientificName": name,
        "identifiedBy": "somebody who knows",
        "dateIdentified": now,
    }


def shown(values: Sequence[float]) -> str:
    """Returns mean, least and most."""
    return f"{np.mean(values):.3f} ({np.min(values):.3f}-{np.max(values):.3f})"


def main() -> None:
    """Runs all seeds and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--head", default="softmax")
    parser.add_argument("--top", type=int, default=200, help="leaves to review")
    parser.add_argument("--output", type=Path, default=Path("runs/corrections"))
    options = parser.parse_args()
    collection = open_collection(options.data)
    features = features_of(
        pretrained("efficientnet_lite0", 160), collection, options.output / "features.parquet"
    )
    is_pressed = (features.collection.frame["basisOfRecord"] == HERBARIUM).to_numpy()
    pressed = Features(
        features.collection.select(is_pressed), features.values[is_pressed], features.model
    )
    leaf = exposures(pressed)
    keys = pressed.collection.frame["image"].tolist()
    images = options.output / "images"
    if not images.is_dir():  # so that other tables can lie beside them
        shutil.copytree(options.data, images)
    names = collection.frame.set_index("image")["scientificName"].to_dict()
    table: dict[str, list[float]] = {}
    found, wrong_names = [], []
    for seed in options.seeds:
        folder = options.output / f"seed-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        trial = swapped(pressed, leaf, seed)
        swaps = trial.features.collection.frame["scientificName"]
        wrong = {keys[row]: swaps.iat[row] for row in np.flatnonzero(trial.wrong)}
        noisy = with_names(images, f"wrong-{seed}.csv", wrong)
        doubtful = folder / "doubtful"
        first = trained(noisy, folder / "on-wrong", seed, options.head)
        run_herbzoo(
            *("suspects", folder / "on-wrong", "--data", training_rows(noisy)),
            *("--output", doubtful, "--top", options.top, "--least", 0),
        )
        (doubtful / "decisions.csv").unlink(missing_ok=True)
        reviewed(doubtful, names)
        listed = {case.record.image for case in read_cases(doubtful)}
        lot = set(np.random.default_rng(seed).choice(keys, options.top, replace=False))
        still = {image: name for image, name in wrong.items() if image not in lot}
        by_lot = with_names(images, f"by-lot-{seed}.csv", still)
        corrections = ("--corrections", doubtful / "decisions.csv")
        runs = {
            "right names": trained(
                images / "metadata.csv", folder / "on-right", seed, options.head
            ),
            "a tenth wrong": first,
            f"{options.top} reviewed by suspicion": trained(
                noisy, folder / "on-corrected", seed, options.head, *corrections
            ),
            f"{options.top} reviewed by lot": trained(
                by_lot, folder / "on-lot", seed, options.head
            ),
        }
        for name, overall in runs.items():
            table.setdefault(name, []).append(overall["top1"])
        found.append(len(listed & set(wrong)) / len(wrong))
        wrong_names.append(len(wrong))
    print(
        f"{min(wrong_names)}-{max(wrong_names)} wrong names; among the reviewed: {shown(found)}\n"
    )
    print("| training names | top-1 on field photos |\n|---|---|")
    for name, values in table.items():
        print(f"| {name} | {shown(values)} |")


if __name__ == "__main__":
    main()
