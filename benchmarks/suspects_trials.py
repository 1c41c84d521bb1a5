"""Names with known errors to find, for `benchmarks/suspects.py`: swapped leaves, drawn floras."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from herbzoo.build import LoadedRun, build
from herbzoo.curation.features import Features, collection_features
from herbzoo.data.readers import open_collection
from herbzoo.data.records import HERBARIUM, Collection
from herbzoo.inference import Identifier
from herbzoo.interfaces import PartSpec
from herbzoo.taxonomy import Taxonomy

SHARE = 0.1
"""Of the names that are swapped."""
ALIKE = 0.90
"""Cosine of the features of exposures of one leaf."""
FLORA = "synthetic:species=60,seed={},images_per_species=40"


@dataclass(frozen=True)
class Trial:
    """Names with known errors."""

    features: Features
    wrong: np.ndarray
    """Whether a name is wrong, `[N]`."""
    counted: np.ndarray
    """Whether a row is scored, `[N]`."""
    truth: np.ndarray
    """Right names, `[N]`."""


def pretrained(backbone: str, size: int) -> Identifier:
    """Returns the backbone with ImageNet weights; its head has learned nothing."""
    taxonomy = Taxonomy.from_names(["Acer rubrum", "Quercus alba"])
    parts = PartSpec(backbone), PartSpec("identity"), PartSpec("softmax")
    model, processor = build(*parts, taxonomy, image_size=size)
    return Identifier(LoadedRun(model, processor, taxonomy, backbone))


def features_of(identifier: Identifier, collection: Collection, file: Path) -> Features:
    """Returns the features of a collection, from a file if they are there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    return collection_features(identifier, collection, file)


def exposures(features: Features) -> np.ndarray:
    """Returns a number for each row, the same for exposures of one leaf."""
    from sklearn.cluster import AgglomerativeClustering

    unit = features.values / np.linalg.norm(features.values, axis=1, keepdims=True)
    species = features.collection.frame["scientificName"].to_numpy()
    found, made = np.zeros(len(unit), dtype=int), 0
    cluster = AgglomerativeClustering(
        None, metric="cosine", linkage="complete", distance_threshold=1 - ALIKE
    )
    for name in np.unique(species):
        rows = np.flatnonzero(species == name)
        labels = cluster.fit_predict(unit[rows]) if len(rows) > 1 else np.zeros(1, dtype=int)
        found[rows] = labels + made
        made += int(labels.max()) + 1
    return found


def swapped(features: Features, leaf: np.ndarray, seed: int, most: int = 0) -> Trial:
    """Swaps a tenth of the names within their genera, leaf by leaf."""
    rng = np.random.default_rng(seed)
    rows = np.arange(len(leaf)) if not most else _some_of_each(features, leaf, most, rng)
    frame = features.collection.frame.iloc[rows].reset_index(drop=True)
    truth = frame["scientificName"].to_numpy()
    genus = frame["genus"].to_numpy()
    of_genus = {name: np.unique(truth[genus == name]) for name in np.unique(genus)}
    counted = np.array([len(of_genus[name]) > 1 for name in genus])
    names, own = truth.copy(), leaf[rows]
    wanted, done = int(SHARE * counted.sum()), 0
    for one in rng.permutation(np.unique(own[counted])):
        if done >= wanted:
            break
        chosen = np.flatnonzero(own == one)
        others = of_genus[genus[chosen[0]]]
        names[chosen] = rng.choice(others[others != truth[chosen[0]]])
        done += len(chosen)
    renamed = frame.assign(scientificName=names, occurrenceID=[f"leaf {one}" for one in own])
    collection = replace(features.collection, frame=renamed)
    some = Features(collection, features.values[rows], features.model)
    return Trial(some, names != truth, counted, truth)


def _some_of_each(
    features: Features, leaf: np.ndarray, most: int, rng: np.random.Generator
) -> np.ndarray:
    species = features.collection.frame["scientificName"].to_numpy()
    kept: list[int] = []
    for name in np.unique(species):
        own: list[int] = []
        for one in rng.permutation(np.unique(leaf[species == name])):
            rows = np.flatnonzero(leaf == one)
            own += rows.tolist() if len(own) + len(rows) <= most else []
        kept += own
    return np.sort(kept)


def flora(identifier: Identifier, folder: Path, seed: int) -> Trial:
    """Returns the sheets of a synthetic flora."""
    collection = open_collection(FLORA.format(seed))
    sheets = (collection.frame["basisOfRecord"] == HERBARIUM).to_numpy()
    features = features_of(
        identifier, collection.select(sheets), folder / f"flora-{seed}.features.parquet"
    )
    frame = features.collection.frame
    truth = frame["trueScientificName"].to_numpy()
    wrong = frame["scientificName"].to_numpy() != truth
    return Trial(features, wrong, np.ones(len(wrong), dtype=bool), truth)
