"""How a collection is to be read, and what becomes of rows that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from herbzoo.data.records import Skipped
from herbzoo.errors import DataError


@dataclass(frozen=True)
class Reading:
    """What the user asked of a reader; it also keeps the list of what was skipped."""

    name_column: str | None = None
    """The column of names, in place of those that are tried."""
    names_required: bool = True
    """Whether a row without a name is of no use, and a missing image an error."""
    skip_bad: bool = False
    """Leave bad rows out and list them, instead of refusing the whole."""
    skipped: list[Skipped] = field(default_factory=list)

    def bad(self, rows: Sequence[Skipped], summary: str) -> None:
        """Refuses rows that cannot be used, or leaves them out.

        Args:
            rows: where each is and what is wrong with it; none is no problem.
            summary: what is wrong with them together, on one line, first ones named.

        Raises:
            DataError: if there are any and the user did not ask to skip them.
        """
        if not rows:
            return
        if not self.skip_bad:
            raise DataError(f"{summary} (to go on without such rows: --skip-bad)")
        self.skipped.extend(rows)
