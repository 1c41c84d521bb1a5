"""Numbers of bytes as people write them: `500MB`, `20 GiB`."""

from __future__ import annotations

import re

from herbzoo.errors import DataError

_UNITS = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", start=1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", start=1)},
}


def parse_bytes(text: str, what: str) -> int:
    """Reads a number of bytes.

    Args:
        text: a number and, if it likes, a unit: B, KB, MB, GB, TB (1000) or KiB, MiB, ... (1024).
        what: what the number is of, for the error.

    Raises:
        DataError: if it is none, or less than one byte.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if found is not None and found[2] in _UNITS:
        size = int(float(found[1]) * _UNITS[found[2]])
        if size > 0:
            return size
    raise DataError(f"{what} is {text!r}, and must be a size such as 500MB or 2GiB")
