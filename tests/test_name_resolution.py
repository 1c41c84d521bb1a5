"""A collection under the accepted names of a table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from tiny import collection_of

from herbzoo.data.name_resolution import full_names, resolve_collection
from herbzoo.data.records import Collection
from herbzoo.name_table import NameTable
from herbzoo.taxonomy import Taxonomy

TABLE = """\
taxonID,scientificName,authorship,acceptedName,family
1,Quercus robur,L.,,Fagaceae
2,Quercus pedunculata,Ehrh.,Quercus robur L.,Fagaceae
3,Acer rubrum,L.,,Sapindaceae
4,Acer rubrum,Lam.,Acer album Foo,Sapindaceae
5,Acer album,Foo,,Sapindaceae
6,Tilia nova,,Tilia nuda,
7,Tilia nuda,,,
"""
COLUMNS = ["image", "scientificName", "scientificNameAuthorship", "family", "taxonID"]


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "names.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def rows(*records: tuple[str, ...]) -> Collection:
    return collection_of(pd.DataFrame(records, columns=COLUMNS))


def resolved(collection: Collection, path: Path) -> Collection:
    return resolve_collection(collection, NameTable.load(path, full_names(collection), version="1"))


def test_names_become_the_accepted_ones_and_the_old_are_kept(path):
    collection = rows(
        ("a", "Quercus pedunculata Ehrh.", "", "Cupuliferae", "old"),
        ("b", "Quercus pedunculata", "Ehrh.", "", ""),
        ("c", "Quercus robur", "", "", ""),
    )
    frame = resolved(collection, path).frame
    assert set(frame["scientificName"]) == {"Quercus robur"}
    assert set(frame["scientificNameAuthorship"]) == {"L."}
    assert set(frame["genus"]) == {"Quercus"}
    assert set(frame["family"]) == {"Fagaceae"}
    assert set(frame["taxonID"]) == {"1"}
    assert frame["verbatimScientificName"].tolist() == [
        "Quercus pedunculata Ehrh.", "Quercus pedunculata", "Quercus robur"
    ]  # fmt: skip
    assert frame["verbatimScientificNameAuthorship"].tolist() == ["", "Ehrh.", ""]
    assert collection.frame["scientificName"][0] == "Quercus pedunculata Ehrh.", "a copy"


def test_what_is_not_certain_stays_as_it_is(path):
    collection = rows(
        ("a", "Acer rubrum", "", "Aceraceae", "x"),
        ("b", "Quercus cf. robur", "", "", "y"),
        ("c", "Ficus alba", "L.", "", "z"),
        ("d", "", "", "", ""),
    )
    found = resolved(collection, path)
    pd.testing.assert_frame_equal(found.frame[COLUMNS], collection.frame[COLUMNS])
    assert set(found.frame["verbatimScientificName"]) == {""}
    facts = found.facts["names_resolved"]
    assert facts["unresolved"] == {
        "Acer rubrum": "ambiguous", "Quercus cf. robur": "unmatched", "Ficus alba": "unmatched"
    }  # fmt: skip
    (ambiguous,) = facts["ambiguous"]
    assert ambiguous["name"] == "Acer rubrum"
    assert ambiguous["candidates"] == ["Acer album Foo", "Acer rubrum L."]


def test_the_authorship_column_tells_homonyms_apart(path):
    collection = rows(("a", "Acer rubrum", "L.", "", ""), ("b", "Acer rubrum", "Lam.", "", ""))
    frame = resolved(collection, path).frame
    assert frame["scientificName"].tolist() == ["Acer rubrum", "Acer album"]


def test_author_and_id_of_an_old_name_do_not_pass_for_those_of_the_new(path):
    frame = resolved(rows(("a", "Tilia nova", "Foo", "Malvaceae", "old")), path).frame
    row = frame.iloc[0]
    assert (row["scientificName"], row["scientificNameAuthorship"]) == ("Tilia nuda", "")
    assert (row["family"], row["taxonID"]) == ("Malvaceae", "7")


def test_a_verbatim_name_that_is_there_already_is_not_overwritten(path):
    collection = rows(("a", "Quercus pedunculata", "", "", ""), ("b", "Quercus robur", "", "", ""))
    frame = collection.frame.assign(verbatimScientificName=["Q. ped.", ""])
    found = resolved(Collection(frame, None, "c"), path)
    assert found.frame["verbatimScientificName"].tolist() == ["Q. ped.", "Quercus robur"]


def test_the_facts_count_names_by_status(path):
    collection = rows(
        ("a", "Quercus pedunculata", "", "", ""),
        ("b", "Quercus pedunculata", "", "", ""),
        ("c", "Acer rubrum", "", "", ""),
    )
    facts = resolved(collection, path).facts["names_resolved"]
    assert facts["counts"] == {
        "accepted": 0, "synonym": 1, "unplaced": 0, "ambiguous": 1, "unmatched": 0
    }  # fmt: skip
    assert (facts["table"], facts["version"]) == ("a table of names", "1")


def test_the_label_set_remembers_table_status_and_synonyms(path, tmp_path):
    collection = rows(
        ("a", "Quercus pedunculata", "", "", ""),
        ("b", "Quercus robur", "", "", ""),
        ("c", "Acer rubrum", "", "", ""),
    )
    taxonomy = Taxonomy.from_collection(resolved(collection, path))
    acer, oak = taxonomy.taxa
    assert (acer.status, acer.synonyms) == ("ambiguous", ())
    assert (oak.status, oak.synonyms, oak.count) == ("accepted", ("Quercus pedunculata",), 2)
    assert taxonomy.index["Quercus pedunculata"] == 1
    taxonomy.save(tmp_path)
    assert Taxonomy.load(tmp_path) == taxonomy
