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
    named_by_folders: bool = False
    """Where names are not required, take those of folders all the same, if these are of species."""
    skip_bad: bool = False
    """Leave bad rows out and list them, instead of refusing the whole."""
    skipped: list[Skipped] = field(default_factory=list)

    def bad(self, rows: Sequence[Skipped], summary: str = "") -> None:
        """Refuses rows that cannot be used, or leaves them out.

        Args:
            rows: where each is and what is wrong with it; none is no problem.
            summary: what is wrong with them together, on one line; by default what is wrong with
                the first, and how many more there are.

        Raises:
            DataError: if there are any and the user did not ask to skip them.
        """
        if not rows:
            return
        if self.skip_bad:
            self.skipped.extend(rows)
            return
        if not summary:
            more = f" (and {len(rows) - 1:,} more like it)" if len(rows) > 1 else ""
            summary = f"{rows[0].where} {rows[0].reason}{more}"
        # Only where names are required, as for training, is there such an option.
        hint = " (to leave out what is bad: --skip-bad)" if self.names_required else ""
        raise DataError(f"{summary}{hint}")
