"""A review in progress: a results folder, and the decisions that reviewers send about its cases."""

from __future__ import annotations

import base64
import errno
import logging
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import Timeout

from herbzoo.curation.case import BAD_IMAGE, UNKNOWN, Case
from herbzoo.curation.case_files import (
    CASES_FILE,
    DECISIONS_FILE,
    SUMMARY_FILE,
    read_cases,
    read_summary,
    read_taxa,
    read_thumbnail,
    thumbnail_digest,
)
from herbzoo.curation.review_page import page_data, reference_of
from herbzoo.data.decisions import (
    AGREE,
    COLUMNS,
    DECISIONS,
    OTHER,
    REJECT,
    UNSURE,
    VALIDATED,
    WITHDRAWN,
    Decision,
    append_decisions,
    read_rows,
)
from herbzoo.data.records import SpecimenRecord
from herbzoo.errors import DataError, HerbzooError
from herbzoo.identification import Candidate
from herbzoo.names import parse_name
from herbzoo.taxonomy import Taxon

MOST_AT_ONCE = 200
"""Decisions that a page may send together, and pictures that it may ask for."""
_LONGEST = {"identifiedBy": 100, "scientificName": 200, "identificationRemarks": 500}
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f]+")
"""All that ends a line or that a table would not give back: what is sent again is found again."""
_FORMULA = re.compile(r"^[=@+-][=@+\s-]*(?=.*[(|!])")
"""The beginning of a text that a spreadsheet runs; anybody may have typed it."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

logger = logging.getLogger(__name__)


class Review:
    """The cases of a results folder, and its `decisions.csv`.

    What a page sends is taken as a claim: which case, what was decided, by whom and when. All else
    comes from the folder, and nothing that a page sends becomes part of a path.

    Args:
        folder: of the results.

    Raises:
        DataError: if it is none, is damaged, or its `decisions.csv` holds something else.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise DataError(
                f"there is no folder {self.folder}: name one that `herbzoo suspects` or `herbzoo "
                "novel` wrote"
            )
        self.cases: dict[str, Case] = {}
        self._images: dict[str, str] = {}
        self._renew()
        self.rows()

    @property
    def decisions_path(self) -> Path:
        """Where decisions are kept."""
        return self.folder / DECISIONS_FILE

    @property
    def page(self) -> dict[str, Any]:
        """What the page shows: what is in the folder now, if the command was run again."""
        if self._state() != self._read:
            try:
                self._renew()
            except DataError as error:
                logger.warning("the cases of before are shown: %s", error)
        return self._page

    def _renew(self) -> None:
        """Reads the folder; cases of before are still known, as a page may be open that has them.

        Raises:
            DataError: if it is no results folder, or is damaged.
        """
        state, cases = self._state(), read_cases(self.folder)
        taxa, summary = read_taxa(self.folder, cases), read_summary(self.folder)
        self._page = page_data(self.folder)
        self.cases |= {case.id: case for case in cases}
        self.taxa = {taxon.scientificName: taxon for taxon in taxa}
        self.reference = reference_of(summary)
        for case in cases:
            for record in case.sheets():
                self._images[thumbnail_digest(record.image)] = record.image
        self._read = state

    def _state(self) -> tuple[tuple[int, int], ...]:
        """Returns size and time of change of the files that a page is made of."""
        found = [self.folder / name for name in (CASES_FILE, SUMMARY_FILE)]
        stats = [path.stat() for path in found if path.is_file()]
        return tuple((one.st_size, one.st_mtime_ns) for one in stats)

    def rows(self) -> list[Decision]:
        """Returns all that was decided, in the order in which it was written."""
        return read_rows(self.decisions_path) if self.decisions_path.is_file() else []

    def picture(self, digest: str) -> str | None:
        """Returns the thumbnail of that digest as base64, if a case shows it."""
        image = self._images.get(digest)
        content = None if image is None else read_thumbnail(self.folder, image)
        return None if content is None else base64.b64encode(content).decode()

    def take(self, claims: Sequence[Mapping[str, Any]], seen: int) -> dict[str, Any]:
        """Keeps decisions, and returns what others decided meanwhile.

        Args:
            claims: decisions as the page sends them; none to ask only.
            seen: how many rows the page knows.

        Returns:
            `rows` that the page does not know, the `total`, which claims were `refused` (the
            `place` of each, and the `reason`), and a `problem` that kept the decisions from being
            written, or ''.
        """
        fresh, refused, problem = [], [], ""
        for place, claim in enumerate(claims[:MOST_AT_ONCE]):
            try:
                fresh.append(self.decision(claim))
            except DataError as error:
                refused.append({"place": place, "reason": str(error)})
        rows: list[Decision] = []
        try:
            rows = self.rows()  # which are shown even if nothing can be written
            if fresh:
                append_decisions(self.decisions_path, fresh)
                rows = self.rows()
        except HerbzooError as error:
            problem = f"The decisions cannot be kept: {error}"
        except (OSError, Timeout) as error:
            logger.error("%s cannot be written: %s", self.decisions_path, error)
            problem = _unwritten(error)
        since = seen if 0 <= seen <= len(rows) else 0
        return {
            "rows": [plain_row(row) for row in rows[since:]],
            "total": len(rows),
            "refused": refused,
            "problem": problem,
        }

    def decision(self, claim: Mapping[str, Any]) -> Decision:
        """Returns the decision that a page claims, with the facts of its case.

        Raises:
            DataError: if there is no such case or decision, or nobody decided.
        """
        said = {name: _one_line(claim.get(name), _LONGEST.get(name, 40)) for name in COLUMNS}
        case = self.cases.get(said["caseID"])
        if case is None:
            raise DataError("it is about a case that is not on this list any more")
        if said["decision"] not in DECISIONS:
            raise DataError(f"there is no decision {said['decision']!r}")
        if not said["identifiedBy"]:
            raise DataError("a decision has a reviewer: fill in your name first")
        taxon = self._taxon(case, said["decision"], said["scientificName"])
        record = case.record
        return Decision(
            caseID=case.id,
            list=case.list,
            image=record.image,
            occurrenceID=record.occurrenceID,
            catalogNumber=record.catalogNumber,
            institutionCode=record.institutionCode,
            previousScientificName=record.scientificName,
            decision=said["decision"],
            scientificName=taxon.scientificName,
            scientificNameAuthorship=taxon.scientificNameAuthorship,
            genus=taxon.genus,
            family=taxon.family,
            taxonID=taxon.taxonID,
            identifiedBy=said["identifiedBy"],
            dateIdentified=_moment(said["dateIdentified"]),
            identificationVerificationStatus=(
                "" if said["decision"] in (UNSURE, WITHDRAWN) else VALIDATED
            ),
            identificationReferences=self.reference,
            identificationRemarks=said["identificationRemarks"],
        )

    def _taxon(self, case: Case, decision: str, name: str) -> Taxon:
        """Returns the taxon after a decision.

        Raises:
            DataError: if it is not one that was proposed, where it must be, or has no name.
        """
        if decision == REJECT:
            return _taxon_of(case.record)
        if decision == AGREE and case.list not in (UNKNOWN, BAD_IMAGE):
            for proposal in case.proposals:
                if proposal.candidate.scientificName == name:
                    return _taxon_of(proposal.candidate)
            if name in self.taxa:  # it was, before the command was run again
                return self.taxa[name]
            raise DataError(f"{name or 'nothing'} was not proposed for this sheet")
        if decision == OTHER:
            if not name:
                raise DataError("another name was chosen, and none given")
            return self.taxa.get(name) or named(name)
        return Taxon("")


def _taxon_of(one: SpecimenRecord | Candidate) -> Taxon:
    return Taxon(
        one.scientificName, one.scientificNameAuthorship, one.genus, one.family, one.taxonID
    )


def named(name: str) -> Taxon:
    """Returns the taxon of a name that somebody typed, as far as the name tells."""
    parsed = parse_name(name)
    if not parsed.name or parsed.problem or parsed.qualifier:
        return Taxon(name)
    return Taxon(parsed.name, parsed.authorship, parsed.genus)


def plain_row(row: Decision) -> dict[str, str]:
    """Returns a row as its columns."""
    return {name: str(getattr(row, name)) for name in COLUMNS}


def _one_line(value: Any, longest: int) -> str:
    """Returns a text as it is read back from a table."""
    if not isinstance(value, str):
        return ""
    text = _BLANKS.sub(" ", value.encode("utf-8", "replace").decode()).strip()[:longest]
    return _FORMULA.sub("", text).strip()


def _moment(text: str) -> str:
    """Returns the time of a decision as it was sent: with the case and the reviewer it is its key.

    Raises:
        DataError: if it is no time.
    """
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise DataError(f"{text!r} is no time of a decision") from error
    return text


def _unwritten(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in _FULL:
        return (
            "The disk of the server is full: decisions are kept in this browser, and sent again "
            "when there is room."
        )
    return (
        "The server cannot write decisions.csv: they are kept in this browser, and sent again. "
        f"({getattr(error, 'strerror', '') or error})"
    )
