from __future__ import annotations

import logging
import os
import pickle
import sys
from pathlib import Path

import pytest
from data_samples import SPECIES_OF, csv_of, refusal, table_folder, write_image, write_images

from herbzoo.data.inputs import collect_images
from herbzoo.data.readers import open_collection, open_images
from herbzoo.data.records import COLUMNS, FIELD, HERBARIUM
from herbzoo.errors import DataError, ImageError

REAL = Path(os.environ.get("HERBZOO_DATA", Path(__file__).parents[2] / "shared" / "data"))
SHEETS, NAMES = list(SPECIES_OF), list(SPECIES_OF.values())


def test_folder_with_a_table_is_read_in_darwin_core_terms(tmp_path):
    text = csv_of("file_name,scientificName,habitat", "wood")
    collection = open_collection(table_folder(tmp_path, text))
    assert len(collection) == 3
    assert set(COLUMNS) <= set(collection.frame.columns)
    assert list(collection.frame["genus"]) == ["Quercus", "Quercus", "Acer"]
    assert list(collection.frame["habitat"]) == ["wood"] * 3
    assert collection.facts["reader"] == "table"
    record = next(collection.records())
    assert (record.image, record.scientificName, record.family) == (SHEETS[0], NAMES[0], "")
    assert collection.images.open(record.image).size == (32, 48)


def test_table_itself_is_read_relative_to_its_folder(tmp_path, monkeypatch):
    table_folder(tmp_path, csv_of("image,species"), "my records.csv")
    assert len(open_collection(tmp_path / "my records.csv")) == 3
    monkeypatch.chdir(tmp_path)
    collection = open_collection("my records.csv")
    assert collection.images.open("sheets/a.jpg").mode == "RGB"


HONEST = [
    "./sheets/a.jpg",
    "sheets\\a.jpg",
    "sheets//a.jpg",
    "x/../sheets/a.jpg",
    "{root}/sheets/a.jpg",
]
OUTSIDE = ["../secret.jpg", "x/../../secret.jpg", "/etc/passwd", "C:\\secret.jpg", "..\\secret.jpg"]


@pytest.mark.parametrize("path", HONEST)
def test_odd_but_honest_paths_are_put_right(tmp_path, path):
    row = path.format(root=tmp_path)
    table_folder(tmp_path, f"image,species\n{row},Acer rubrum\n")
    assert list(open_collection(tmp_path).frame["image"]) == ["sheets/a.jpg"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_paths_that_leave_the_folder_are_refused_by_row(tmp_path, path):
    write_image(tmp_path / "secret.jpg")
    folder = table_folder(
        tmp_path / "data", f"image,species\nsheets/a.jpg,Acer\n,Rosa\n{path},Acer rubrum\n"
    )
    assert "row 3" in (message := refusal(folder))
    assert "outside" in message
    with pytest.raises(DataError, match="outside"):
        open_images(folder)


def test_links_may_stay_inside_and_not_lead_out(tmp_path):
    write_image(tmp_path / "elsewhere" / "secret.jpg")
    folder = table_folder(tmp_path / "data", csv_of("image,species"))
    (folder / "sheets" / "b.jpg").unlink()
    (folder / "sheets" / "b.jpg").symlink_to(folder / "sheets" / "a.jpg")
    assert len(open_collection(folder)) == 3
    (folder / "sheets" / "b.jpg").unlink()
    (folder / "sheets" / "b.jpg").symlink_to(tmp_path / "elsewhere" / "secret.jpg")
    assert "link" in refusal(folder)
    (folder / "metadata.csv").write_text("image,species\nout/secret.jpg,Acer\n")
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    assert "link" in refusal(folder)
    (folder / "metadata.csv").unlink()
    (folder / "sheets" / "b.jpg").unlink()
    assert "link" in refusal(folder)


def test_image_source_refuses_keys_that_leave_the_folder(tmp_path):
    images = open_collection(table_folder(tmp_path / "data", csv_of("image,species"))).images
    write_image(tmp_path / "secret.jpg")
    for key in ("../secret.jpg", str(tmp_path / "secret.jpg")):
        with pytest.raises(ImageError, match="outside"):
            images.open(key)


def test_web_addresses_among_files_are_refused(tmp_path):
    text = csv_of("image,species") + "https://example.org/a.jpg,Acer rubrum\n"
    folder = table_folder(tmp_path, text)
    assert "download the images first" in refusal(folder)


def test_missing_files_are_counted_and_named(tmp_path):
    text = csv_of("image,species") + "sheets/x.jpg,Acer\nnowhere/y.jpg,Acer\n"
    folder = table_folder(tmp_path, text)
    message = refusal(folder)
    assert "5 images" in message and "2 of them are missing files" in message
    assert "nowhere/y.jpg, sheets/x.jpg" in message
    collection = open_images(folder)
    assert len(collection) == 5 and collection.facts["missing_files"] == 2
    with pytest.raises(ImageError, match=r"nowhere/y\.jpg: there is no such file"):
        collection.images.open("nowhere/y.jpg")


def test_two_tables_are_ambiguous(tmp_path):
    folder = table_folder(tmp_path, csv_of("image,species"))
    (folder / "metadata.jsonl").write_text("{}\n")
    assert "metadata.csv and metadata.jsonl" in refusal(folder)


def test_class_folders_give_names(tmp_path):
    write_images(tmp_path, ["Acer_rubrum/1.jpg", "Acer_rubrum/2.PNG", "Quercus robur/1.jpg"])
    (tmp_path / "Acer_rubrum" / "notes.txt").write_text("no image")
    (tmp_path / "Acer_rubrum" / "._1.jpg").write_bytes(b"resource fork")
    collection = open_collection(tmp_path)
    assert list(collection.frame["scientificName"]) == ["Acer rubrum"] * 2 + ["Quercus robur"]
    assert list(collection.frame["genus"]) == ["Acer", "Acer", "Quercus"]
    assert collection.facts["reader"] == "class_folders"
    assert collection.images.open("Acer_rubrum/2.PNG").size == (32, 48)


def test_class_folders_below_splits_and_domains(tmp_path):
    write_images(
        tmp_path,
        ["train/herbarium/Acer_rubrum/1.jpg", "valid/field/Acer_rubrum/2.jpg", "test/Rosa/3.jpg"],
    )
    frame = open_collection(tmp_path).frame.sort_values("image", ignore_index=True)
    assert list(frame["split"]) == ["test", "train", "validation"]
    assert list(frame["basisOfRecord"]) == ["", HERBARIUM, FIELD]
    assert list(frame["scientificName"]) == ["Rosa", "Acer rubrum", "Acer rubrum"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "has no images"),
        (["a.jpg", "b.jpg"], "neither a table nor folders"),
        (["train/a.jpg", "test/b.jpg"], "images directly in"),
        (["Acer/old/a.jpg", "Acer/b.jpg"], "which of its folders is the species"),
        (["train/Acer/a.jpg", "Rosa/b.jpg"], "'Rosa' beside folders of splits"),
    ],
)
def test_layouts_that_are_not_clear_are_refused(tmp_path, files, said):
    assert said in refusal(write_images(tmp_path, files))


def test_loose_images_and_tables_beside_class_folders_are_mentioned(tmp_path, caplog):
    write_images(tmp_path, ["Acer/1.jpg", "cover.jpg"])
    (tmp_path / "labels.csv").write_text("a,b\n")
    with caplog.at_level(logging.WARNING):
        collection = open_collection(tmp_path)
    assert len(collection) == 1
    assert "1 images lie in no species folder" in caplog.text
    assert "1 tables beside the species folders" in caplog.text


def test_what_is_not_there_or_not_known_is_said(tmp_path):
    assert "there is no file or folder" in refusal(tmp_path / "gone")
    assert "there is no file or folder" in refusal("")
    assert "one image" in refusal(write_image(tmp_path / "a.jpg"))
    (tmp_path / "notes.txt").write_text("x")
    assert "no kind of file that is known" in refusal(tmp_path / "notes.txt")
    assert "no column 'x'" in refusal(write_images(tmp_path / "c", ["Acer/1.jpg"]), name_column="x")


def test_images_to_identify_need_no_names(tmp_path):
    write_images(tmp_path, ["a.jpg", "2021/b.jpg", "2021/may/c.png"])
    collection = open_images(tmp_path)
    assert list(collection.frame["image"]) == ["2021/b.jpg", "2021/may/c.png", "a.jpg"]
    assert set(collection.frame["scientificName"]) == {""}
    one = open_images(tmp_path / "2021" / "b.jpg")
    assert len(one) == 1 and one.images.open(one.frame["image"].item()).size == (32, 48)
    (tmp_path / "metadata.csv").write_text("image,occurrenceID\na.jpg,occ-1\n")
    assert list(open_images(tmp_path).frame["occurrenceID"]) == ["occ-1"]
    with pytest.raises(DataError, match="no images"):
        (tmp_path / "empty").mkdir()
        open_images(tmp_path / "empty")


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems hold UTF-8 only")
def test_a_name_that_no_table_can_hold_is_refused_in_one_line(tmp_path):
    write_images(tmp_path, ["leaf.jpg"])
    name = os.fsencode(tmp_path) + b"/\xe9rable.jpg"
    os.rename(tmp_path / "leaf.jpg", name)
    for given in (tmp_path, os.fsdecode(name)):
        with pytest.raises(DataError, match="has a name that is not UTF-8: rename it"):
            collect_images(given)


def test_a_collection_survives_pickling(tmp_path):
    collection = open_collection(table_folder(tmp_path, csv_of("image,species")))
    copy = pickle.loads(pickle.dumps(collection))
    assert copy.images.open("sheets/a.jpg").size == (32, 48)


@pytest.mark.realdata
@pytest.mark.skipif(not (REAL / "leafsnap").is_dir(), reason=f"no images in {REAL} (HERBZOO_DATA)")
def test_leafsnap_is_read_whole():
    collection = open_collection(REAL / "leafsnap")
    assert len(collection) == 3273
    assert collection.frame["scientificName"].nunique() == 60
    assert collection.images.open(collection.frame["image"].iloc[-1]).mode == "RGB"
