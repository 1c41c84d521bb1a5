"""Kaggle Herbarium 2019 to 2022, in the layout and with the keys of the real files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_samples import refusal, write_image, write_images

from herbzoo.data.readers import open_collection, open_images
from herbzoo.data.records import HERBARIUM
from herbzoo.errors import DataError

CC = {"id": 1, "name": "CC BY 4.0", "url": "https://creativecommons.org/licenses/by/4.0/"}


def dump(path: Path, value: object, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=4, sort_keys=True, ensure_ascii=False)
    path.write_bytes(text.encode(encoding))
    return path


def train_2022() -> dict[str, Any]:
    """Two species called alike by two authors, and categories whose ids have a gap."""
    categories = [
        (0, "Abies alba", "Mill.", "Pinaceae", "Abies"),
        (1, "Abies alba", "Michx.", "Pinaceae", "Abies"),
        (15504, "Acer rubrum", "L.", "Sapindaceae", "Acer"),
    ]
    keys = ("category_id", "scientificName", "authors", "family", "genus")
    images = [(0, 1), (1, 1), (15504, 1), (15504, 2)]
    name, folder = "{:05d}__{:03d}", "{:03d}/{:02d}/"
    return {
        "categories": [dict(zip(keys, values, strict=True)) for values in categories],
        "images": [
            {
                "image_id": name.format(*image),
                "file_name": folder.format(*divmod(image[0], 100)) + name.format(*image) + ".jpg",
                "license": 1,
            }
            for image in images
        ],
        "annotations": [
            {
                "image_id": name.format(*image),
                "category_id": image[0],
                "genus_id": 1 + (image[0] > 1),
                "institution_id": 7,
            }
            for image in images
        ],
        "genera": [{"genus_id": 1, "genus": "Abies"}, {"genus_id": 2, "genus": "Acer"}],
        "distances": [{"genus_id_x": 1, "genus_id_y": 2, "distance": 313.5}],
        "institutions": [{"institution_id": 7, "collectionCode": "NY"}],
        "license": [CC],
    }


def write_2022(root: Path, train: dict[str, Any] | None = None) -> Path:
    train = train_2022() if train is None else train
    dump(root / "train_metadata.json", train)
    tests = [{"image_id": "0", "file_name": "000/test-000000.jpg", "license": 1}]
    dump(root / "test_metadata.json", tests)
    write_images(root / "train_images", [image["file_name"] for image in train["images"]])
    write_images(root / "test_images", [image["file_name"] for image in tests])
    return root


def test_2022_is_read_in_darwin_core_terms(tmp_path):
    collection = open_collection(write_2022(tmp_path))
    assert collection.facts["reader"] == "kaggle" and collection.facts["year"] == "2022"
    row = collection.frame.iloc[2]
    assert row["image"] == "train_images/155/04/15504__001.jpg"
    assert collection.images.open(row["image"]).size == (32, 48)
    wanted = ("Acer rubrum", "L.", "Acer", "Sapindaceae", "15504", "NY", CC["url"], HERBARIUM)
    columns = ("scientificName", "scientificNameAuthorship", "genus", "family", "taxonID")
    columns += ("institutionCode", "license", "basisOfRecord")
    assert tuple(row[column] for column in columns) == wanted
    assert set(collection.frame["split"]) == {"train"}


def test_names_that_two_authors_gave_stay_two_classes(tmp_path):
    names = list(open_collection(write_2022(tmp_path)).frame["scientificName"])
    assert names == ["Abies alba Mill.", "Abies alba Michx.", "Acer rubrum", "Acer rubrum"]


def test_test_images_have_no_names_and_are_kept_to_be_identified(tmp_path):
    assert open_collection(write_2022(tmp_path)).facts["rows_without_name"] == 1
    every = open_images(tmp_path)
    assert list(every.frame["split"]) == ["train"] * 4 + ["test"]
    last = every.frame.iloc[-1]
    assert (last["image"], last["scientificName"]) == ("test_images/000/test-000000.jpg", "")
    only = open_images(tmp_path / "test_metadata.json")
    assert list(only.frame["image"]) == ["test_images/000/test-000000.jpg"]
    assert "no row with an image has a name" in refusal(tmp_path / "test_metadata.json")


@pytest.mark.parametrize("key", ["license", "licenses"])
def test_licences_of_2022_go_by_either_key(tmp_path, key):
    train = train_2022()
    train[key] = train.pop("license")
    frame = open_collection(write_2022(tmp_path, train)).frame
    assert set(frame["license"]) == {CC["url"]}


def test_genus_distances_are_kept(tmp_path):
    facts = open_collection(write_2022(tmp_path)).facts
    assert facts["genera"] == ("Abies", "Acer") and facts["institutions"] == ("NY",)
    distances = facts["genus_distances"]
    found = distances.between(["Acer", "Acer", "Abies"], ["Abies", "Acer", "Rosa"])
    assert found[:2].tolist() == [313.5, 0.0] and np.isnan(found[2])


def coco(section: str, extra: dict[str, str], **category: str) -> dict[str, Any]:
    """Training metadata of 2020 or 2021: numbers for ids, images below the metadata's folder."""
    key = f"{section.removesuffix('s')}_id"
    return {
        "annotations": [
            {"category_id": 26, "id": 900 + i, "image_id": i, key: 1} for i in (41, 40)
        ],
        "categories": [{"id": 26, "family": "Poaceae", **extra, **category}],
        "images": [
            {
                "file_name": f"images/000/26/{i}.jpg",
                "height": 1000,
                "width": 681,
                "id": i,
                "license": 1,
            }
            for i in (40, 41)
        ],
        "info": {"year": 2020, "contributor": "NYBG", "date_created": "2020-02-13"},
        "licenses": [{"id": 1, "name": "CC0", "url": ""}],
        section: [{"id": 1, "name": "Brazil"}],
    }


def write_coco(root: Path, train: dict[str, Any], encoding: str = "utf-8") -> Path:
    dump(root / "train" / "metadata.json", train, encoding)
    images = [{"file_name": "images/000/0.jpg", "height": 9, "width": 9, "id": "0", "license": 1}]
    dump(root / "test" / "metadata.json", {"images": images, "info": {}, "licenses": []})
    write_images(root / "train", [image["file_name"] for image in train["images"]])
    write_image(root / "test" / "images" / "000" / "0.jpg")
    return root


def test_2020_has_regions_and_names_in_latin_1(tmp_path):
    train = coco("regions", {"genus": "Poa"}, name="Poa l\u00f3pezii")
    write_coco(tmp_path / "nybg2020", train, "latin-1")
    for folder in (tmp_path, tmp_path / "nybg2020"):
        collection = open_collection(folder)
        assert collection.facts["year"] == "2020"
        frame = collection.frame
        assert list(frame["scientificName"]) == ["Poa l\u00f3pezii"] * 2
        assert list(frame["region"]) == ["Brazil"] * 2
        assert set(frame["institutionCode"]) == {"NY"} and set(frame["license"]) == {"CC0"}
        assert collection.images.open(frame["image"].iloc[1]).size == (32, 48)
    assert len(open_images(tmp_path)) == 3
    assert len(open_collection(tmp_path / "nybg2020" / "train")) == 2
    assert len(open_collection(tmp_path / "nybg2020" / "train" / "metadata.json")) == 2


def test_2021_has_institutions_and_orders(tmp_path):
    train = coco("institutions", {"order": "Poales"}, name="Poa annua L.")
    collection = open_collection(write_coco(tmp_path, train))
    assert collection.facts["year"] == "2021"
    row = collection.frame.iloc[0]
    assert (row["institutionCode"], row["order"], row["genus"]) == ("Brazil", "Poales", "Poa")
    assert "region" not in collection.frame


@pytest.mark.parametrize("start", ["small-", ""])
def test_2019_has_folders_of_numbers(tmp_path, start):
    files = [f"{start}train/0/00000.jpg", f"{start}train/182/00000.jpg"]
    files += [f"{start}validation/0/00001.jpg", f"{start}test/00000.jpg"]
    write_images(tmp_path, files)
    collection = open_collection(tmp_path)
    assert collection.facts["reader"] == "kaggle" and collection.facts["rows_without_name"] == 1
    frame = collection.frame.sort_values("image", ignore_index=True)
    assert list(frame["scientificName"]) == ["0", "182", "0"]
    assert list(frame["split"]) == ["train", "train", "validation"]
    sure = bool(start)  # other sets have a train and a test folder too
    assert collection.facts["year"] == ("2019" if sure else "")
    assert set(frame["family"]) == {"Melastomataceae" if sure else ""}
    assert set(frame["basisOfRecord"]) == {HERBARIUM}
    assert sorted(open_images(tmp_path).frame["split"]) == ["test", "train", "train", "validation"]
    text = "category_id,scientificName\n182,Clidemia hirta var. elegans\n0,Miconia alba\n"
    (tmp_path / "categories.csv").write_text(text)
    named = open_collection(tmp_path).frame
    assert set(named["scientificName"]) == {"Clidemia hirta var. elegans", "Miconia alba"}
    assert set(named["taxonID"]) == {"0", "182"}


def test_an_archive_of_a_year_is_read_too(tmp_path):
    folder = write_2022(tmp_path / "herbarium-2022-fgvc9")
    with zipfile.ZipFile(tmp_path / "h22.zip", "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(tmp_path))
    collection = open_collection(tmp_path / "h22.zip")
    assert len(collection) == 4
    assert collection.images.open(collection.frame["image"].iloc[0]).size == (32, 48)


def broken(root: Path, change: Any) -> Path:
    write_2022(root)
    train = train_2022()
    change(train)
    dump(root / "train_metadata.json", train)
    return root


BAD = {
    "duplicate id": (lambda t: t["images"].append({**t["images"][0]}), "more than once", 4),
    "unknown category": (lambda t: t["annotations"][0].update(category_id=9), "category", 3),
    "no annotation": (lambda t: t["annotations"].pop(), "has no annotation", 3),
    "no image": (lambda t: t["images"].pop(), "not among the images", 3),
    "two categories": (
        lambda t: t["annotations"].append({**t["annotations"][0], "category_id": 1}),
        "two categories",
        4,
    ),
    "no file name": (lambda t: t["images"][1].pop("file_name"), "has no file_name", 3),
    "wrong type": (lambda t: t["images"][1].update(file_name=5), "Expected `str", 3),
    "other category": (
        lambda t: t["categories"].append({**t["categories"][0], "family": "Rosaceae"}),
        "is there twice",
        4,
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_records_are_refused_in_one_line_or_skipped_and_listed(tmp_path, name):
    change, said, left = BAD[name]
    folder = broken(tmp_path, change)
    message = refusal(folder)
    assert said in message and "--skip-bad" in message and "train_metadata.json" in message
    collection = open_collection(folder, skip_bad=True)
    assert len(collection) == left and any(said in bad.reason for bad in collection.skipped)
    assert len(open_images(folder)) >= left


def test_images_that_are_not_there_or_lie_outside_are_bad(tmp_path):
    folder = write_2022(tmp_path)
    (folder / "train_images" / "000" / "00" / "00000__001.jpg").unlink()
    assert "1 of them are missing files" in refusal(folder)
    collection = open_collection(folder, skip_bad=True)
    assert len(collection) == 3 and "no such file" in collection.skipped[0].reason
    train = train_2022()
    train["images"][0]["file_name"] = "../../secret.jpg"
    dump(folder / "train_metadata.json", train)
    assert "outside" in refusal(folder)
    assert len(open_collection(folder, skip_bad=True)) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ("hello", "is not JSON"),
        ('{"images": [{"image_id": 1, "file_na', "is not JSON"),
        ('{"annotations": [], "categories": []}', "has no list of images"),
        ('{"images": [], "annotations": []}', "no categories"),
        ('{"pictures": {"a": 1}, "x": [1, 2]}', "has no list of images"),
    ],
)
def test_files_that_are_no_metadata_say_so_with_skip_bad_as_well(tmp_path, text, said):
    (tmp_path / "train_metadata.json").write_text(text)
    for options in ({}, {"skip_bad": True}):
        with pytest.raises(DataError, match=said) as error:
            open_collection(tmp_path, **options)
        assert "\n" not in str(error.value)


def test_names_of_2022_that_are_not_utf_8_are_bad(tmp_path):
    train = train_2022()
    train["categories"][0]["scientificName"] = "Abies\u00e9 alba"
    write_2022(tmp_path, train)
    dump(tmp_path / "train_metadata.json", train, "latin-1")
    assert "is not UTF-8" in refusal(tmp_path)
    collection = open_collection(tmp_path, skip_bad=True)
    assert len(collection) == 3 and len(collection.skipped) == 2
