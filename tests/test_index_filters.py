"""Filters as people write them: what is let through, what it becomes, and what is refused."""

from __future__ import annotations

import pytest

from herbzoo.index.filters import FilterError, known_column, one_of, to_sql

pytest.importorskip("sqlglot", reason='filters need pip install "herbzoo[search]"')

COLUMNS = ["family", "institutionCode", "year", "eventDate", "Coll. code", "scientificName"]


def sql(where: str) -> str:
    return to_sql(where, COLUMNS)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("", ""),
        ("family = 'Fagaceae'", "`family` = 'Fagaceae'"),
        ("FAMILY='x' AND institutioncode = 'NY'", "`family` = 'x' AND `institutionCode` = 'NY'"),
        ("family <> 'it''s'", "`family` <> 'it''s'"),
        ("'NY' = institutionCode", "`institutionCode` = 'NY'"),
        ("family in ('a', 'b')", "`family` IN ('a', 'b')"),
        ("family not in ('a')", "NOT (`family` IN ('a'))"),
        ("family like 'Fag%'", "`family` LIKE 'Fag%'"),
        ("family not like 'Fag%'", "NOT (`family` LIKE 'Fag%')"),
        ("eventDate between '1900' and '1910'", "`eventDate` BETWEEN '1900' AND '1910'"),
        ("eventDate >= '1900-05'", "`eventDate` >= '1900-05'"),
        ("\"Coll. code\" = 'x'", "`Coll. code` = 'x'"),
        ("year = 1900", "`year` = '1900'"),
        ("year > 1900", "TRY_CAST(`year` AS DOUBLE) > 1900"),
        ("1900 < year", "TRY_CAST(`year` AS DOUBLE) > 1900"),
        ("year >= -5", "TRY_CAST(`year` AS DOUBLE) >= -5"),
        ("year between 1 and 2", "TRY_CAST(`year` AS DOUBLE) BETWEEN 1 AND 2"),
        ("family is blank", "(`family` = '' OR `family` IS NULL)"),
        ("family is not null", "NOT ((`family` = '' OR `family` IS NULL))"),
        ("not (family = 'a' or year = '1')", "NOT ((`family` = 'a' OR `year` = '1'))"),
    ],
)
def test_a_filter_is_written_anew_from_what_is_known(where, expected):
    found = sql(where)
    assert found.replace("((", "(").replace("))", ")") == expected.replace("((", "(").replace(
        "))", ")"
    )


@pytest.mark.parametrize(
    "where",
    [
        "family = lower('X')",
        "lower(family) = 'x'",
        "family in (select name from other)",
        "exists (select 1)",
        "family = (select 1)",
        "read_csv('/etc/passwd')",
        "family = 'x'; drop table specimens",
        "family = 'x' -- and more",
        "family /* or */ = 'x'",
        "specimens.family = 'x'",
        "cast(year as int) = 3",
        "family = any('x')",
        "family similar to 'x'",
        "family like 'x' escape '!'",
        "family = 'a' collate nocase",
        "family = ?",
        "family = :name",
        "family = x'41'",
        "1 = 1",
        "true",
        "family",
        "family is true",
        "case when family = 'x' then true end",
        "family between 'a' and 3",
        "((",
        "family = 'x",
        "family = = 'x'",
        "(" * 5000 + "family = 'x'" + ")" * 5000,
        "family = 'x' or " * 5000 + "family = 'x'",
        "family = '" + "x" * 200_000 + "'",
    ],
)
def test_anything_else_is_refused_in_one_line(where):
    with pytest.raises(FilterError) as refused:
        sql(where)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_text_of_the_user_only_enters_as_a_quoted_value():
    nasty = "x' or 1=1 --\\`\"\u2028"
    quoted = nasty.replace("'", "''")
    assert sql(f"family = '{quoted}'") == f"`family` = '{quoted}'"
    assert one_of("image", [nasty]) == f"`image` IN ('{quoted}')"


def test_an_unknown_column_is_answered_with_the_nearest_names():
    with pytest.raises(FilterError, match="no column familly: did you mean family"):
        sql("familly = 'x'")
    with pytest.raises(FilterError, match="it has family, institutionCode"):
        sql("qqq = 'x'")


def test_a_value_without_quotes_is_answered_with_quotes():
    with pytest.raises(FilterError, match="write 'Fagaceae'"):
        sql("family = Fagaceae")
    with pytest.raises(FilterError, match="write 'Fagaceae'"):
        sql('family = "Fagaceae"')


def test_columns_that_differ_by_case_only_have_to_be_named_exactly():
    assert known_column("Year", ["year", "Year"]) == "Year"
    with pytest.raises(FilterError, match="did you mean year or Year"):
        known_column("YEAR", ["year", "Year"])
