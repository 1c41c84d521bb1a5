"""The results of `herbzoo novel`: all files of its folder, and a summary for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from herbzoo.curation.case import BAD_IMAGE, LISTS, MISNAMED, UNKNOWN, Case
from herbzoo.curation.case_files import write_cases
from herbzoo.curation.clusters import Cluster, KnownPlaces, clusters_of
from herbzoo.curation.conformal import least_specimens
from herbzoo.curation.dossier import write_dossier
from herbzoo.curation.novel_cases import NovelCases, WithKnown
from herbzoo.curation.novel_files import (
    all_in_order,
    write_clusters,
    write_novel,
    write_proposals,
)
from herbzoo.curation.novelty import Novelty
from herbzoo.curation.novelty_choice import mean_aurocs, trial_table
from herbzoo.curation.result_tables import Determiner, table_lines
from herbzoo.curation.results_folder import write_summary
from herbzoo.data.records import ImageSource
from herbzoo.image_batches import AUTO
from herbzoo.inference import Identifier

KIND = "novel"
_LINES = 10
"""Groups that the terminal shows."""
_MOST = 0.5
"""Share of the images that are unknown from which it is worth a remark."""


class NovelResults:
    """What was found, as it is written.

    Args:
        found: among some images.
        identifier: the model whose backbone was asked.
        known_images: where the images of the known specimens come from.
        known_rule: what the known specimens are, in words.
        most: cases of each list to show with their evidence.
        left_out: images that are themselves known specimens.
    """

    def __init__(
        self,
        found: Novelty,
        identifier: Identifier,
        known_images: ImageSource,
        known_rule: str,
        most: int,
        left_out: int = 0,
    ) -> None:
        self._found, self._identifier, self._images = found, identifier, known_images
        self._rule, self._left_out = known_rule, left_out
        places = KnownPlaces(found)
        self.clusters: list[Cluster] = clusters_of(found, places)
        self._cases = NovelCases(found, places, self.clusters)
        self.counts = Counter(found.lists)
        self._shown = [
            row
            for name in (UNKNOWN, MISNAMED, BAD_IMAGE)
            for row in found.in_order(name)[:most].tolist()
        ]

    @cached_property
    def cases(self) -> list[Case]:
        """The cases that the dossier shows."""
        return [self._cases.case(row) for row in self._shown]

    @property
    def pictures(self) -> int:
        """Pictures that the dossier shows."""
        return len({sheet.image for case in self.cases for sheet in case.sheets()})

    def write(
        self,
        folder: Path,
        *,
        workers: int = AUTO,
        progress: Callable[[int], object] | None = None,
    ) -> Path:
        """Writes all files of a folder of results; returns the path of the dossier.

        Args:
            folder: that `begin_results` made.
            workers: processes that decode pictures.
            progress: told how many more pictures are done.
        """
        found, identifier = self._found, self._identifier
        write_cases(
            folder,
            self.cases,
            WithKnown(found.rows.collection.images, self._images),
            workers,
            taxa=found.known.taxa,
            progress=progress,
        )
        write_novel(folder, found, self._cases, all_in_order(found))
        write_clusters(folder, found, self.clusters)
        write_proposals(folder, found, Determiner(identifier))
        write_summary(folder, KIND, identifier, found.rows.collection.name, **self._facts())
        return write_dossier(folder)

    def _facts(self) -> dict[str, Any]:
        found = self._found
        return {
            "counts": {
                "images": len(found.p),
                **{
                    name.replace(" ", "_"): self.counts[name]
                    for name in LISTS
                    if name != "conflict"
                },
                "clusters": len(self.clusters),
                "shown": len(self.cases),
                "unreadable": len(found.rows.failures),
                "known_themselves": self._left_out,
            },
            "known": {
                "rule": self._rule,
                "images": len(found.known),
                "species": len(found.known.taxa),
                "species_held": found.species_held,
                "held_specimens": found.held.specimens(),
                "species_by_domain": {
                    domain: len(found.known.species_in(domain))
                    for domain in np.unique(found.known.domain).tolist()
                },
                "held_by_domain": {
                    domain: found.held.specimens(domain) for domain in found.held.domains(1)
                },
            },
            "score": found.score,
            "trials": trial_table(found.rehearsal.trials),
            "scores_refused": found.rehearsal.refused,
            "false_alarms": {
                "rate": found.rate,
                "images_without_promise": int((~found.promised).sum()),
                "turns": int(found.held.turn.max()) + 1,
                "meaning": self.promise(),
            },
            "sure_ranks": {
                rank: {
                    "probability": round(sure.threshold, 4),
                    "precision": round(sure.precision, 4),
                    "answered": round(sure.answered, 4),
                    "species": sure.species,
                }
                for rank, sure in found.sure.items()
            },
            "cluster_distance": found.limit,
        }

    def promise(self) -> str:
        """Returns what is promised of the false alarms, in words."""
        found = self._found
        least = least_specimens(found.rate)
        domains = found.held.domains(least)
        if not domains:
            return (
                f"nothing is promised: {found.held.specimens():,} known specimens were held out, "
                f"and a share of {found.rate:g} takes {least:,} of a kind"
            )
        kinds = ", ".join(name or "images of a kind that is not stated" for name in domains)
        how = (
            "proved, on average over which specimens were held out"
            if int(found.held.turn.max()) == 0
            else "closely, not exactly: known specimens took turns in being held out"
        )
        return (
            f"of specimens of known species like those held out, at most {found.rate:.3g} are "
            f"listed as unknown, for each of {kinds} ({how})"
        )

    def summary(self) -> str:
        """Returns what was found in a few lines."""
        found = self._found
        unknown, images = self.counts[UNKNOWN], len(found.p)
        lines = [
            f"{unknown:,} of {images:,} images fit no known species, in {len(self.clusters):,} "
            f"{'group' if len(self.clusters) == 1 else 'groups'}; about "
            f"{found.rate * images:,.0f} would be listed if all were known",
            f"{self.counts[MISNAMED]:,} look like another species than their name says; "
            f"{self.counts[BAD_IMAGE]:,} show no plant that could be named",
            f"the promise: {self.promise()}",
        ]
        if trial := mean_aurocs(found.rehearsal.trials).get(found.score):
            lines.append(
                f"on trial, with known species left out, an image of one of them was stranger than "
                f"one of a known species in {trial:.0%} of pairs (score {found.score})"
            )
        lines += self._uncovered()
        frame = found.rows.collection.frame
        rows = [
            (
                cluster.name,
                f"{len(cluster.rows):,}",
                f"{cluster.rank} {cluster.taxon}".strip() or "not sure",
                found.known.taxa[cluster.nearest[0][0]].scientificName,
                str(frame["image"].iat[cluster.rows[0]]),
            )
            for cluster in self.clusters[:_LINES]
        ]
        head = ("group", "images", "taxon", "nearest known", "typical image")
        return "\n".join([*lines, *table_lines(head, rows)])

    def _uncovered(self) -> Iterator[str]:
        """Yields a warning for each thing that the promise does not reach."""
        found = self._found
        if without := int((~found.promised).sum()):
            yield (
                f"nothing is promised for {without:,} images: too few known specimens of their kind"
            )
        if never := len(found.known.taxa) - found.species_held:
            yield (
                f"{never:,} of {len(found.known.taxa):,} known species had no specimen to hold "
                "out: nothing is promised for theirs"
            )
        for domain in found.held.domains(least_specimens(found.rate)):
            asked = int((found.rows.collection.frame["basisOfRecord"] == domain).sum())
            lacking = len(found.known.taxa) - len(found.known.species_in(domain))
            if asked and lacking and domain:
                yield (
                    f"{lacking:,} of {len(found.known.taxa):,} known species have no known "
                    f"{domain}: one of theirs may be listed as unknown, and that is not promised"
                )
        if self.counts[UNKNOWN] > _MOST * len(found.p):
            yield (
                "most images are listed: if their species should be known, these pictures may be "
                "of another kind (paper, light, camera) than those of the known specimens"
            )
