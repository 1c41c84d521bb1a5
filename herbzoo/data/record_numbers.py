"""Numbers that collectors give to their gatherings, taken apart."""

from __future__ import annotations

import re
from typing import NamedTuple

from herbzoo.data.label_text import folded, is_absent

_LABEL = re.compile(
    r"^\W*(?:(?:field|coll?|collection|collector'?s?)\W+)?"
    r"(?:no|nr|num|number|numero|nº|n°|№|n)[\s.:#°º]+(?=\S*\d)|^\W*#",
    re.IGNORECASE,
)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_SHEET_OF_TABLE = re.compile(r"^(\d+)\.0+$")
_RUNS = re.compile(r"[^\W\d_]+|\d+")


class RecordNumber(NamedTuple):
    """A collector's number; all parts are empty where there is none."""

    prefix: str
    """Letters before the first digit, folded."""
    digits: str
    """From the first digit to the last, without leading zeros: `123`, `155/43`."""
    suffix: str
    """Letters after the last digit, folded."""


NO_NUMBER = RecordNumber("", "", "")


def parse_number(text: str) -> RecordNumber:
    """Takes a number apart: `A-123`, `A 123` and `a.0123` are `("a", "123", "")`.

    `123a` is `("", "123", "a")`; `No. 123`, `#123` and `123.0` are plain `123`; what has no digit
    (`s.n.`, `Nil`) is `NO_NUMBER`. Several runs of digits are kept in order, whatever divides them:
    `155/43`, `155-43`.
    """
    if is_absent(text):
        return NO_NUMBER
    text = _SHEET_OF_TABLE.sub(r"\1", _THOUSANDS.sub("", _LABEL.sub("", text).strip()))
    runs = [folded(run) for run in _RUNS.findall(text)]
    numeric = [place for place, run in enumerate(runs) if run[0].isdigit()]
    if not numeric:
        return NO_NUMBER
    first, last = numeric[0], numeric[-1]
    core = "/".join(run.lstrip("0") or "0" for run in runs[first : last + 1])
    prefix, suffix = "".join(runs[:first]), "".join(runs[last + 1 :])
    return RecordNumber(prefix, core, suffix)
