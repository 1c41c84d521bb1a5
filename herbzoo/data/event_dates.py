"""Dates of gatherings, as precise as they are sure."""

from __future__ import annotations

import re
from datetime import date

from herbzoo.data.label_text import folded, is_absent

_MONTHS = (
    "jan janv januar january janeiro enero ener gennaio ianuar",
    "feb fev fevr fevrier februar february fevereiro febrero febbraio",
    "mar mars mrz marz march marzo marco maart",
    "apr avr avril april abril abr aprile",
    "may mai maj mayo maio maggio mei",
    "jun juin juni june junio junho giugno",
    "jul juil juillet juli july julio julho luglio",
    "aug aout august augusti agosto ago augustus",
    "sep sept septembre september septiembre setembro settembre setiembre set",
    "oct okt octobre oktober october octubre outubro ottobre out",
    "nov novembre november noviembre novembro",
    "dec dez dic decembre dezember december diciembre dezembro dicembre",
)
_MONTH_OF = {word: month for month, words in enumerate(_MONTHS, 1) for word in words.split()}
_TWELVE = "i ii iii iv v vi vii viii ix x xi xii"
_ROMAN = {numeral: month for month, numeral in enumerate(_TWELVE.split(), 1)}
_ISO = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?(?:[T ]\d{1,2}:\d{2}.*)?Z?")
_NUMERIC = re.compile(r"(\d{1,2})\s*([./-])\s*(\d{1,2})\s*[./-]\s*(\d{4})")
_YEAR_FIRST = re.compile(r"(\d{4})[./](\d{1,2})[./](\d{1,2})")
_PARTS = re.compile(r"[^\W\d_]+|\d+")


def parse_date(text: str) -> str:
    """Returns a date as `YYYY-MM-DD`, `YYYY-MM` or `YYYY`, or `''` where there is none.

    Understood are ISO dates, times behind them cut off; `12.5.1923`, `1.V.1923`, `12 March 1978`,
    `March 12, 1978`, `May 1978`, and ranges (`1990-05-01/1990-05-03`), which give what both ends
    have in common. Only what is sure counts: of `04/05/1990` that is the year, for some write the
    month first; two digits are no year; an impossible day (30 February) leaves the month; and
    1 January, with which data bases fill what they do not know, leaves the year.
    """
    text = text.strip()
    if is_absent(text):
        return ""
    start, slash, end = text.partition("/")
    if slash and _ISO.fullmatch(start) and not _YEAR_FIRST.fullmatch(text):
        return _common(_date(start), _date(start[: max(0, len(start) - len(end))] + end))
    return _date(text)


def _date(text: str) -> str:
    found = _ISO.fullmatch(text) or _YEAR_FIRST.fullmatch(text)
    if found:
        return _sure(*(int(part or 0) for part in found.groups()))
    numeric = _NUMERIC.fullmatch(text)
    if numeric:
        first, second, year = int(numeric[1]), int(numeric[3]), int(numeric[4])
        if numeric[2] == "." or first > 12 or first == second:
            return _sure(year, second, first)
        return _sure(year, first, second) if second > 12 else _sure(year, 0, 0)
    return _written(text)


def _written(text: str) -> str:
    """Reads a date with its month in letters or Roman numerals."""
    parts = [folded(part) for part in _PARTS.findall(text)]
    years = [int(part) for part in parts if part.isdigit() and len(part) == 4]
    months = [m for part in parts if (m := _MONTH_OF.get(part) or _ROMAN.get(part))]
    days = [int(part) for part in parts if part.isdigit() and len(part) <= 2]
    if len(years) != 1:
        return ""
    if len(months) != 1:
        return _sure(years[0], 0, 0)
    return _sure(years[0], months[0], days[0] if len(days) == 1 else 0)


def _sure(year: int, month: int, day: int) -> str:
    if not 1600 <= year <= 2100:
        return ""
    if not 1 <= month <= 12 or (month, day) == (1, 1):
        return f"{year:04d}"
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return f"{year:04d}-{month:02d}"


def _common(start: str, end: str) -> str:
    for length in (10, 7, 4):
        if start[:length] == end[:length] and len(start) >= length:
            return start[:length]
    return ""
