"""What a check finds: one kind of thing that is wrong, where, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from herbzoo.data.records import Collection

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
"""From what makes a training or its figures wrong, by what probably does, to what is worth knowing.
"""
COLUMNS = ("severity", "kind", "where", "what", "advice", "rows")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a collection."""

    kind: str
    """A few words with hyphens, the same for all findings of a sort."""
    severity: str
    where: str
    """The images concerned, as far as they fit a line."""
    what: str
    advice: str
    rows: tuple[int, ...] = ()
    """Positions of all rows concerned."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the columns of a table of findings."""
        texts = {name: getattr(self, name) for name in COLUMNS[:-1]}
        return {**texts, "rows": len(self.rows)}


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sorts by severity, kind, and how many rows are concerned, most first."""
    return tuple(
        sorted(
            findings,
            key=lambda f: (SEVERITIES.index(f.severity), f.kind, -len(f.rows), f.what, f.where),
        )
    )


def counted(findings: Sequence[Finding]) -> str:
    """Returns `2 errors, 1 warning, 0 notes`."""
    counts = Counter(finding.severity for finding in findings)
    return ", ".join(f"{counts[s]:,} {s}{'' if counts[s] == 1 else 's'}" for s in SEVERITIES)


def findings_text(findings: Sequence[Finding], shown: int = 10) -> str:
    """Returns findings as lines for people, a block a kind, and their numbers at the end.

    Args:
        findings: in the order of `ordered`.
        shown: findings of one kind and severity that are spelt out.
    """
    lines: list[str] = []
    sorts: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        sorts.setdefault((finding.severity, finding.kind), []).append(finding)
    for (severity, kind), found in sorts.items():
        lines.append(f"{severity}: {kind} ({len(found):,})")
        previous = ""
        for finding in found[:shown]:
            lines.append(f"  {finding.what}")
            if finding.where:
                lines.append(f"    in {finding.where}")
            if finding.advice != previous:
                lines.append(f"    -> {finding.advice}")
            previous = finding.advice
        if len(found) > shown:
            lines.append(f"  and {len(found) - shown:,} more (--format csv lists all)")
        lines.append("")
    return "\n".join([*lines, counted(findings)])


class Places:
    """The rows of each value of a column, found in one pass over it."""

    def __init__(self, images: pd.Series, values: pd.Series) -> None:
        self._images = images.to_numpy(dtype=object)
        codes, distinct = pd.factorize(values)
        self.values: list[str] = [str(value) for value in distinct]
        self._code = {value: code for code, value in enumerate(self.values)}
        self._order = np.argsort(codes, kind="stable")
        self._starts = np.searchsorted(codes[self._order], np.arange(len(distinct) + 1))

    def count(self, value: str) -> int:
        """Returns how many rows have a value."""
        code = self._code[value]
        return int(self._starts[code + 1] - self._starts[code])

    def rows(self, *values: str) -> tuple[int, ...]:
        """Returns the rows of some values, in the order of the collection."""
        found = [
            self._order[self._starts[self._code[value]] : self._starts[self._code[value] + 1]]
            for value in values
        ]
        return tuple(np.sort(np.concatenate(found)).tolist()) if found else ()

    def where(self, *values: str) -> str:
        """Names the images of some values, as far as they fit a line."""
        return shown_images([self._images[row] for row in self.rows(*values)])


def shown_images(images: Sequence[str], shown: int = 3) -> str:
    """Returns the first images, and how many rows there are if there are more."""
    different = list(dict.fromkeys(images))
    if len(different) <= shown:
        return ", ".join(different)
    return f"{', '.join(different[:shown])}, ... ({len(images):,} rows)"


def images_of(collection: Collection, rows: Sequence[int], shown: int = 3) -> str:
    """Names the images of some rows, as far as they fit a line."""
    column = collection.frame["image"]
    names = [str(column.iloc[row]) for row in rows[:shown]]
    more = f", ... ({len(rows):,} rows)" if len(rows) > shown else ""
    return ", ".join(names) + more
