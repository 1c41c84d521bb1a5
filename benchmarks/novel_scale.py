"""Time and memory of looking for unknown species in a large collection.

    python benchmarks/novel_scale.py --sheets 100000 --known 20000

Features are drawn as for `benchmarks/suspects_scale.py`. One species in twenty is not among the
known; of the others some specimens are. There are no images, so what is measured is what `herbzoo
novel` does after the backbone has looked at them and they were checked, tables included.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score
from suspects_scale import drawn

from herbzoo.curation.clusters import KnownPlaces, clusters_of
from herbzoo.curation.features import Features
from herbzoo.curation.known_specimens import known_specimens
from herbzoo.curation.novel_cases import NovelCases
from herbzoo.curation.novel_files import all_in_order, write_clusters, write_novel
from herbzoo.curation.novelty import find_novel
from herbzoo.taxonomy import Taxonomy


def main() -> None:
    """Runs it once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sheets", type=int, default=100_000, help="in question")
    parser.add_argument("--known", type=int, default=20_000)
    parser.add_argument("--species", type=int, default=1_000)
    parser.add_argument("--width", type=int, default=1_280, help="of the features")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    count = options.sheets + options.known
    features, _ = drawn(count, options.species, options.width, options.seed, share=0)
    species = features.collection.frame["scientificName"].to_numpy()
    every = np.unique(species)
    rng = np.random.default_rng(options.seed)
    strange = np.isin(species, rng.choice(every, len(every) // 20, replace=False))
    gathering = np.unique(features.collection.frame["occurrenceID"], return_inverse=True)[1]
    drawn_known = rng.permutation(gathering.max() + 1)[gathering] < options.known // 2
    is_known = ~strange & drawn_known
    learned, asked = [
        Features(features.collection.select(rows), features.values[rows], features.model)
        for rows in (is_known, ~is_known)
    ]
    taxonomy = Taxonomy.from_collection(learned.collection)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.monotonic()
    found = find_novel(asked, known_specimens(learned, taxonomy), taxonomy=taxonomy)
    compared = time.monotonic() - started
    with tempfile.TemporaryDirectory() as folder:
        places = KnownPlaces(found)
        groups = clusters_of(found, places)
        write_novel(Path(folder), found, NovelCases(found, places, groups), all_in_order(found))
        write_clusters(Path(folder), found, groups)
    written = time.monotonic() - started - compared
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    unknown = np.array([one == "unknown" for one in found.lists])
    new = strange[~is_known]
    print(
        f"{len(asked):,} sheets against {len(learned):,} known ones of {len(taxonomy):,} species, "
        f"{options.width} features: compared in {compared:.0f} s, grouped ({len(groups):,} groups) "
        f"and written in {written:.0f} s; {peak:,.0f} MiB at the most, of which {before:,.0f} MiB "
        f"for features and records; AUROC {roc_auc_score(new, -found.p):.3f}, false alarms "
        f"{unknown[~new].mean():.3f} (0.050 promised), found {unknown[new].mean():.3f}"
    )


if __name__ == "__main__":
    main()
