"""The results of `herbzoo suspects`: all files of its folder, and a summary for the terminal."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from herbzoo.curation.case import Case
from herbzoo.curation.case_files import write_cases
from herbzoo.curation.dossier import write_dossier
from herbzoo.curation.ranking import LISTED
from herbzoo.curation.result_tables import Determiner, table_lines
from herbzoo.curation.results_folder import write_summary
from herbzoo.curation.slips import KINDS
from herbzoo.curation.suspect_cases import listed_rows, suspect_case
from herbzoo.curation.suspect_files import write_conflicts, write_proposals, write_suspects
from herbzoo.curation.suspects import Suspects
from herbzoo.image_batches import AUTO
from herbzoo.inference import Identifier

KIND = "suspects"
_LINES = 10
"""Of the list that the terminal shows."""


class SuspectResults:
    """What was found, as it is written.

    Args:
        found: among the rows of a collection.
        identifier: the model whose backbone was asked.
        most: cases to show with their evidence.
        least: suspicion from which on a name is listed.
    """

    def __init__(
        self, found: Suspects, identifier: Identifier, most: int, least: float = LISTED
    ) -> None:
        self._found, self._identifier = found, identifier
        self.listed = listed_rows(found, least)
        """Rows whose names are doubtful, the most suspicious first."""
        self.shown = self.listed[:most]
        """Those that the dossier shows."""

    @cached_property
    def cases(self) -> dict[int, Case]:
        """The case of each row that is shown."""
        return {row: suspect_case(self._found, row) for row in self.shown}

    @property
    def pictures(self) -> int:
        """Pictures that the dossier shows."""
        return len({sheet.image for row in self.shown for sheet in self.cases[row].sheets()})

    def write(
        self,
        folder: Path,
        *,
        workers: int = AUTO,
        unreadable: int = 0,
        progress: Callable[[int], object] | None = None,
    ) -> Path:
        """Writes all files of a folder of results; returns the path of the dossier.

        Args:
            folder: that `begin_results` made.
            workers: processes that decode pictures.
            unreadable: images that were left out, for the summary.
            progress: told how many more pictures are done.
        """
        found, identifier = self._found, self._identifier
        write_cases(
            folder,
            [self.cases[row] for row in self.shown],
            found.collection.images,
            workers,
            taxa=(*found.names.taxa, *identifier.taxonomy.taxa),
            progress=progress,
        )
        write_suspects(folder, found, self.listed)
        write_proposals(folder, found, self.listed, Determiner(identifier))
        write_conflicts(folder, found)
        write_summary(
            folder,
            KIND,
            identifier,
            found.collection.name,
            counts={**self._counts(), "unreadable": unreadable},
            shares=dict(zip(KINDS, found.slips.shares, strict=True)),
        )
        return write_dossier(folder)

    def _counts(self) -> dict[str, int]:
        found = self._found
        return {
            "names": len(found.suspicion),
            "judged": len(found.order),
            "listed": len(self.listed),
            "shown": len(self.shown),
            "conflicts": len(found.conflicts),
            "confident_learning": int(found.judged.issue.sum()),
        }

    def summary(self) -> str:
        """Returns what was found in a few lines, and the most doubtful names."""
        found, counts = self._found, self._counts()
        unjudged = counts["names"] - counts["judged"]
        wrong = float(np.nansum(found.suspicion))
        lines = [
            f"{counts['judged']:,} names judged, of which about {wrong:,.0f} are wrong "
            f"({wrong / max(counts['judged'], 1):.1%}); {counts['listed']:,} are listed as doubtful"
        ]
        if found.conflicts:
            lines.append(f"{counts['conflicts']:,} gatherings have duplicates under other names")
        if unjudged:
            lines.append(
                f"{unjudged:,} names cannot be judged: no other gathering of their species, genus "
                "or family is here"
            )
        frame = found.collection.frame
        rows = [
            (
                f"{found.suspicion[row]:.2f}",
                str(frame["scientificName"].iat[row]),
                self._proposed(row),
                found.disagreement(row),
                str(frame["image"].iat[row]),
            )
            for row in self.listed[:_LINES]
        ]
        head = ("suspicion", "present name", "rather", "another", "image")
        return "\n".join([*lines, *table_lines(head, rows)])

    def _proposed(self, row: int) -> str:
        best = self._found.proposals(row)[:1]
        return self._found.names.taxa[best[0][0]].scientificName if best else ""
