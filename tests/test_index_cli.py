"""`herbzoo index` at a terminal: from images to an index, to searches and names."""

from __future__ import annotations

import csv
import io
import json
import shutil

import pytest
import torch
from index_samples import sheets, write
from terminal import run_herbzoo
from tiny import coloured_leaves, save_run, tiny_model

from herbzoo.index import SpecimenIndex

pytest.importorskip("lancedb", reason='the index needs pip install "herbzoo[search]"')


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run, a collection, its embeddings and an index with thumbnails."""
    folder = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    save_run(folder / "run", *tiny_model(head="arcface"))
    coloured_leaves(folder / "leaves", images_a_species=6, size=(480, 640))
    patch = pytest.MonkeyPatch()
    capture = io.StringIO()
    patch.setattr("sys.stdout", capture)
    for words in (
        ("embed", folder / "run", "--data", folder / "leaves", "--output", folder / "e.parquet"),
        ("index", "build", folder / "e.parquet", folder / "index", "--data", folder / "leaves"),
    ):
        patch.setattr("sys.argv", ["herbzoo", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            __import__("herbzoo.cli").cli.main()
        assert not ended.value.code
    patch.undo()
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture
def herbzoo(monkeypatch, capsys):
    return lambda *words: run_herbzoo(monkeypatch, capsys, "index", *words)


QUERY = ("leaves", "Acer_rubrum", "3.jpg")


def test_a_sheet_finds_itself_first_and_its_species_next(herbzoo, folder):
    image = folder.joinpath(*QUERY)
    code, out, err = herbzoo("search", folder / "index", image, "--k", 3, "--format", "csv")
    assert code == 0, err
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["k"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["image"] == "Acer_rubrum/3.jpg"
    assert float(rows[0]["similarity"]) == pytest.approx(1, abs=1e-3)
    assert {row["scientificName"] for row in rows} == {"Acer rubrum"}


def test_a_filter_and_json(herbzoo, folder):
    words = ("--where", "genus = 'Quercus'", "--format", "json", "--k", 2)
    code, out, _ = herbzoo("search", folder / "index", folder / "leaves", *words)
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert len(lines) == 18
    assert {match["scientificName"] for line in lines for match in line["matches"]} == {
        "Quercus alba",
        "Quercus rubra",
    }


def test_the_table_is_for_people(herbzoo, folder):
    code, out, _ = herbzoo("search", folder / "index", folder.joinpath(*QUERY), "--k", 2)
    assert code == 0
    first, line, _ = out.splitlines()
    assert first == str(folder.joinpath(*QUERY))
    assert line.split()[:4] == ["1.", "1.000", "Acer", "rubrum"]
    words = ("--where", "genus = 'Nothing'")
    assert (
        "no sheet fits the filter"
        in herbzoo("search", folder / "index", folder.joinpath(*QUERY), *words)[1]
    )


def test_images_are_named_by_neighbours_in_the_formats_of_identify(herbzoo, folder):
    out = folder / "names.csv"
    (folder / "leaves" / "broken.jpg").write_text("no image")
    code, _, err = herbzoo("identify", folder / "index", folder / "leaves", "--output", out)
    assert code == 0, err
    assert "1 of 19 images could not be read" in err
    rows = list(csv.DictReader(out.open()))
    best = {row["file"]: row["scientificName"] for row in rows if row["k"] == "1"}
    assert len(best) == 18
    assert all(name.replace(" ", "_") in file for file, name in best.items())
    half = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join(half[:10]))
    code, _, err = herbzoo(
        "identify", folder / "index", folder / "leaves", "--output", out, "--resume"
    )
    assert code == 0, err
    assert sorted(out.read_bytes().splitlines()) == sorted(line.strip() for line in half)
    code, text, _ = herbzoo(
        "identify", folder / "index", folder.joinpath(*QUERY), "--format", "dwc"
    )
    assert "(nearest sheets, uncalibrated)" in text


def test_rows_are_added_determined_counted_and_deleted(herbzoo, folder):
    index = folder / "index"
    code, out, _ = herbzoo("add", index, folder / "e.parquet", "--data", folder / "leaves")
    assert (code, "0 rows added, 0 replaced, 18 were there already" in out) == (0, True)
    names = folder / "names.csv"
    names.write_text("image,scientificName\nAcer_rubrum/0.jpg,Acer saccharum L.\nnone.jpg,Acer x\n")
    code, out, err = herbzoo("determine", index, names)
    assert "1 rows have their new determination" in out
    assert "1 left out, not in the index: image none.jpg" in err
    code, out, _ = herbzoo("describe", index, "--count", "scientificName")
    assert [line.split() for line in out.splitlines()][-1] == ["1", "Acer", "saccharum"]
    where = ("--where", "scientificName = 'Acer saccharum'")
    assert "1 rows would go" in herbzoo("delete", index, *where, "--dry-run")[1]
    assert "1 rows deleted, 17 are left" in herbzoo("delete", index, *where)[1]
    assert "17 images, 3 names" in herbzoo("describe", index)[1]


def test_thumbnails_are_kept_small_or_made_from_the_images(herbzoo, folder):
    from PIL import Image

    kept = SpecimenIndex.open(folder / "index")
    match = kept.search(kept.sample(1)[1], 1)[0][0]
    assert match.has_thumbnail
    picture = Image.open(io.BytesIO(kept.thumbnail(match.record.image)))
    assert (picture.format, picture.size) == ("JPEG", (400, 300))
    words = ("--data", folder / "leaves", "--thumbnails", "linked")
    assert herbzoo("build", folder / "e.parquet", folder / "linked", *words)[0] == 0
    linked = SpecimenIndex.open(folder / "linked")
    assert linked.search(linked.sample(1)[1], 1)[0][0].has_thumbnail
    assert Image.open(io.BytesIO(linked.thumbnail("Acer_rubrum/0.jpg"))).size == (400, 300)
    for image in ("../run/config.json", "/etc/passwd", "nothing.jpg"):
        with pytest.raises(Exception, match="has no image"):
            linked.thumbnail(image)
    assert herbzoo("build", folder / "e.parquet", folder / "none")[0] == 0
    none = SpecimenIndex.open(folder / "none")
    assert not none.search(none.sample(1)[1], 1)[0][0].has_thumbnail
    with pytest.raises(Exception, match="keeps no thumbnail"):
        none.thumbnail("Acer_rubrum/0.jpg")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("search", "nothing", "x.jpg"), "there is no specimen index at nothing"),
        (("search", "index", "nothing.jpg"), "nothing.jpg"),
        (("search", "index", "leaves", "--where", "familly = 'x'"), "did you mean family?"),
        (("search", "index", "leaves", "--run", "other"), "cannot be compared with them"),
        (("search", "index", "text.jpg"), "none of the 1 images can be read"),
        (("identify", "index", "leaves", "--run", "other"), "cannot be compared with them"),
        (("build", "nothing.parquet", "new"), "there is no file nothing.parquet"),
        (("build", "text.jpg", "new"), "text.jpg is no file of embeddings"),
        (("build", "e.parquet", "index"), "is an index already"),
        (("build", "e.parquet", "new", "--thumbnails", "kept"), "give --data too"),
        (("add", "index", "other.parquet"), "cannot be compared with them"),
        (("delete", "index", "--where", ""), "deleting takes a filter"),
        (("determine", "index", "nothing.csv"), "nothing.csv cannot be read"),
        (("describe", "index", "--count", "familly"), "did you mean family?"),
    ],
)
def test_mistakes_are_one_line(herbzoo, folder, monkeypatch, words, problem):
    monkeypatch.chdir(folder)
    torch.manual_seed(1)
    save_run(folder / "other", *tiny_model(head="arcface"))
    write(folder / "other.parquet", sheets(3))
    (folder / "text.jpg").write_text("no image")
    code, _, err = herbzoo(*words)
    assert code == 2
    assert problem in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not (folder / "nothing").exists()


def test_a_model_that_moved_is_asked_for(herbzoo, folder):
    shutil.move(folder / "run", folder / "elsewhere")
    shutil.rmtree(folder.parent / "gone", ignore_errors=True)
    image = folder.joinpath(*QUERY)
    code, _, err = herbzoo("search", folder / "index", image, "--run", folder / "elsewhere")
    assert code == 0, err


def test_an_empty_index_says_so(herbzoo, folder):
    SpecimenIndex.open(folder / "index").delete("image is not blank")
    code, _, err = herbzoo("search", folder / "index", folder.joinpath(*QUERY))
    assert (code, "is empty: add rows" in err) == (2, True)
    code, _, err = herbzoo("identify", folder / "index", folder.joinpath(*QUERY))
    assert (code, "no sheet of" in err) == (2, True)
