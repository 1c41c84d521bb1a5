"""What a table says of species reaches the rows, and the names a head is told."""

from __future__ import annotations

import pandas as pd
import pytest
from tiny import collection_of

from herbzoo.data.descriptions import with_descriptions
from herbzoo.errors import DataError
from herbzoo.recipe import DataRecipe
from herbzoo.source import with_names
from herbzoo.taxonomy import Taxonomy


@pytest.fixture
def maples():
    names = ["Acer rubrum", "Acer rubrum", "Acer saccharum"]
    return collection_of(
        pd.DataFrame({"image": ["a.jpg", "b.jpg", "c.jpg"], "scientificName": names})
    )


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_a_table_describes_the_taxa(maples, tmp_path, ending):
    table = tmp_path / f"traits.{ending}"
    frame = pd.DataFrame(
        {"scientificName": ["Acer rubrum", "Acer nigrum"], "traits": ["red flowers", "black bark"]}
    )
    if ending == "parquet":
        frame.to_parquet(table)
    else:
        frame.to_csv(table, index=False, sep={"csv": ",", "tsv": "\t"}[ending])
    described = with_names(maples, DataRecipe(traits=str(table)))
    labels = Taxonomy.from_collection(described).labels()
    assert labels.traits == ("red flowers", "") and labels.vernaculars == ("", "")
    assert "traits" not in maples.frame


def test_what_the_table_does_not_say_stays_as_the_rows_have_it(maples, tmp_path):
    maples.frame["vernacularName"] = ["red maple", "red maple", "sugar maple"]
    table = tmp_path / "names.csv"
    table.write_text("scientificName,vernacularName\nAcer rubrum,swamp maple\n")
    found = with_descriptions(maples, table).frame["vernacularName"].tolist()
    assert found == ["swamp maple", "swamp maple", "sugar maple"]


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("scientificName,colour\nAcer rubrum,red\n", "t.csv", "needs scientificName and one of"),
        ("name,traits\nAcer rubrum,red\n", "t.csv", "has the columns name, traits"),
        ("scientificName,traits\nA b,red\nA b,blue\n", "t.csv", "says two things of A b"),
        ("scientificName,traits\nA b,red\n", "t.csv", "describes none of the species"),
        ("scientificName,traits\n", "t.csv", "has no rows"),
        ("", "t.csv", "t.csv"),
        ("no parquet", "t.parquet", "t.parquet"),
        ("a,b", "t.xlsx", "no table that can be read"),
    ],
)
def test_a_table_that_says_nothing_is_refused_in_one_line(maples, tmp_path, text, name, message):
    table = tmp_path / name
    table.write_text(text)
    with pytest.raises(DataError, match=message) as error:
        with_descriptions(maples, table)
    assert "\n" not in str(error.value)


def test_a_table_that_is_not_there_is_named(maples, tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*gone\.csv"):
        with_descriptions(maples, tmp_path / "gone.csv")
