"""Where something is to be written: refused before the work if nothing can be written there."""

from __future__ import annotations

import os
from pathlib import Path

from herbzoo.errors import DataError


def check_destination(path: Path) -> None:
    """Refuses a file or folder to be that could not be written.

    Args:
        path: a file, or a folder; neither it nor the folders above it need to exist.

    Raises:
        DataError: if a file is where a folder must be, or writing there is not permitted.
    """
    whole = path.absolute()
    # Unlike Path.exists, this is no error where looking is not permitted.
    nearest = next(place for place in (whole, *whole.parents) if os.path.lexists(place))
    if nearest == whole and not nearest.is_dir():
        nearest = whole.parent  # a file that is replaced
    if not nearest.is_dir():
        raise DataError(f"{path} cannot be written: {nearest} is no folder; choose another place")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise DataError(
            f"{path} cannot be written: writing to {nearest} is not permitted; choose another place"
        )
