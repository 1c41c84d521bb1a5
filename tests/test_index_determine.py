"""Determinations in an index: new names, the old ones kept, and what later files bring."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from index_samples import sheets, write

from herbzoo.errors import DataError
from herbzoo.index import SpecimenIndex
from herbzoo.index.determination_table import read_determinations
from herbzoo.index.determinations import Determination

pytest.importorskip("lancedb", reason='the index needs pip install "herbzoo[search]"')


@pytest.fixture
def given():
    """Twelve sheets; the first two are images of one."""
    columns = sheets(12) | {"identifiedBy": ["A. Older"] * 12, "dateIdentified": ["1950"] * 12}
    columns["occurrenceID"][1] = columns["occurrenceID"][0]
    return columns


@pytest.fixture
def index(given, tmp_path):
    return SpecimenIndex.create(tmp_path / "index", write(tmp_path / "sheets.parquet", given))


def row(index, image: str) -> dict[str, str]:
    return index.rows(f"image = '{image}'").iloc[0].to_dict()


def test_all_images_of_a_sheet_get_the_name_and_keep_the_old_one(index):
    done = index.determine(
        [Determination("Acer rubrum L.", occurrenceID="urn:sheet:0", identifiedBy="B. Newer")]
    )
    assert done.rows == 2
    for image in ("sheets/0.jpg", "sheets/1.jpg"):
        found = row(index, image)
        assert found["scientificName"] == "Acer rubrum"
        assert found["scientificNameAuthorship"] == "L."
        assert found["genus"] == "Acer"
        assert found["family"] == "Sapindaceae", "that of the genus in the index"
        assert found["identifiedBy"] == "B. Newer"
        assert found["dateIdentified"] == datetime.now(UTC).date().isoformat()
    assert row(index, "sheets/0.jpg")["previousIdentifications"] == (
        "Quercus alba, det. A. Older, 1950"
    )
    assert row(index, "sheets/1.jpg")["previousIdentifications"].startswith("Quercus rubra")
    assert row(index, "sheets/2.jpg")["scientificName"] == "Fagus alba"


def test_names_that_were_given_one_after_the_other_are_all_kept(index):
    for name in ("Acer rubrum", "Acer saccharum"):
        index.determine([Determination(name, image="sheets/3.jpg", dateIdentified="2020-01-02")])
    assert row(index, "sheets/3.jpg")["previousIdentifications"] == (
        "Fagus rubra, det. A. Older, 1950 | Acer rubrum, 2020-01-02"
    )
    both = [Determination(name, image="sheets/4.jpg", dateIdentified="2021") for name in "AB"]
    assert index.determine(both).rows == 1
    assert row(index, "sheets/4.jpg")["previousIdentifications"].endswith("1950 | A, 2021")


def test_a_search_gives_the_new_name_at_once_and_the_vector_stays(index, given):
    index.determine([Determination("Acer rubrum", image="sheets/5.jpg")])
    match = index.search(given["embedding"][5], 1, "scientificName = 'Acer rubrum'")[0][0]
    assert match.record.image == "sheets/5.jpg"
    assert match.similarity == pytest.approx(1, abs=1e-5)


def test_a_catalogue_number_of_several_sheets_is_left_alone(index, given, tmp_path):
    more = sheets(2, first=12)
    more["catalogNumber"] = ["00003", "00003"]
    index.add(write(tmp_path / "more.parquet", more))
    done = index.determine([Determination("Acer rubrum", catalogNumber="00003")])
    assert (done.rows, done.ambiguous) == (0, ("00003",))
    named = Determination("Acer rubrum", catalogNumber="00003", institutionCode="K")
    assert index.determine([named]).rows == 1
    assert row(index, "sheets/13.jpg")["scientificName"] == "Acer rubrum"


def test_sheets_that_are_not_there_are_listed(index):
    done = index.determine([Determination("Acer rubrum", image="sheets/99.jpg")])
    assert (done.rows, done.unknown) == (0, ("image sheets/99.jpg",))


def test_the_file_that_a_sheet_came_from_does_not_undo_its_determination(index, given, tmp_path):
    index.determine([Determination("Acer rubrum", image="sheets/6.jpg")])
    added = index.add(tmp_path / "sheets.parquet")
    assert (added.new, added.changed) == (0, 0)
    assert row(index, "sheets/6.jpg")["scientificName"] == "Acer rubrum"
    given["scientificName"][6], given["dateIdentified"][6] = "Acer saccharum", "2999-01-01"
    assert index.add(write(tmp_path / "later.parquet", given)).changed == 1
    assert row(index, "sheets/6.jpg")["scientificName"] == "Acer saccharum"


def test_a_table_of_determinations_is_read(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text("catalogNumber,scientificName,other\n00001, Acer rubrum L. ,x\n", "utf-8-sig")
    assert read_determinations(path) == [Determination("Acer rubrum L.", catalogNumber="00001")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("image,name\na,b\n", "needs the columns scientificName"),
        ("scientificName\nAcer\n", "needs the columns scientificName, and image"),
        ("image,scientificName\n", "has no rows"),
        ("image,scientificName\na,\n", "line 2: there is no scientificName"),
        ("image,scientificName\n,Acer\n", "line 2: it does not say which sheet"),
        ('image,scientificName\n"a,Acer', "is no CSV"),
        ("", "it has none"),
    ],
)
def test_a_table_that_says_too_little_is_refused(tmp_path, text, problem):
    path = tmp_path / "names.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=problem):
        read_determinations(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_determinations(tmp_path / "nothing.csv")
