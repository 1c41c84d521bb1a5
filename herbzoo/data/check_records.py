"""Checks of what the records say beside the name: catalogue numbers, dates, one image twice."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from herbzoo.data.describe import shown_names
from herbzoo.data.event_dates import parse_date
from herbzoo.data.findings import ERROR, NOTE, WARNING, Finding, Places
from herbzoo.data.label_text import is_absent

if TYPE_CHECKING:
    import pandas as pd

_ISO = re.compile(
    r"\d{4}(?:-\d{2}(?:-\d{2}(?:[T ][\d:.]+(?:Z|[+-]\d{2}:?\d{2})?)?)?)?"
    r"(?:/(?:\d{4}-)?(?:\d{2}-)?\d{2,4}(?:[T ][\d:.]+(?:Z|[+-]\d{2}:?\d{2})?)?)?"
)


def record_findings(frame: pd.DataFrame, today: date) -> Iterator[Finding]:
    """Yields what is wrong with records, whose images are not opened.

    Args:
        frame: rows of a collection.
        today: the day after which nothing can have been gathered.
    """
    yield from _two_names(
        frame,
        "image",
        ("image-with-two-names", ERROR),
        "one image bears {names}",
        "keep the row whose name is right: both cannot be learned from one picture",
    )
    yield from _repeated_rows(frame)
    yield from _two_names(
        frame,
        "occurrenceID",
        ("specimen-with-two-names", WARNING),
        "the specimen {value} bears {names}",
        "keep its latest determination on all its images",
    )
    yield from _catalogue_numbers(frame)
    yield from _dates(frame, today)


def _two_names(
    frame: pd.DataFrame, column: str, sort: tuple[str, str], what: str, advice: str
) -> Iterator[Finding]:
    named = frame.loc[(frame[column] != "") & (frame["scientificName"] != "")]
    pairs = named[[column, "scientificName"]].drop_duplicates()
    several = pairs[pairs[column].duplicated(keep=False)]
    if several.empty:
        return
    places = Places(frame["image"], frame[column])
    for value, names in several.groupby(column, sort=True)["scientificName"]:
        told = what.format(value=value, names=shown_names([repr(name) for name in names]))
        yield Finding(*sort, places.where(str(value)), told, advice, places.rows(str(value)))


def _repeated_rows(frame: pd.DataFrame) -> Iterator[Finding]:
    repeated = frame[["image", "scientificName"]].duplicated(keep=False)
    if not repeated.any():
        return
    places = Places(frame["image"], frame["image"].where(repeated, ""))
    for image in (value for value in places.values if value):
        rows = places.rows(image)
        what = f"one image is in {len(rows):,} rows under one name"
        yield Finding("image-repeated", NOTE, image, what, "one row an image is enough", rows)


def _catalogue_numbers(frame: pd.DataFrame) -> Iterator[Finding]:
    """Yields numbers that a herbarium has given to several specimens."""
    facts = frame[["institutionCode", "catalogNumber", "occurrenceID", "scientificName"]]
    facts = facts[(facts["catalogNumber"] != "") & (facts["institutionCode"] != "")]
    if "collectionCode" in frame.columns:  # numbers start anew in each collection of a house
        facts = facts.assign(
            institutionCode=facts["institutionCode"] + " " + frame["collectionCode"]
        )
    numbers = facts.drop_duplicates()
    key = ["institutionCode", "catalogNumber"]
    several = numbers[numbers.duplicated(key, keep=False)]
    if several.empty:
        return
    places = Places(
        frame.loc[facts.index, "image"], facts["institutionCode"] + "\n" + facts["catalogNumber"]
    )
    positions = facts.index.to_numpy()
    for (house, number), rows in several.groupby(key, sort=True):
        specimens = set(rows["occurrenceID"]) - {""}
        names = sorted(set(rows["scientificName"]) - {""})
        if len(specimens) < 2 and (len(names) < 2 or len(specimens) == 1):
            continue  # images of one specimen; two names of that are found elsewhere
        holds = f"{len(specimens):,} specimens" if len(specimens) > 1 else "images"
        called = f"of {len(names):,} names ({shown_names(names, 3)})" if len(names) > 1 else ""
        what = (
            f"catalogue number {number} of {str(house).strip()} stands for {holds} {called}".strip()
        )
        value = f"{house}\n{number}"
        yield Finding(
            "catalogue-number-twice",
            WARNING,
            places.where(value),
            what,
            "give each specimen its own number, or its images one occurrenceID",
            tuple(positions[list(places.rows(value))].tolist()),
        )


def _dates(frame: pd.DataFrame, today: date) -> Iterator[Finding]:
    places = Places(frame["image"], frame["eventDate"])
    odd: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for text in places.values:
        stated = text.strip()
        if not stated or (is_absent(stated) and not any(map(str.isdigit, stated))):
            continue
        understood = parse_date(stated)
        if understood and understood > today.isoformat()[: len(understood)]:
            what = f"eventDate {text!r} is in the future"
            advice = "correct the date; the day of digitisation may stand in its place"
            yield Finding(
                "date-in-future", WARNING, places.where(text), what, advice, places.rows(text)
            )
        elif not understood:
            odd["date-unparsable", _shape(stated)].append(text)
        elif not _ISO.fullmatch(stated):
            odd["date-not-iso", _shape(stated)].append(text)
    for (kind, shape), texts in odd.items():
        readable = kind == "date-not-iso"
        is_what = "not written by ISO 8601" if readable else "no date that can be read"
        what = f"eventDate is {is_what}: {shown_names([repr(text) for text in texts], 3)}"
        what += f" ({len(texts):,} such as {shape})" if len(texts) > 3 else ""
        advice = "write YYYY-MM-DD, YYYY-MM or YYYY, and ranges with a slash"
        severity = NOTE if readable else WARNING
        yield Finding(kind, severity, places.where(*texts), what, advice, places.rows(*texts))


def _shape(text: str) -> str:
    """Returns what dates written in one way have in common: digits are 9, words are a."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d", "9", text))[:40]
