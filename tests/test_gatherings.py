from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_samples import records_collection

from herbzoo.data.collectors import number_behind, parse_collector
from herbzoo.data.event_dates import parse_date
from herbzoo.data.gatherings import gatherings, specimen_joins
from herbzoo.data.joins import connected, groups_of, join_groups
from herbzoo.data.record_numbers import parse_number
from herbzoo.data.records import COLUMNS, SpecimenRecord

DATA = Path(os.environ.get("HERBZOO_DATA", Path(__file__).parents[2] / "shared" / "data"))
SMITH = {"recordedBy": "J. Smith", "recordNumber": "123", "eventDate": "1923-05-12"}


def table(*rows: dict[str, str], name: str = "Rosa canina L.") -> pd.DataFrame:
    """Makes records of one name unless they say otherwise, each with an image of its own."""
    filled = [{"image": f"{i}.jpg", "scientificName": name, **row} for i, row in enumerate(rows)]
    extra = dict.fromkeys(key for row in filled for key in row if key not in COLUMNS)
    return pd.DataFrame(filled, columns=[*COLUMNS, *extra], dtype=str).fillna("")


def together(*rows: dict[str, str]) -> bool:
    return len(set(gatherings(table(*rows)))) == 1


def apart(*rows: dict[str, str]) -> bool:
    return len(set(gatherings(table(*rows)))) == len(rows)


@pytest.mark.parametrize(
    "text",
    [
        "J. Smith",
        "Smith, J.",
        "Smith, J. & Jones, B.",
        "SMITH J",
        "Smith JB",
        "SMITH, J. B.",
        "leg. J. Smith s.n.",
        "Leg. Dr. John Smith",
        "John Smith",
        "J. Smith, A. Jones",
        "J. Smith; A. Jones",
        "Coll. J. Smith 123",
        "J. Smith et al.",
        "j: smith.",
        "J. van der Smith",
        "J.B. Smith | A. Jones",
        "Jean Smith y B. Otero",
    ],
)
def test_surname_is_found_in_every_form(text):
    assert parse_collector(text) == (("smith",), "j")


@pytest.mark.parametrize(
    ("text", "surnames"),
    [
        ("Smith, John", ("smith",)),
        ("Smith, Jones & Brown", ("smith",)),
        ("Müller", ("muller",)),
        ("F. Mueller", ("muller",)),
        ("A. de Candolle", ("candolle",)),
        ("Candolle, A. de", ("candolle",)),
        ("H. von Handel-Mazzetti", ("mazzetti", "handel")),
        ("García Martínez, X.R.", ("martinez", "garcia")),
        ("C.Y. Wu", ("wu",)),
        ("P. Ø. Åberg", ("aberg",)),
        ("O'Brien, P.", ("obrien",)),
        ("W. J. Hooker f.", ("hooker",)),
        ("Prieto, Paz, Carballal", ("prieto",)),
        ("Jayasree Kurup J", ("kurup",)),
        ("Collins, J.", ("collins",)),
        ("陈少卿", ("陈少卿",)),
        ("P.D.", ("pd",)),
    ],
)
def test_surname_without_particles_titles_and_accents(text, surnames):
    assert parse_collector(text).surnames == surnames


@pytest.mark.parametrize(
    "text", ["", " ", "Nil", "[unknown]", "Unknown collector", "s.coll.", "Anon.", "26/10/81", "?"]
)
def test_nobody_has_no_surname(text):
    assert parse_collector(text).surnames == ()


def test_number_behind_the_collector_is_none_if_it_is_a_year():
    assert number_behind("leg. J. Smith 123a") == "123a"
    assert number_behind("J. Smith 1923") == ""
    assert number_behind("J. Smith s.n.") == ""
    assert number_behind("x " * 50_000) == ""


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("A-123", ("a", "123", "")),
        ("A 0123", ("a", "123", "")),
        ("123a", ("", "123", "a")),
        ("No. 123", ("", "123", "")),
        ("#123", ("", "123", "")),
        ("nº 123", ("", "123", "")),
        ("123.0", ("", "123", "")),
        ("1,234", ("", "1234", "")),
        ("155/43", ("", "155/43", "")),
        ("155-43", ("", "155/43", "")),
        ("PC-90-12a", ("pc", "90/12", "a")),
        ("s.n.", ("", "", "")),
        ("Nil", ("", "", "")),
        ("B", ("", "", "")),
    ],
)
def test_number_is_taken_apart(text, parts):
    assert tuple(parse_number(text)) == parts


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("1923-05-12", "1923-05-12"),
        ("1923-05-12T10:30:00Z", "1923-05-12"),
        ("12.5.1923", "1923-05-12"),
        ("12.V.1923", "1923-05-12"),
        ("12 May 1923", "1923-05-12"),
        ("May 12, 1923", "1923-05-12"),
        ("12. Mai 1923", "1923-05-12"),
        ("26/10/1923", "1923-10-26"),
        ("1923-05", "1923-05"),
        ("V.1923", "1923-05"),
        ("1923-05-12/1923-05-20", "1923-05"),
        ("1923-05-12/20", "1923-05"),
        ("1923/1924", ""),
        ("1923/05/12", "1923-05-12"),
        ("04/05/1923", "1923"),
        ("30/2/1998", "1998-02"),
        ("1985-01-01", "1985"),
        ("26/10/81", ""),
        ("0000-00-00", ""),
        ("Nil", ""),
    ],
)
def test_date_is_as_precise_as_it_is_sure(text, date):
    assert parse_date(text) == date


@pytest.mark.parametrize(
    "other",
    [
        {"recordedBy": "SMITH, J. & Jones", "recordNumber": "No. 123", "eventDate": "12.V.1923"},
        {"recordNumber": "JS 123"},
        {"recordNumber": "Smith 123"},
        {"recordedBy": "leg. J. Smith 123", "recordNumber": ""},
        {"eventDate": "1923-05"},
        {"eventDate": "1923"},
        {"eventDate": ""},
        {"recordNumber": "123a"},
        {"scientificName": "Rubus caesius L.", "institutionCode": "K"},
    ],
)
def test_duplicates_of_one_gathering_join_however_they_are_written(other):
    assert together(SMITH, {**SMITH, **other})


@pytest.mark.parametrize(
    "other",
    [
        {"recordedBy": "J. Jones"},
        {"recordedBy": "Unknown"},
        {"recordNumber": "124"},
        {"recordNumber": ""},
        {"eventDate": "1923-05-13"},
        {"eventDate": "1924"},
        {"eventDate": "", "scientificName": "Acer campestre L."},
        {"eventDate": "", "recordedBy": "A. Smith"},
        {"recordNumber": "123a", "scientificName": "Rosa gallica L."},
    ],
)
def test_other_gatherings_do_not_join(other):
    assert apart(SMITH, {**SMITH, **other})


def test_letters_before_a_number_that_differ_keep_gatherings_apart():
    rows = [{**SMITH, "recordNumber": number} for number in ("A 123", "B 123", "123")]
    assert apart(*rows)


def test_date_that_fits_two_gatherings_joins_neither():
    rows = [{**SMITH, "eventDate": day} for day in ("1923-05-12", "1923-05-20", "1923-05")]
    assert apart(*rows)


def test_number_of_two_families_is_believed_only_across_institutions():
    rosa, acer = {**SMITH, "family": "Rosaceae"}, {**SMITH, "family": "Sapindaceae"}
    acer["scientificName"] = "Acer campestre"
    assert apart({**rosa, "institutionCode": "B"}, {**acer, "institutionCode": "B"})
    assert together({**rosa, "institutionCode": "B"}, {**acer, "institutionCode": "K"})


def test_number_of_many_names_joins_only_those_of_one_name():
    rows = [{**SMITH, "scientificName": f"Genus{i % 5} alba"} for i in range(10)]
    assert [len(group) for group in groups_of(gatherings(table(*rows)))] == [2] * 5


def test_without_a_number_all_else_must_be_there_and_the_same():
    sheet = {**SMITH, "recordNumber": "s.n.", "locality": "Kew, near the gate"}
    assert together(sheet, {**sheet, "locality": "KEW near the gate.", "eventDate": "12 May 1923"})
    assert together(sheet, {**sheet, "recordNumber": "7"}), "one of them lost its number"
    for change in (
        {"locality": ""},
        {"locality": "Richmond"},
        {"habitat": "on walls"},
        {"eventDate": "1923-05"},
        {"scientificName": "Rosa gallica L."},
        {"recordedBy": "A. Smith"},
        {"recordedBy": ""},
    ):
        assert apart(sheet, {**sheet, **change}), change
    genus_only = {**sheet, "scientificName": "Rosa sp."}
    assert apart(genus_only, genus_only)
    on_new_year = {**sheet, "eventDate": "1985-01-01"}
    assert apart(on_new_year, on_new_year), "data bases write that for want of a day"


def test_catalogue_number_joins_within_its_collection():
    sheet = {"institutionCode": "SANT", "catalogNumber": "12-A", "collectionCode": "Lich"}
    assert together(sheet, {**sheet, "catalogNumber": "12 a"})
    assert apart(sheet, {**sheet, "collectionCode": "Bryo"})
    assert apart(sheet, {**sheet, "institutionCode": "K"})
    assert apart({"catalogNumber": "Nil"}, {"catalogNumber": "Nil"})


def test_other_catalogue_numbers_join_where_they_tell_sheets_apart():
    sheet = {"institutionCode": "K", "catalogNumber": "K000123456"}
    other = {"institutionCode": "P", "catalogNumber": "9", "otherCatalogNumbers": "7; K 000123456"}
    assert together(sheet, other)
    assert apart(
        {"catalogNumber": "12345", "institutionCode": "K"},
        {"catalogNumber": "1", "institutionCode": "P", "otherCatalogNumbers": "12345"},
    )
    shifted = table(sheet, other, {}).iloc[::-1]
    assert len(set(gatherings(shifted))) == 2, "positions count, not labels"


def test_key_of_too_many_specimens_is_not_believed(caplog):
    rows = [{"catalogNumber": "1", "occurrenceID": f"o{i}"} for i in range(150)]
    with caplog.at_level(logging.WARNING):
        assert apart(*rows)
    assert "catalogNumber '1' would join 150 specimens" in caplog.text
    caplog.clear()
    images = [{"catalogNumber": "1", "occurrenceID": "o"}] * 150
    assert together(*images) and not caplog.text


def test_giant_gathering_is_warned_of(caplog):
    rows = [{"occurrenceID": "urn:x", "recordedBy": "Ek"} for _ in range(300)]
    with caplog.at_level(logging.WARNING):
        assert together(*rows)
    assert "300 rows are joined to one gathering" in caplog.text and "'Ek'" in caplog.text


def test_further_joins_chain_with_those_of_the_records():
    frame = table(SMITH, SMITH, {}, {})
    numbers = gatherings(frame, [join_groups("near-duplicate image", [(1, 2)])])
    assert len({*numbers[:3]}) == 1 and numbers[3] != numbers[0]


def test_table_without_any_fact_or_row_joins_nothing():
    assert apart(*[{} for _ in range(5)])
    assert len(gatherings(records_collection([]).frame)) == 0
    alone = records_collection([SpecimenRecord("a.jpg", "Rosa canina")]).frame
    assert gatherings(alone).tolist() == [0]


def test_year_month_and_day_stand_in_for_a_date():
    row = {**SMITH, "eventDate": "", "year": "1923", "month": "5", "day": "12"}
    assert together(row, {**SMITH, "recordedBy": "Smith"})
    assert apart(row, {**SMITH, "eventDate": "1923-05-13"})


def test_order_of_rows_does_not_matter():
    chance = np.random.default_rng(0)
    rows = [
        {
            "recordedBy": chance.choice(["J. Smith", "Smith, J.", "A. Jones", ""]),
            "recordNumber": chance.choice(["1", "2", "2a", "A 2", ""]),
            "eventDate": chance.choice(["1923-05-12", "1923-05", "1923", "", "12.V.1924"]),
            "scientificName": chance.choice(["Rosa canina", "Rosa gallica"]),
        }
        for _ in range(300)
    ]
    frame = table(*rows)
    order = chance.permutation(len(frame))
    before, after = gatherings(frame), gatherings(frame.iloc[order])
    assert len(set(zip(before[order], after, strict=True))) == len(set(before)) == len(set(after))


@pytest.mark.realdata
@pytest.mark.skipif(not (DATA / "dsah").is_dir(), reason="no dsah in HERBZOO_DATA")
def test_real_specimens_of_students_do_not_join_by_roll_number():
    frame = pd.read_csv(DATA / "dsah" / "specimens.csv", dtype=str, keep_default_na=False)
    names = {"collector": "recordedBy", "collection_number": "recordNumber"}
    names |= {"date_of_collection": "eventDate", "scientific_name": "scientificName"}
    frame = frame.rename(columns={**names, "barcode": "catalogNumber"})
    frame["image"] = frame["id"]
    frame = frame.assign(**{c: "" for c in COLUMNS if c not in frame})
    groups = groups_of(connected(specimen_joins(frame), len(frame)))
    assert 10 <= len(groups) <= 15
    assert all(frame["family"].iloc[list(group)].nunique() == 1 for group in groups)
