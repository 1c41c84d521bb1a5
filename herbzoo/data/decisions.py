"""Decisions of people about the names of specimens: one CSV, only ever appended to.

Columns are Darwin Core's as far as it has them. Of the rows of a case the last of each reviewer
counts; where reviewers contradict each other, the case counts as unsure.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from herbzoo.errors import DataError

AGREE, REJECT, UNSURE, OTHER, WITHDRAWN = "agree", "reject", "unsure", "other", "withdrawn"
DECISIONS = (AGREE, REJECT, UNSURE, OTHER, WITHDRAWN)
"""That the proposal is right, that the present name stands, that it cannot be told, that it is
another taxon; and that the reviewer takes back what was said before."""
VALIDATED = "ValidatedByHuman"
"""`identificationVerificationStatus` of a decision."""
SEPARATOR = " | "
_LOCK_SECONDS = 20
_BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """What a reviewer decided about a case; every field is a column."""

    caseID: str
    list: str
    image: str
    occurrenceID: str
    catalogNumber: str
    institutionCode: str
    previousScientificName: str
    """The name at the time."""
    decision: str
    """One of `DECISIONS`."""
    scientificName: str
    """The name after the decision; '' if there is none, as for an unknown species."""
    scientificNameAuthorship: str
    genus: str
    family: str
    taxonID: str
    identifiedBy: str
    """The reviewer; of a case that several agree on, all of them."""
    dateIdentified: str
    """ISO date and time, UTC."""
    identificationVerificationStatus: str
    identificationReferences: str
    """The model that made the proposal, with its revision."""
    identificationRemarks: str
    disputed: bool = False
    """No column: whether it is unsure because reviewers contradict each other."""


COLUMNS = tuple(field.name for field in fields(Decision) if field.name != "disputed")
NEEDED = ("caseID", "image", "previousScientificName", "decision", "scientificName")
"""Columns without which a table holds no decisions."""


def read_decisions(path: Path) -> list[Decision]:
    """Reads what was decided in the end: one decision a case, in the order of the first rows.

    A reviewer who is unsure contradicts nobody. Where others contradict each other, the decision
    is `unsure`, and its remarks say who said what.

    Raises:
        DataError: if the table cannot be read.
    """
    return settled_rows(read_rows(path), path)


def settled_rows(rows: Iterable[Decision], path: Path) -> list[Decision]:
    """Returns one decision a case, and warns of those that reviewers dispute."""
    settled = settle(rows)
    disputed = [one for one in settled if one.disputed]
    if disputed:
        logger.warning(
            "%s: reviewers contradict each other about %d cases, which count as unsure, such as %s "
            "(%s)",
            *(path, len(disputed), disputed[0].image, disputed[0].identificationRemarks),
        )
    return settled


def settle(rows: Iterable[Decision]) -> list[Decision]:
    """Returns one decision a case, of rows in the order in which they were written."""
    said: dict[str, dict[str, Decision]] = {}
    for row in rows:
        said.setdefault(row.caseID, {})[row.identifiedBy] = row
    found = []
    for by_reviewer in said.values():
        standing = [row for row in by_reviewer.values() if row.decision != WITHDRAWN]
        if standing:
            found.append(_together(standing))
    return found


def _together(rows: Sequence[Decision]) -> Decision:
    """Returns what the reviewers of one case say together."""
    sure = [row for row in rows if row.decision != UNSURE]
    counting = sure or list(rows)
    last = counting[-1]
    reviewers = SEPARATOR.join(row.identifiedBy for row in counting)
    if len({(_outcome(row), row.scientificName) for row in counting}) == 1:
        return replace(last, identifiedBy=reviewers)
    remarks = SEPARATOR.join(
        f"{row.identifiedBy}: {row.decision} {row.scientificName}".rstrip() for row in counting
    )
    return replace(
        last,
        decision=UNSURE,
        identifiedBy=reviewers,
        identificationVerificationStatus="",
        identificationRemarks=remarks,
        disputed=True,
        scientificName="",
        scientificNameAuthorship="",
        genus="",
        family="",
        taxonID="",
    )


def _outcome(row: Decision) -> str:
    """Returns what becomes of the sheet: who types the proposed name agrees with it."""
    return "named" if row.scientificName else row.decision


def read_rows(path: Path) -> list[Decision]:
    """Reads all rows, in their order; a last one that was cut short is left out with a warning.

    Raises:
        DataError: if the table is not there, is no CSV, or holds no decisions.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    return parse_rows(content, path)


def parse_rows(content: bytes, path: Path) -> list[Decision]:
    """Reads all rows of a table that is in memory; else as `read_rows`.

    Raises:
        DataError: if it is no CSV, or holds no decisions.
    """
    whole = content[: whole_length(content)]
    if len(whole) < len(content):
        logger.warning("%s: the last line was cut short, and is left out", path)
    if not whole and _csv_line(COLUMNS).encode().startswith(content):  # it ended within the head
        return []
    try:
        text = io.StringIO(whole.decode("utf-8-sig"), newline="")
        reader = csv.DictReader(text, strict=True)
        _check_columns(path, reader.fieldnames or [])
        return [_decision(row, f"{path}, line {reader.line_num}") for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no CSV in UTF-8 ({error})") from error


def append_decisions(path: Path, decisions: Sequence[Decision]) -> int:
    """Appends decisions that are not there yet, on the disk when this returns.

    Several processes may do so at once. A decision is there already if a row of the same case,
    reviewer and time is: what is sent twice is kept once. A last line that was cut short is
    dropped first, and a write that fails leaves the table as it was.

    Returns:
        How many were new.

    Raises:
        DataError: if what is at `path` is something else.
        OSError: if it cannot be written, as on a full disk.
    """
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_SECONDS):
        rows = _rows_to_go_on_with(path)
        known = {_key(row) for row in rows}
        fresh = {_key(one): one for one in decisions if _key(one) not in known}
        if not fresh:
            return 0
        text = "".join(_csv_line(_in_columns(one, columns_of(path))) for one in fresh.values())
        if not path.is_file():
            text = _csv_line(COLUMNS) + text
        _write_end(path, text.encode("utf-8"))
    return len(fresh)


def columns_of(path: Path) -> Sequence[str]:
    """Returns the columns of a table in their order; ours, if it is not there."""
    if not path.is_file():
        return COLUMNS
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return next(csv.reader(stream), COLUMNS)


def whole_length(content: bytes) -> int:
    """Returns how many bytes of a table are whole rows.

    The last row counts without a line end if all its columns are there, as a person's editor may
    have left it.
    """
    if not content or content.endswith(b"\n"):
        return len(content)
    before = content.rfind(b"\n") + 1
    while content.count(b'"', 0, before) % 2:  # within quotes it is no end of a row
        before = content.rfind(b"\n", 0, before - 1) + 1
    header = _cells(content.partition(b"\n")[0])
    last = _cells(content[before:])
    if last and before and len(last) == len(header):
        return len(content)
    return before


def _cells(row: bytes) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(row.decode("utf-8-sig"), newline=""), strict=True), [])
    except (csv.Error, UnicodeDecodeError):  # cut within quotes, or within a letter
        return []


def _rows_to_go_on_with(path: Path) -> list[Decision]:
    """Reads a table and makes its end fit to be appended to; one that holds no decisions stays.

    Raises:
        DataError: if what is at `path` is something else.
    """
    if not path.is_file():
        return []
    content = path.read_bytes()
    rows = parse_rows(content, path)  # before anything is changed
    _mend(path, content)
    return rows


def _mend(path: Path, content: bytes) -> None:
    """Drops a last line that was cut short, and ends a whole one."""
    kept = whole_length(content)
    if kept < len(content):
        logger.warning("%s: the last line was cut short, and is dropped", path)
        os.truncate(path, kept)
    if not kept:
        path.unlink()
    elif not content[:kept].endswith(b"\n"):
        _write_end(path, b"\n")


def _write_end(path: Path, content: bytes) -> None:
    """Writes at the end and waits for the disk; what fails leaves nothing behind."""
    new = not path.exists()
    with path.open("ab", buffering=0) as stream:
        before = stream.tell()
        try:
            written = 0
            while written < len(content):
                written += stream.write(content[written:])
            os.fsync(stream.fileno())
        except OSError:
            stream.truncate(before)
            if new:
                path.unlink()
            raise
    if new:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Makes sure that a new file is found again after a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _csv_line(cells: Iterable[str]) -> str:
    """Returns a row; no cell holds a line end, so that a row is a line."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([_BREAKS.sub(" ", cell) for cell in cells])
    return text.getvalue()


def _in_columns(one: Decision, columns: Iterable[str]) -> list[str]:
    return [str(getattr(one, name, "")) for name in columns]


def _key(one: Decision) -> tuple[str, str, str]:
    return one.caseID, one.identifiedBy, one.dateIdentified


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise DataError(
            f"{path} holds no decisions: it lacks the columns {', '.join(missing)}; it has "
            f"{', '.join(columns) or 'none'}"
        )


def _decision(row: dict[str, str], where: str) -> Decision:
    cells: dict[str, Any] = {name: (row.get(name) or "").strip() for name in COLUMNS}
    cells["image"] = row.get("image") or ""  # a key, in which every blank counts
    found = Decision(**cells)
    if not found.caseID:
        raise DataError(f"{where}: there is no caseID")
    if found.decision not in DECISIONS:
        raise DataError(
            f"{where}: there is no decision {found.decision!r}; there are {', '.join(DECISIONS)}"
        )
    return found
