"""Finding names that were swapped on purpose, against plain cleanlab, softmax and neighbours.

    python benchmarks/suspects.py --data ../shared/data/leafsnap --seeds 0 1 2

LeafSnap, pressed leaves: in genera of several species, a tenth of the leaves get the name of
another species of the genus. Exposures of one leaf are swapped together and folded together; they
are found by complete linkage at a cosine of 0.90 between the features of one species, before names
are swapped. All methods get the same features (ImageNet weights, which no name here has shaped) and
the same ten folds. `under 10` keeps nine leaves a species at most. Only leaves of genera of several
species are counted; k is the number that was swapped. The last table is of field photos, whose
column `suspect_label` is somebody else's doubt and no truth.

Synthetic flora: sheets with the wrong determinations and duplicates that it is made with; every
seed is another flora. A conflict is a gathering whose sheets bear different names.

Settings were chosen on other swaps (seeds 100 to 102) and on the flora of seed 1 at another size.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score
from suspects_trials import Trial, exposures, features_of, flora, pretrained, swapped

from herbzoo.curation.features import Features
from herbzoo.curation.folds import gathering_folds
from herbzoo.curation.named_rows import named_rows
from herbzoo.curation.suspects import Suspects, find_suspects
from herbzoo.data.gatherings import gatherings
from herbzoo.data.readers import open_collection
from herbzoo.data.records import HERBARIUM

FEW = 9
NEAREST = 10
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Inverse regularisation of the logistic regression, chosen by likelihood of the present names."""
BINS = (0, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0001)


def folds_of(trial: Trial) -> np.ndarray:
    """Returns the folds that `find_suspects` deals gatherings to."""
    frame = trial.features.collection.frame
    return gathering_folds(gatherings(frame), named_rows(trial.features.collection).species)


def out_of_fold(trial: Trial, folds: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns present names as numbers, and a logistic regression's probabilities of each."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classes, labels = np.unique(
        trial.features.collection.frame["scientificName"], return_inverse=True
    )
    found = np.zeros((len(labels), len(classes)))
    for fold in np.unique(folds):
        held, rest = folds == fold, folds != fold
        steps = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
        steps.fit(trial.features.values[rest], labels[rest])
        known = steps[-1].classes_
        found[np.ix_(held, known)] = steps.predict_proba(trial.features.values[held])
    return labels, found


def chosen_strength(trial: Trial) -> float:
    """Returns the regularisation under which the present names are likeliest."""
    folds = folds_of(trial) % 3  # coarse, as it is for choosing only
    likelihood = {}
    for strength in STRENGTHS:
        labels, found = out_of_fold(trial, folds, strength)
        own = found[np.arange(len(labels)), labels]
        likelihood[strength] = np.log(np.maximum(own, 1e-4)).mean()
    return max(likelihood, key=lambda strength: likelihood[strength])


def cleanlab_alone(trial: Trial, folds: np.ndarray, strength: float) -> dict[str, np.ndarray]:
    """Returns the scores of peers, the higher the more doubtful."""
    from cleanlab.rank import get_label_quality_scores

    labels, found = out_of_fold(trial, folds, strength)
    others = found.copy()
    others[np.arange(len(labels)), labels] = 0
    return {
        "plain cleanlab": -get_label_quality_scores(labels, found),
        "max-probability of another name": others.max(axis=1),
    }


def neighbours_alone(trial: Trial) -> np.ndarray:
    """Returns how many of the nearest sheets of other gatherings bear other names."""
    frame = trial.features.collection.frame
    unit = trial.features.values / np.linalg.norm(trial.features.values, axis=1, keepdims=True)
    similar = unit @ unit.T
    same = gatherings(frame)
    similar[same[:, None] == same[None, :]] = -np.inf
    names = frame["scientificName"].to_numpy()
    nearest = np.argpartition(-similar, NEAREST, axis=1)[:, :NEAREST]
    return (names[nearest] != names[:, None]).mean(axis=1)


def measured(score: np.ndarray, trial: Trial) -> tuple[float, float]:
    """Returns AUROC, and precision among as many as are wrong."""
    score, wrong = score[trial.counted], trial.wrong[trial.counted]
    best = np.argsort(-score, kind="stable")[: wrong.sum()]
    return float(roc_auc_score(wrong, score)), float(wrong[best].mean())


def ordered(found: Suspects) -> np.ndarray:
    """Returns a score that keeps the order of the list."""
    score = np.full(len(found.suspicion), -np.inf)
    score[found.order] = -np.arange(len(found.order), dtype=float)
    return np.where(np.isfinite(score), score, score[np.isfinite(score)].min() - 1)


def compare(trials: Sequence[Trial], heading: str) -> list[Suspects]:
    """Prints the table of one setting."""
    strength = chosen_strength(trials[0])
    rows: dict[str, list[tuple[float, float]]] = {}
    results = []
    for trial in trials:
        found = find_suspects(trial.features, workers=0)
        results.append(found)
        scores = {
            "herbzoo suspects": ordered(found),
            "its probabilities, by cleanlab's self-confidence": -found.judged.own,
            **cleanlab_alone(trial, folds_of(trial), strength),
            f"neighbour disagreement ({NEAREST} nearest)": neighbours_alone(trial),
        }
        for name, score in scores.items():
            rows.setdefault(name, []).append(measured(np.nan_to_num(score, nan=-2.0), trial))
    swapped_names = [int(trial.wrong.sum()) for trial in trials]
    print(
        f"\n{heading}: {len(trials[0].wrong):,} sheets, k = {spread_counts(swapped_names)} wrong "
        f"names, {len(trials)} seeds (logistic regression C = {strength})\n"
    )
    print("| method | AUROC | precision@k |\n|---|---|---|")
    for name, values in rows.items():
        print(
            f"| {name} | "
            + " | ".join(spread(column) for column in zip(*values, strict=True))
            + " |"
        )
    calibration(trials, results)
    return results


def calibration(trials: Sequence[Trial], results: Sequence[Suspects]) -> None:
    """Prints whether suspicion and confidence are the shares they claim to be."""
    suspicion = np.concatenate([found.suspicion for found in results])
    wrong = np.concatenate([trial.wrong for trial in trials])
    print("\n| suspicion | names | mean | wrong in truth |\n|---|---|---|---|")
    for least, most in pairwise(BINS):
        some = (suspicion >= least) & (suspicion < most)
        if some.any():
            print(
                f"| {least:.2f} to {min(most, 1):.2f} | {some.sum():,} | "
                f"{suspicion[some].mean():.3f} | {wrong[some].mean():.3f} |"
            )
    right, sure, estimated = [], [], []
    for trial, found in zip(trials, results, strict=True):
        names = np.array([taxon.scientificName for taxon in found.names.taxa])
        best = names[found.judged.candidates[:, 0]] == trial.truth
        right.append(best[trial.wrong].mean())
        sure.append(abs(found.judged.scores[:, 0].mean() - best.mean()))
        estimated.append(float(np.nansum(found.suspicion)) / max(trial.wrong.sum(), 1))
    print(
        f"\nproposed name right for wrong names: {spread(right)}; mean confidence of first "
        f"candidates off by {spread(sure)}; estimated number of wrong names, as a multiple of the "
        f"true one: {spread(estimated)}"
    )


def conflicts(trials: Sequence[Trial], results: Sequence[Suspects]) -> None:
    """Prints how many duplicates under different names were found, and which side is wrong."""
    found_share, blamed, false = [], [], []
    for trial, found in zip(trials, results, strict=True):
        frame = trial.features.collection.frame
        # The key of a drawn sheet says which species and which plant of it it shows.
        plant = frame["image"].str.extract(r"^sheet-(\d+-\d+)-")[0]
        truly = plant.groupby(plant).groups
        conflicting = {
            tuple(sorted(rows))
            for rows in truly.values()
            if frame["scientificName"].iloc[list(rows)].nunique() > 1
        }
        listed = {one.rows for one in found.conflicts}
        found_share.append(len(conflicting & listed) / max(len(conflicting), 1))
        false.append(len(listed - conflicting))
        rows = [row for one in found.conflicts for row in one.rows if trial.wrong[row]]
        blamed.append(float(np.mean(found.suspicion[rows] >= 0.5)) if rows else np.nan)
        print(f"conflicts among duplicates: {len(conflicting)}")
    print(
        f"found: {spread(found_share)}; others taken for conflicts: {spread_counts(false)}; wrong "
        f"names in conflicts with a suspicion of at least 0.5: {spread(blamed)}"
    )


def doubted(features: Features) -> None:
    """Prints what rows get that somebody else doubted."""
    doubt = (features.collection.frame["suspect_label"].str.lower() == "true").to_numpy()
    found = find_suspects(features, workers=0)
    score = ordered(found)
    best = np.argsort(-score)[: doubt.sum()]
    print(
        f"\nField photos: {len(doubt):,}, {doubt.sum()} with suspect_label=true: AUROC "
        f"{roc_auc_score(doubt, score):.3f}, precision@k {doubt[best].mean():.3f} (chance "
        f"{doubt.mean():.3f}); median suspicion {np.median(found.suspicion[doubt]):.3f} against "
        f"{np.median(found.suspicion[~doubt]):.3f}; listed {int((found.suspicion >= 0.5).sum())}, "
        f"of which {int(doubt[found.suspicion >= 0.5].sum())} were doubted"
    )


def spread(values: Sequence[float]) -> str:
    """Returns mean, least and most."""
    return f"{np.mean(values):.3f} ({np.min(values):.3f}-{np.max(values):.3f})"


def spread_counts(values: Sequence[int]) -> str:
    """Returns least and most."""
    return str(min(values)) if min(values) == max(values) else f"{min(values)}-{max(values)}"


def main() -> None:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the LeafSnap folder; left out if not given")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--output", type=Path, default=Path("runs/suspects"), help="keeps features")
    options = parser.parse_args()
    identifier = pretrained(options.backbone, options.image_size)
    settings: list[tuple[str, Callable[[int], Trial]]] = []
    if options.data is not None:
        collection = open_collection(options.data)
        features = features_of(identifier, collection, options.output / "leafsnap.features.parquet")
        frame = features.collection.frame
        is_pressed = (frame["basisOfRecord"] == HERBARIUM).to_numpy()
        pressed, field = [
            Features(features.collection.select(some), features.values[some], features.model)
            for some in (is_pressed, ~is_pressed)
        ]
        leaf = exposures(pressed)
        settings.append(("LeafSnap, pressed", lambda seed: swapped(pressed, leaf, seed)))
        settings.append(("LeafSnap, under 10", lambda seed: swapped(pressed, leaf, seed, FEW)))
    for heading, trial in settings:
        compare([trial(seed) for seed in options.seeds], heading)
    if options.data is not None:
        doubted(field)
    floras = [flora(identifier, options.output, seed) for seed in options.seeds]
    results = compare(floras, "Synthetic flora, sheets")
    conflicts(floras, results)


if __name__ == "__main__":
    main()
