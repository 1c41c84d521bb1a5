"""Field photos to pressed leaves in an index (LeafSnap): retrieval, and naming by neighbours.

    python benchmarks/index_leafsnap.py --data ../shared/data/leafsnap --seeds 0 1 2

    python benchmarks/index_leafsnap.py --data ../shared/data/leafsnap --runs runs/leafsnap-arcface

An index holds all rows. Queries are the 553 test photos of the cross-domain protocol, of all 60
species; the gallery is chosen by a filter: the pressed leaves for retrieval, all training rows for
naming, which are those that the head was trained on. The baseline is the pretrained backbone as it
is, without a neck. The runs are trained with the recipe `frozen` and the head `arcface`, unless
given. Means over the runs, with 95% bootstrap intervals over the gatherings of the test photos.
The last table leaves 3 sheets of every other species in the gallery: naming by the best few sheets
of each species against the votes of the 100 nearest sheets, both with one temperature.
Nothing here was chosen on the test photos.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from herbzoo.data.gatherings import gatherings
from herbzoo.data.readers import open_collection
from herbzoo.data.records import Collection
from herbzoo.evaluation.resampling import Draws, Interval
from herbzoo.evaluation.retrieval import retrieve
from herbzoo.index import EmbeddingTable, SpecimenIndex
from herbzoo.index.embedding_table import vectors_of
from herbzoo.index.neighbours import LOOKED_AT, TEMPERATURE, NeighbourRanking
from herbzoo.inference import Identifier

HERBZOO = Path(sys.executable).with_name("herbzoo")
TRAIN = "cross_domain = 'train'"
PRESSED = f"{TRAIN} and basisOfRecord = 'PreservedSpecimen'"
FEW = 3


def run_herbzoo(*arguments: object) -> None:
    """Runs a command, and shows it."""
    command = [str(HERBZOO), *map(str, arguments)]
    print("$", " ".join(command), file=sys.stderr, flush=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def trained(options: argparse.Namespace, name: str, *arguments: object) -> Path:
    """Returns the folder of a run, training it if it is not there."""
    run = options.output / name
    if not (run / "metrics.json").is_file():
        recipe = ("--recipe", "frozen", "--backbone", options.backbone, "--image-size", 160)
        rows = ("--data", options.data, "--split-column", "cross_domain")
        run_herbzoo("train", *recipe, *rows, *arguments, "--output", run)
    return run


def indexed(options: argparse.Namespace, run: Path) -> tuple[SpecimenIndex, Collection, np.ndarray]:
    """Returns the index of all rows, the test photos and their embeddings `[Q, D]`."""
    name = str(run).strip("/").replace("/", "-")
    file, where = options.output / f"{name}.parquet", options.output / f"{name}.index"
    if not file.exists():
        run_herbzoo("embed", run, "--data", options.data, "--output", file)
    if not where.exists():
        run_herbzoo("index", "build", file, where)
    collection = open_collection(options.data)
    test = collection.select((collection.column("cross_domain") == "test").to_numpy(dtype=bool))
    found: dict[str, np.ndarray] = {}
    for batch in EmbeddingTable.open(file).batches():
        found.update(zip(batch.column("image").to_pylist(), vectors_of(batch), strict=True))
    vectors = np.stack([found[image] for image in test.frame["image"]])
    return SpecimenIndex.open(where), test, vectors


def retrieval(index: SpecimenIndex, test: Collection, vectors: np.ndarray) -> dict[str, np.ndarray]:
    """Returns R@1, R@5 by the index, and the average precision, of each query."""
    truth = test.column("scientificName").to_numpy()
    answers = index.search(vectors, 5, PRESSED)
    names = np.array([[match.record.scientificName for match in own] for own in answers])
    right = names == truth[:, None]
    sheets, gallery = index.sample(len(index), PRESSED)
    exact = retrieve(vectors, gallery, truth, sheets["scientificName"].to_numpy())
    return {
        "R@1": right[:, 0].astype(float),
        "R@5": right.any(axis=1).astype(float),
        "mAP": exact.average_precision,
    }


def ranks(answers: Sequence[Sequence[str]], truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns whether the first, and whether one of the first five names is right."""
    first = np.array([own[0] == name for own, name in zip(answers, truth, strict=True)])
    five = np.array([name in own[:5] for own, name in zip(answers, truth, strict=True)])
    return first.astype(float), five.astype(float)


def by_neighbours(index: SpecimenIndex, vectors: np.ndarray, where: str) -> list[list[str]]:
    """Returns names by the best few sheets of each species."""
    answers = NeighbourRanking(index, where=where)(vectors)
    return [[candidate.scientificName for candidate in own] for own in answers]


def by_votes(index: SpecimenIndex, vectors: np.ndarray, where: str) -> list[list[str]]:
    """Returns names by the summed weights of the nearest sheets."""
    found = []
    for matches in index.search(vectors, LOOKED_AT, where):
        votes: dict[str, float] = {}
        for match in matches:
            weight = math.exp((match.similarity - 1) / TEMPERATURE)
            name = match.record.scientificName
            votes[name] = votes.get(name, 0.0) + weight
        found.append(sorted(votes, key=lambda name: -votes[name]))
    return found


def by_head(run: Path, test: Collection) -> list[list[str]]:
    """Returns the head's own names."""
    identifier = Identifier.from_pretrained(run)
    names = [taxon.scientificName for taxon in identifier.taxonomy.taxa]
    found: list[list[str]] = []
    for batch in identifier.scored(test, 64):
        found += [[names[i] for i in row] for row in batch.logits.topk(5).indices.tolist()]
    return found


def few_sheets(index: SpecimenIndex) -> str:
    """Returns a filter that leaves a few pressed leaves of every other species."""
    rows = index.rows(PRESSED, ["image", "scientificName"], limit=len(index))
    species = sorted(rows["scientificName"].unique())
    chosen = rows[rows["scientificName"].isin(species[::2])]
    kept = chosen.groupby("scientificName").head(FEW)["image"]
    gone = ", ".join(f"'{image}'" for image in chosen["image"][~chosen["image"].isin(kept)])
    return f"{PRESSED} and image not in ({gone})"


def shown(values: Sequence[np.ndarray], draws: Draws) -> str:
    """Returns the mean over the runs of a figure of the queries, with its interval."""
    mean = np.mean(values, axis=0)
    one = Interval.of(lambda weights: float(weights @ mean / weights.sum()), draws)
    return f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"


def tables(options: argparse.Namespace, name: str, runs: Sequence[Path], head: bool) -> None:
    """Prints the figures of some runs of one kind."""
    rows: dict[str, list[np.ndarray]] = {}
    for run in runs:
        index, test, vectors = indexed(options, run)
        truth = test.column("scientificName").to_numpy()
        for figure, values in retrieval(index, test, vectors).items():
            rows.setdefault(f"pressed leaves, {figure}", []).append(values)
        ways = {"neighbours": by_neighbours(index, vectors, TRAIN)}
        ways["votes"] = by_votes(index, vectors, TRAIN)
        if head:
            ways["head"] = by_head(run, test)
        few = few_sheets(index)
        ways["neighbours, few sheets"] = by_neighbours(index, vectors, few)
        ways["votes, few sheets"] = by_votes(index, vectors, few)
        sparse = np.isin(truth, sorted(set(truth))[::2])
        for way, answers in ways.items():
            first, five = ranks(answers, truth)
            rows.setdefault(f"{way}, top-1", []).append(first)
            rows.setdefault(f"{way}, top-5", []).append(five)
            if "few" in way:
                masked = np.where(sparse, first, np.nan)
                rows.setdefault(f"{way}, top-1 of those with {FEW}", []).append(masked)
    groups = gatherings(test.frame)
    for figure, values in rows.items():
        counted = ~np.isnan(values[0])
        draws = Draws(groups[counted])
        print(f"| {name} | {figure} | {shown([one[counted] for one in values], draws)} |")


def main() -> None:
    """Trains and embeds what is missing and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("runs/index-leafsnap"))
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--runs", nargs="+", type=Path, default=[])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    bare = ("--head", "softmax", "--set", "neck.name=identity", "--max-steps", 1)
    baseline = trained(options, "backbone", *bare)
    runs = options.runs or [
        trained(options, f"arcface-{seed}", "--head", "arcface", "--seed", seed)
        for seed in options.seeds
    ]
    print("| model | figure | value |\n|---|---|---|")
    tables(options, "pretrained backbone", [baseline], head=False)
    tables(options, f"ArcFace, {len(runs)} runs", runs, head=True)


if __name__ == "__main__":
    main()
