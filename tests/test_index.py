"""The specimen index: building, searching, adding, deleting, and what it refuses."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from filelock import FileLock
from index_samples import MODEL, sheets, write

from herbzoo.errors import DataError, HerbzooError, RunError
from herbzoo.evaluation.retrieval import unit_vectors
from herbzoo.index import SpecimenIndex, upkeep
from herbzoo.index.search_plan import EXACT_BELOW

lancedb = pytest.importorskip("lancedb", reason='the index needs pip install "herbzoo[search]"')


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    SpecimenIndex.create(folder / "index", write(folder / "sheets.parquet", sheets(300)))
    return folder


@pytest.fixture
def folder(built, tmp_path):
    """A copy of the index, with its file beside it."""
    shutil.copytree(built, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def index(folder):
    return SpecimenIndex.open(folder / "index")


def nearest(vectors: np.ndarray, query: np.ndarray, among=slice(None)) -> list[str]:
    """Images by numpy, nearest first."""
    cosine = unit_vectors(vectors)[among] @ unit_vectors(query[None])[0]
    numbers = np.arange(len(vectors))[among]
    return [f"sheets/{numbers[place]}.jpg" for place in np.argsort(-cosine, kind="stable")]


def images(matches) -> list[str]:
    return [match.record.image for match in matches]


def test_a_search_finds_what_numpy_does(index):
    vectors = sheets(300)["embedding"]
    for matches, query in zip(index.search(5 * vectors[:70], 7), vectors[:70], strict=True):
        assert images(matches) == nearest(vectors, query)[:7]


def test_similarity_is_the_cosine_whatever_the_length(index):
    vectors = sheets(300)["embedding"]
    first, second = index.search(-3 * vectors[4], 300)[0][-1], index.search(vectors[4], 1)[0][0]
    assert first.record.image == second.record.image == "sheets/4.jpg"
    assert first.similarity == pytest.approx(-1, abs=1e-5)
    assert second.similarity == pytest.approx(1, abs=1e-5)


def test_a_match_has_the_record_and_all_other_columns(index):
    match = index.search(sheets(300)["embedding"][4], 1)[0][0]
    assert match.record.scientificName == "Acer alba"
    assert match.record.occurrenceID == "urn:sheet:4"
    assert match.fields == {"year": "1804"}
    assert not match.has_thumbnail


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("family = 'Fagaceae'", lambda n: n % 6 < 4),
        (
            "institutionCode = 'NY' and genus in ('Acer', 'Fagus')",
            lambda n: n % 3 == 0 and n % 6 > 1,
        ),
        ("institutionCode is blank", lambda n: n % 3 == 2),
        ("institutionCode is not blank and not family = 'Fagaceae'", lambda n: n % 6 in (4,)),
        ("year between 1990 and 1999", lambda n: n % 200 >= 190),
        ("year < 1810 or catalogNumber = '00050'", lambda n: n % 200 < 10 or n == 50),
        ("scientificName like 'Acer %'", lambda n: n % 6 > 3),
        ("catalogNumber = 00017", lambda n: n == 17),
    ],
)
def test_a_filter_leaves_the_rows_that_it_says(index, where, kept):
    numbers = [n for n in range(300) if kept(n)]
    vectors = sheets(300)["embedding"]
    found = images(index.search(vectors[0], 300, where)[0])
    assert found == nearest(vectors, vectors[0], numbers)
    assert len(index.rows(where, limit=300)) == len(numbers)
    assert sum(index.counts("genus", where).values()) == len(numbers)


def test_rows_come_a_page_at_a_time_and_counts_most_frequent_first(index):
    page = index.rows("family = 'Fagaceae'", ["image", "genus"], limit=3, offset=2)
    assert page.to_numpy().tolist() == [
        ["sheets/2.jpg", "Fagus"],
        ["sheets/3.jpg", "Fagus"],
        ["sheets/6.jpg", "Quercus"],
    ]
    assert list(index.counts("family").items()) == [("Fagaceae", 200), ("Sapindaceae", 100)]


def test_a_sample_has_the_rows_vectors(index):
    frame, vectors = index.sample(20, "genus = 'Acer'", seed=3)
    numbers = [int(image[7:-4]) for image in frame["image"]]
    assert len(set(numbers)) == 20
    assert set(frame["genus"]) == {"Acer"}
    np.testing.assert_allclose(vectors, unit_vectors(sheets(300)["embedding"])[numbers], atol=1e-6)
    assert numbers != [
        int(image[7:-4]) for image in index.sample(20, "genus = 'Acer'", 4)[0]["image"]
    ]


def test_added_rows_are_found_at_once_and_changed_ones_replaced(index, tmp_path):
    more = sheets(310)
    more["embedding"][:300] = sheets(300)["embedding"]
    more["scientificName"][8] = "Fagus sylvatica"
    more["embedding"][9] = -more["embedding"][9]
    added = index.add(write(tmp_path / "more.parquet", more))
    assert (added.new, added.changed, added.same) == (10, 2, 298)
    assert len(index) == 310
    found = index.search(more["embedding"], 1)
    assert [own[0].record.image for own in found] == more["image"]
    assert index.rows("catalogNumber = '00008'")["scientificName"][0] == "Fagus sylvatica"


def test_adding_the_same_file_again_changes_nothing(index, folder):
    version = index._table.version
    added = index.add(folder / "sheets.parquet")
    assert (added.new, added.changed, added.same) == (0, 0, 300)
    assert index._table.version == version


def test_a_new_column_comes_with_added_rows(index, tmp_path):
    more = sheets(3, first=300) | {"country": ["Peru", "", "Peru"]}
    index.add(write(tmp_path / "more.parquet", more))
    assert index.counts("country") == {"": 301, "Peru": 2}
    assert len(index.search(more["embedding"][0], 400, "country is blank")[0]) == 301


def test_a_file_that_repeats_an_image_gives_one_row(tmp_path, caplog):
    twice = sheets(4)
    twice["image"][3] = twice["image"][1]
    index = SpecimenIndex.create(tmp_path / "index", write(tmp_path / "s.parquet", twice))
    assert index.rows(columns=["catalogNumber"])["catalogNumber"].tolist() == [
        "00000",
        "00001",
        "00002",
    ]
    assert "1 rows are left out" in caplog.text


def test_deleted_rows_are_gone(index):
    assert index.delete("genus = 'Acer'") == 100
    assert len(index) == 200
    assert not index.search(sheets(300)["embedding"][4], 10, "genus = 'Acer'")[0]
    assert index.delete("genus = 'Acer'") == 0
    with pytest.raises(HerbzooError, match="deleting takes a filter"):
        index.delete(" ")
    assert index.delete("image is not blank") == 200
    assert index.search(sheets(300)["embedding"][4], 10) == [()]


def test_embeddings_of_another_model_are_refused_with_both_named(index, tmp_path):
    other = replace(MODEL, source="runs/other", digest="b" * 64)
    file = write(tmp_path / "other.parquet", sheets(3), other)
    with pytest.raises(RunError, match=r"runs/leaves .digest aaaa.*runs/other .digest bbbb"):
        index.add(file)
    with pytest.raises(HerbzooError, match="embeddings of 8 numbers, not of 9"):
        index.search(np.ones((1, 9), np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_no_numbers_are_refused(index, tmp_path, value):
    bad = sheets(3)
    bad["embedding"][1, 2] = value
    with pytest.raises(DataError, match="1 of 3 embeddings"):
        SpecimenIndex.create(tmp_path / "new", write(tmp_path / "bad.parquet", bad))
    with pytest.raises(DataError, match="1 of 3 queries"):
        index.search(bad["embedding"])


def test_what_is_no_index_is_said_so(tmp_path, folder):
    with pytest.raises(RunError, match="there is no specimen index at"):
        SpecimenIndex.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="there is no specimen index"):
        SpecimenIndex.open(tmp_path / "file")
    with pytest.raises(RunError, match="is a file: give the index a folder"):
        SpecimenIndex.create(tmp_path / "file", folder / "sheets.parquet")
    with pytest.raises(RunError, match="is an index already"):
        SpecimenIndex.create(folder / "index", folder / "sheets.parquet")
    import pyarrow as pa

    lancedb.connect(tmp_path / "other").create_table("specimens", pa.table({"a": [1]}))
    with pytest.raises(RunError, match="another LanceDB table"):
        SpecimenIndex.open(tmp_path / "other")
    with pytest.raises(DataError, match="no rows"):
        SpecimenIndex.create(tmp_path / "new", write(tmp_path / "none.parquet", sheets(0)))


def test_columns_with_names_that_lancedb_cannot_hold_are_kept_under_others(tmp_path):
    odd = sheets(3) | {
        "a.b": ["1", "2", "3"],
        "_rowid": ["4", "5", "6"],
        "thumbnail_jpeg": ["7"] * 3,
    }
    index = SpecimenIndex.create(tmp_path / "index", write(tmp_path / "odd.parquet", odd))
    assert index.rows("a_b = '2'", ["rowid", "thumbnail_jpeg_"]).to_numpy().tolist() == [["5", "7"]]


def test_another_process_that_writes_is_waited_for_by_the_user(index, folder):
    with (
        FileLock(folder / "index" / ".herbzoo.lock"),
        pytest.raises(RunError, match="another process"),
    ):
        index.delete("genus = 'Acer'")
    assert len(index) == 300


def test_above_the_limit_the_recall_is_measured_and_new_rows_are_found(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    rows = EXACT_BELOW + 2_000
    many = sheets(rows)
    centres = rng.standard_normal((rows // 40, 8))
    many["embedding"] = (
        centres[rng.integers(0, len(centres), rows)] + 0.3 * rng.standard_normal((rows, 8))
    ).astype(np.float32)
    index = SpecimenIndex.create(tmp_path / "index", write(tmp_path / "many.parquet", many))
    plan = index.describe().facts.plan
    assert 0 < plan.probes <= plan.partitions == 11
    assert plan.recall >= 0.95
    queries = many["embedding"][:40] + 0.05 * rng.standard_normal((40, 8)).astype(np.float32)
    exact = index.search(queries, 10, exact=True)
    assert _agreement(index.search(queries, 10), exact) >= 0.95
    where = "year between 1800 and 1803"  # 2% of the rows
    assert (
        _agreement(index.search(queries, 10, where), index.search(queries, 10, where, exact=True))
        >= 0.95
    )
    more = sheets(20, first=rows)
    index.add(write(tmp_path / "more.parquet", more))
    assert index.describe().unsorted == 20
    assert [own[0].record.image for own in index.search(more["embedding"], 1)] == more["image"]
    monkeypatch.setattr(upkeep, "MANY_UNSORTED", 30)
    yet_more = sheets(20, first=rows + 20)
    index.add(write(tmp_path / "yet_more.parquet", yet_more))
    after = index.describe()
    assert (after.unsorted, after.facts.plan.rows) == (0, rows + 40)
    assert _agreement(index.search(queries, 10), index.search(queries, 10, exact=True)) >= 0.95


def _agreement(found, exact) -> float:
    pairs = [
        (set(images(one)), set(images(other))) for one, other in zip(found, exact, strict=True)
    ]
    return sum(len(one & other) for one, other in pairs) / sum(len(other) for _, other in pairs)
