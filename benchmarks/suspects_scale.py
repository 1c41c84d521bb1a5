"""Time and memory of judging the names of a large collection.

    python benchmarks/suspects_scale.py --sheets 100000 --species 2000

Features are drawn: species around their genus, gatherings around their species, and noise; a tenth
of the names is swapped within genera. There are no images, so what is measured is everything that
`herbzoo suspects` does after the backbone has looked at them, tables included.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from herbzoo.curation.features import Features
from herbzoo.curation.suspect_cases import listed_rows
from herbzoo.curation.suspect_files import write_suspects
from herbzoo.curation.suspects import find_suspects
from herbzoo.data.records import COLUMNS, HERBARIUM, Collection
from herbzoo.errors import ImageError
from herbzoo.index.embedding_table import EmbeddingModel

GENUS_SIZE = 8
SHARE = 0.1
SPREAD = {"genus": 1.0, "species": 0.15, "gathering": 0.6, "sheet": 0.5}
"""How far a species lies from its genus, a gathering from its species, and so on."""


class NoImages:
    """Has the names of images, and none of them."""

    def open(self, key: str, size: tuple[int, int] | None = None) -> None:
        """Opens nothing."""
        raise ImageError(f"{key} is not drawn")


def drawn(
    sheets: int, species: int, width: int, seed: int, share: float = SHARE
) -> tuple[Features, np.ndarray]:
    """Returns features with names, of which a share is wrong, and which these are."""
    rng = np.random.default_rng(seed)

    def noise(rows: int, kind: str) -> np.ndarray:
        return SPREAD[kind] * rng.standard_normal((rows, width), dtype=np.float32)

    genera = -(-species // GENUS_SIZE)
    genus_of = np.arange(species) // GENUS_SIZE
    means = noise(genera, "genus")[genus_of] + noise(species, "species")
    weight = 1 / (np.arange(species) + species / 10)  # a long tail
    true = np.sort(rng.choice(species, sheets, p=weight / weight.sum()))
    gathering = np.arange(sheets) // 2
    values = means[true] + noise(sheets, "sheet")
    values += noise(int(gathering.max()) + 1, "gathering")[gathering]
    wrong = (rng.random(int(gathering.max()) + 1) < share)[gathering]
    shift = 1 + rng.integers(0, GENUS_SIZE - 1, int(gathering.max()) + 1)[gathering]
    other = genus_of[true] * GENUS_SIZE + (true % GENUS_SIZE + shift) % GENUS_SIZE
    named = np.where(wrong & (other < species), other, true)
    frame = pd.DataFrame({name: [""] * sheets for name in COLUMNS})
    frame["image"] = [f"{row:07d}.jpg" for row in range(sheets)]
    frame["scientificName"] = [
        f"Genus{g} species{s}" for g, s in zip(genus_of[named], named, strict=True)
    ]
    frame["genus"] = [f"Genus{one}" for one in genus_of[named]]
    frame["family"] = [f"Family{one // 5}aceae" for one in genus_of[named]]
    frame["basisOfRecord"] = HERBARIUM
    frame["occurrenceID"] = [f"gathering {one}" for one in gathering]
    collection = Collection(frame, NoImages(), name="drawn")
    return Features(collection, values, EmbeddingModel("drawn", "", "", width)), named != true


def main() -> None:
    """Runs it once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sheets", type=int, default=100_000)
    parser.add_argument("--species", type=int, default=2_000)
    parser.add_argument("--width", type=int, default=1_280, help="of the features")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    features, wrong = drawn(options.sheets, options.species, options.width, options.seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.monotonic()
    found = find_suspects(features, workers=0)
    judged = time.monotonic() - started
    with tempfile.TemporaryDirectory() as folder:
        write_suspects(Path(folder), found, listed_rows(found))
    written = time.monotonic() - started - judged
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    known = np.isfinite(found.suspicion)
    best = found.order[: wrong.sum()]
    print(
        f"{options.sheets:,} sheets of {options.species:,} species, {options.width} features: "
        f"judged in {judged:.0f} s, written in {written:.0f} s; {peak:,.0f} MiB at the most, of "
        f"which {before:,.0f} MiB for features and records; AUROC "
        f"{roc_auc_score(wrong[known], found.suspicion[known]):.3f}, precision@k "
        f"{wrong[best].mean():.3f}, estimated share of wrong names {found.slips.wrong:.3f} "
        f"(true {wrong.mean():.3f})"
    )


if __name__ == "__main__":
    main()
