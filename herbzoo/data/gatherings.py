"""What a split must not divide: images of one specimen, and specimens of one gathering.

A gathering is what a collector took from one place on one day under one number; its duplicates went
to several herbaria, look alike, and are entered there in other spellings and under other names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from herbzoo.data.collectors import number_behind, parse_collector
from herbzoo.data.event_dates import parse_date
from herbzoo.data.joins import Join, connected, join_values
from herbzoo.data.label_text import is_absent, letters_and_digits
from herbzoo.data.record_numbers import parse_number

_log = logging.getLogger(__name__)

SPECIMEN, IMAGE, CATALOGUE, GATHERING = (
    "specimen",
    "image file",
    "catalogue number",
    "gathering",
)
"""The kinds of joins, from `occurrenceID`, `image`, `catalogNumber`, and collector and number."""

MOST_NAMES = 3
"""Duplicates of one gathering bear one name, or a few where opinions differ. A number, collector
and day that more names share is no number of a gathering (students enter their roll number)."""
MOST_SPECIMENS = 100
"""The most specimens that one key joins; a key of more is some default of a data base."""
_GIANT = 200
"""Rows in a connected group, above which it is worth a warning."""

EVENT_DATE = ("eventDate", "verbatimEventDate")
LOCALITY = ("locality", "verbatimLocality")

_NUMBER = ["surname", "prefix", "digits", "suffix"]


def gatherings(frame: pd.DataFrame, extra: Iterable[Join] = ()) -> np.ndarray:
    """Returns a number for every row, the same for rows that must not be divided.

    See `specimen_joins` for what joins rows. Joins chain, so that two images of one sheet and its
    duplicate elsewhere are one gathering; a warning names what chains into a very large one.

    Args:
        frame: rows of a `Collection`.
        extra: further joins, such as near-duplicate images.
    """
    numbers = connected([*specimen_joins(frame), *extra], len(frame))
    _warn_of_giants(frame, numbers)
    return numbers


def specimen_joins(frame: pd.DataFrame) -> list[Join]:
    """Finds what the records say belongs together, by kind.

    - `specimen`: one `occurrenceID`.
    - `image file`: one `image`.
    - `catalogue number`: one `catalogNumber` in one `institutionCode` and, where there is one,
      `collectionCode`; or one of `otherCatalogNumbers`, if it has letters and at least four digits.
    - `gathering`: the surname of the first collector, the number, and the date.

    Of gatherings, two rows are one if collector and number are the same and

    - so is the day; one of them may then lack the letters before the number, or, if it bears the
      same name, those behind it;
    - or one date is less precise than the other and fits no other day of that number, and the
      collectors' initials do not differ; where it is lacking, genera must agree as well.

    Without a number, surname, day, name, locality and habitat (which alone may be lacking) must all
    be the same. A key of more than `MOST_NAMES` names, or of two families in one institution, joins
    only rows of one name or family; a key of more than `MOST_SPECIMENS` specimens joins none.
    """
    joins = [
        join_values(SPECIMEN, _present(frame["occurrenceID"])),
        join_values(IMAGE, frame["image"]),
        _within_reason(join_values(CATALOGUE, _catalogue_keys(frame)), frame, "catalogNumber"),
        _within_reason(_other_catalogue_numbers(frame), frame, "otherCatalogNumbers"),
    ]
    facts = _gathering_facts(frame)
    found = [*_numbered(facts), *_unnumbered(facts), _same_texts(facts)]
    return joins + [_within_reason(join, frame, "recordedBy") for join in found]


def _each(values: pd.Series, change: Callable[[str], object]) -> pd.Series:
    """Maps a column; distinct values are few, so a million rows cost little more than a hundred."""
    return values.map({value: change(value) for value in values.unique()})


def _present(values: pd.Series) -> pd.Series:
    return values.where(~_each(values, is_absent).astype(bool), "")


def _column(frame: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """Returns the first of some columns that is filled, row by row."""
    found = pd.Series("", index=frame.index, dtype=str)
    for name in names:
        if name in frame.columns:
            found = found.where(found != "", _present(frame[name].astype(str)))
    return found


def _catalogue_keys(frame: pd.DataFrame) -> pd.Series:
    number = _each(_present(frame["catalogNumber"]), letters_and_digits)
    holder = [_each(frame["institutionCode"], letters_and_digits)]
    if "collectionCode" in frame.columns:
        holder.append(_each(frame["collectionCode"].astype(str), letters_and_digits))
    key = number + "\n" + holder[0] + "\n" + holder[-1]
    return key.where(number != "", "")


def _other_catalogue_numbers(frame: pd.DataFrame) -> Join:
    """Joins rows by numbers that are told apart without knowing the institution: `K000123456`."""
    if "otherCatalogNumbers" not in frame.columns:
        return join_values(CATALOGUE, pd.Series([], dtype=str))
    # Without its index a piece would be put back at the row of that label, not of that position.
    plain = frame.reset_index(drop=True)
    others = plain["otherCatalogNumbers"].astype(str).str.split(r"[|;,]", regex=True).explode()
    number = plain["catalogNumber"].astype(str)
    places = pd.concat([others, number, plain["institutionCode"].astype(str) + number])
    keys = _each(places.fillna(""), _telling)
    keys = keys[keys != ""]
    return Join(CATALOGUE, keys.index.to_numpy(), pd.factorize(keys)[0])


def _telling(number: str) -> str:
    bare = letters_and_digits(number)
    digits = sum(map(str.isdigit, bare))
    return bare if digits >= 4 and digits < len(bare) else ""


def _gathering_facts(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns what decides a gathering: one line a row and form of the collector's surname."""
    rows = np.flatnonzero((frame["recordedBy"] != "").to_numpy())
    frame = frame.iloc[rows]
    collector = frame["recordedBy"].reset_index(drop=True)
    number = _present(frame["recordNumber"].reset_index(drop=True))
    number = number.where(number != "", _each(collector, number_behind))
    parsed = pd.DataFrame(
        _each(number, parse_number).tolist(), columns=["prefix", "digits", "suffix"], dtype=str
    )
    collectors = _each(collector, parse_collector)
    facts = parsed.assign(
        row=rows,
        surname=collectors.str[0],
        initial=collectors.str[1],
        date=_dates(frame).to_numpy(),
        collector=collector,
        dated=_column(frame, EVENT_DATE).to_numpy(),
        name=_each(frame["scientificName"], _binomial).to_numpy(),
        family=frame["family"].str.casefold().to_numpy(),
        institution=frame["institutionCode"].to_numpy(),
        locality=_each(_column(frame, LOCALITY), letters_and_digits).to_numpy(),
        habitat=_each(_column(frame, ["habitat"]), letters_and_digits).to_numpy(),
    )
    facts = facts.explode("surname", ignore_index=True).dropna(subset=["surname"])
    pairs = zip(facts["surname"], facts["prefix"], strict=True)
    own = np.array([surname in prefix for surname, prefix in pairs], dtype=bool)
    facts["prefix"] = facts["prefix"].mask(own, "")  # `Smith 123` as the number of J. Smith
    return facts


def _dates(frame: pd.DataFrame) -> pd.Series:
    date = _each(_column(frame, EVENT_DATE), parse_date)
    if not {"year", "month", "day"} <= set(frame.columns):
        return date
    parts = frame[["year", "month", "day"]].astype(str)
    joined = parts["year"] + "-" + parts["month"] + "-" + parts["day"]
    joined = joined.where(parts["month"] != "", parts["year"])
    return date.where(date != "", _each(joined.str.rstrip("-"), parse_date))


def _binomial(name: str) -> str:
    """Returns genus and epithet in lower case; the genus alone where the species is not named."""
    words = (
        [] if is_absent(name) else name.casefold().replace("\N{MULTIPLICATION SIGN}", " ").split()
    )
    words = [word for word in words if word != "x"][:2]
    return " ".join(words[:1] if words[-1:] in (["sp."], ["sp"], ["spp."]) else words)


def _numbered(facts: pd.DataFrame) -> list[Join]:
    numbered = facts[facts["digits"] != ""]
    numbered = numbered[numbered.duplicated(["surname", "digits"], keep=False)]
    day = numbered[numbered["date"].str.len() == 10]
    surname_day = ["surname", "digits", "date"]
    joins = [
        _one(day, [*_NUMBER, "date"]),
        _one(_agreeing(day, [*surname_day, "suffix"], "prefix"), [*surname_day, "suffix"]),
        _one(
            _agreeing(day, [*surname_day, "prefix", "name"], "suffix"),
            [*surname_day, "prefix", "name"],
        ),
    ]
    for length in (7, 4):
        dated = numbered[numbered["date"].str.len() >= length]
        dated = dated.assign(part=dated["date"].str[:length])
        joins += _one_person(_one_date(dated, [*_NUMBER, "part"]), [*_NUMBER, "part"])
    named = numbered.assign(genus=numbered["name"].str.split(n=1).str[0].fillna(""))
    joins += _one_person(_one_date(named, [*_NUMBER, "genus"]), [*_NUMBER, "genus"])
    return joins + _one_person(named[named["date"] == ""], [*_NUMBER, "genus"])


def _unnumbered(facts: pd.DataFrame) -> list[Join]:
    by = ["surname", "date", "name", "locality", "habitat"]
    known = facts[(facts["date"].str.len() == 10) & facts["name"].str.contains(" ")]
    known = known[known["locality"] != ""]
    known = known[known.duplicated(by, keep=False)]
    agreeing = _agreeing(known, by, "digits").index
    # A sheet that lost its number joins the one number there is, and none where there are two.
    return _one_person(known[known.index.isin(agreeing) | (known["digits"] == "")], by)


def _same_texts(facts: pd.DataFrame) -> Join:
    """Joins what is the same to the letter, where the date is none that can be read."""
    odd = facts[(facts["digits"] != "") & (facts["date"] == "") & (facts["dated"] != "")]
    return _one(odd, ["collector", "digits", "prefix", "suffix", "dated"])


def _one_person(facts: pd.DataFrame, by: list[str]) -> list[Join]:
    """Joins rows whose collectors' initials do not contradict one another."""
    return [_one(_agreeing(facts, by, "initial"), by), _one(facts, [*by, "initial"])]


def _agreeing(facts: pd.DataFrame, by: list[str], column: str) -> pd.DataFrame:
    """Returns the rows of groups in which a column has one value at most, apart from none."""
    return facts[_distinct(facts, by, column) <= 1]


def _one_date(facts: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Returns the rows of groups whose dates do not contradict one another."""
    keep = pd.Series(True, index=facts.index)
    for length in (4, 7, 10):
        part = facts["date"].str[:length].where(facts["date"].str.len() >= length)
        keep &= part.groupby([facts[key] for key in by]).transform("nunique") <= 1
    return facts[keep]


def _one(facts: pd.DataFrame, by: list[str]) -> Join:
    """Joins rows that agree in some columns, and where these are no sure sign, in the name too."""
    if facts.empty:
        return join_values(GATHERING, pd.Series([], dtype=str))
    groups = facts.groupby(by)
    names, families = groups["name"].transform("nunique"), _distinct(facts, by, "family")
    # Herbaria may differ about the family of a duplicate; one alone has two plants of one number.
    odd = (families > 1) & (groups["institution"].transform("nunique") <= 1)
    told = facts["name"].where(names > MOST_NAMES, facts["family"].where(odd, ""))
    keys = facts.assign(told=told).groupby([*by, "told"], sort=False).ngroup()
    return Join(GATHERING, facts["row"].to_numpy(), keys.to_numpy())


def _distinct(facts: pd.DataFrame, by: list[str], column: str) -> pd.Series:
    """Returns, for each row, how many values of a column its group has, apart from none."""
    said = facts[column].where(facts[column] != "")
    return said.groupby([facts[key] for key in by]).transform("nunique")


def _within_reason(join: Join, frame: pd.DataFrame, column: str) -> Join:
    """Drops keys that join more specimens than any gathering has, and says so."""
    if not len(join.rows):
        return join
    specimen = frame["occurrenceID"].to_numpy()[join.rows]
    specimen = np.where(specimen == "", join.rows.astype(str), specimen)
    facts = pd.DataFrame({"key": join.keys, "specimen": specimen})
    sizes = facts.groupby("key")["specimen"].nunique()
    large = sizes[sizes > MOST_SPECIMENS]
    if large.empty:
        return join
    first = join.rows[join.keys == large.idxmax()][0]
    _log.warning(
        "%s %r would join %s specimens to one %s: not believed%s",
        column,
        str(frame[column].iloc[first]),
        f"{large.max():,}",
        join.kind,
        f", nor {len(large) - 1:,} other such values" if len(large) > 1 else "",
    )
    keep = ~np.isin(join.keys, large.index.to_numpy())
    return Join(join.kind, join.rows[keep], join.keys[keep])


def _warn_of_giants(frame: pd.DataFrame, numbers: np.ndarray) -> None:
    sizes = np.bincount(numbers) if len(numbers) else np.zeros(1, int)
    if sizes.max() <= max(_GIANT, len(numbers) // 100):
        return
    rows = frame[numbers == sizes.argmax()]
    collectors = rows["recordedBy"][rows["recordedBy"] != ""]
    common = f"; most often collected by {collectors.mode().iloc[0]!r}" if len(collectors) else ""
    _log.warning(
        "%s rows are joined to one gathering, from %r on%s: look whether their records are sound",
        f"{sizes.max():,}",
        str(rows["image"].iloc[0]),
        common,
    )
