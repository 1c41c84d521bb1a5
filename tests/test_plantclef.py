"""PlantCLEF: the layout of the course, the flat one, and the lists of the challenge."""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from pathlib import Path

import pytest
from data_samples import refusal, write_images

from herbzoo.data.readers import open_collection, open_images
from herbzoo.data.records import FIELD, HERBARIUM
from herbzoo.errors import DataError

REAL = Path(os.environ.get("HERBZOO_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs = {
    name: pytest.mark.skipif(not (REAL / name).is_dir(), reason=f"no {REAL / name} (HERBZOO_DATA)")
    for name in ("plantclef2020-mini", "plantclef2020-lists")
}

LISTS = {
    "species_list.txt": "105951; Maripa glabra Choisy\n106023; Merremia umbellata (L.)\n",
    "class_with_pairs.txt": "106023\n",
    "class_without_pairs.txt": "105951\n",
    "train.txt": "train/herbarium/105951/1.jpg 105951\ntrain/herbarium/106023/2.jpg 106023\n"
    "train/photo/106023/3.jpg 106023\n",
    "test.txt": "test/1745.jpg\ntest/17.jpg\n",
    "groundtruth.txt": "test/1745.jpg 105951\ntest/17.jpg 106023\n",
}
IMAGES = [
    line.split()[0] for name in ("train.txt", "test.txt") for line in LISTS[name].splitlines()
]


def course(root: Path, folder: str = "list", **changed: str | bytes | None) -> Path:
    """Writes the layout of the course; a list that is None is left out."""
    write_images(root, IMAGES)
    (root / folder).mkdir(exist_ok=True)
    for name, text in {**LISTS, **{f"{key}.txt": text for key, text in changed.items()}}.items():
        if text is not None:
            content = text if isinstance(text, bytes) else text.encode()
            (root / folder / name).write_bytes(content)
    return root


def test_the_course_layout_is_read_whole(tmp_path):
    collection = open_collection(course(tmp_path))
    assert collection.facts["reader"] == "plantclef"
    frame = collection.frame.set_index("image")
    assert list(frame.index) == [*IMAGES[3:], *IMAGES[:3]]
    sheet, photo, test = (frame.loc[IMAGES[i]] for i in (0, 2, 3))
    columns = ["scientificName", "taxonID", "basisOfRecord", "split", "pairs"]
    assert list(sheet[columns]) == ["Maripa glabra Choisy", "105951", HERBARIUM, "train", "without"]
    assert list(photo[columns][1:]) == ["106023", FIELD, "train", "with"]
    assert list(test[columns]) == ["Maripa glabra Choisy", "105951", FIELD, "test", "without"]
    assert collection.images.open(IMAGES[3]).size == (32, 48)


def test_the_ground_truth_may_be_classes_alone_in_the_order_of_the_test_list(tmp_path):
    frame = open_collection(course(tmp_path, groundtruth="105951\n106023\n")).frame
    assert list(frame[frame["split"] == "test"]["taxonID"]) == ["105951", "106023"]
    assert "2 images of test.txt" in refusal(course(tmp_path, groundtruth="105951\n"))


def test_the_ground_truth_lists_the_test_images_where_no_other_list_does(tmp_path):
    course(tmp_path, test=None)
    assert sorted(open_collection(tmp_path).frame["image"]) == sorted(IMAGES)


def test_test_images_without_ground_truth_have_no_name(tmp_path):
    collection = open_collection(course(tmp_path, groundtruth=None))
    assert set(collection.frame["split"]) == {"train"}
    assert collection.facts["rows_without_name"] == 2
    every = open_images(tmp_path).frame
    assert list(every[every["split"] == "test"]["scientificName"]) == ["", ""]


@pytest.mark.parametrize("folder", ["list", "."])
def test_folders_are_read_where_no_list_names_the_images(tmp_path, folder):
    course(tmp_path, folder, train=None, test=None)
    (tmp_path / folder / "class_with_pairs.txt").unlink()
    (tmp_path / folder / "class_without_pairs.txt").unlink()
    frame = open_collection(tmp_path).frame.set_index("image")
    assert sorted(frame.index) == sorted(IMAGES)
    assert list(frame.loc[IMAGES, "split"]) == ["train"] * 3 + ["test"] * 2
    assert list(frame.loc[IMAGES, "pairs"]) == ["without", "with", "with", "without", "with"]


def test_images_that_no_list_names_are_counted(tmp_path, caplog):
    course(tmp_path, test="test/1745.jpg\n")
    with caplog.at_level(logging.WARNING):
        collection = open_collection(tmp_path)
    assert collection.facts["images_not_listed"] == 1 and len(collection) == 4
    assert "1 images are not listed" in caplog.text


def test_an_image_listed_for_training_and_testing_is_for_testing(tmp_path, caplog):
    text = LISTS["train.txt"] + "test/17.jpg 106023\n"
    with caplog.at_level(logging.WARNING):
        collection = open_collection(course(tmp_path, train=text))
    frame = collection.frame.set_index("image")
    assert len(frame) == 5 and frame.loc["test/17.jpg", "split"] == "test"
    assert collection.facts["listed_in_train_and_test"] == 1
    assert "lists of several splits" in caplog.text


def test_an_archive_of_the_layout_is_read_too(tmp_path):
    course(tmp_path / "PlantCLEF")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted((tmp_path / "PlantCLEF").rglob("*")):
            archive.write(path, path.relative_to(tmp_path))
    collection = open_collection(tmp_path / "a.zip")
    assert len(collection) == 5 and collection.images.open(IMAGES[0]).size == (32, 48)


BAD = {
    "unknown class": (
        {"species_list": "105951; Maripa glabra Choisy\n"},
        "106023 is not in the list of species",
        2,
    ),
    "dangling file": (
        {"train": LISTS["train.txt"] + "train/photo/106023/9.jpg 106023\n"},
        "9.jpg",
        5,
    ),
    "outside": ({"train": LISTS["train.txt"] + "../1.jpg 106023\n"}, "outside", 5),
    "two classes": (
        {"train": LISTS["train.txt"].replace("1.jpg 105951", "1.jpg 106023")},
        "line 1 gives class 106023",
        4,
    ),
    "no image": ({"train": LISTS["train.txt"] + "105951\n"}, "line 4 is not an image", 5),
    "encoding": (
        {"species_list": (LISTS["species_list.txt"] + "7; \u00c9b\u00e8ne").encode("latin-1")},
        "line 3 is not UTF-8",
        5,
    ),
    "no name": ({"species_list": LISTS["species_list.txt"] + "7;\n"}, "line 3 is not a class", 5),
    "two names": (
        {"species_list": LISTS["species_list.txt"] + "105951; Rosa canina\n"},
        "names class 105951 again",
        5,
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_lines_are_refused_in_one_line_or_skipped_and_listed(tmp_path, name):
    changed, said, left = BAD[name]
    message = refusal(course(tmp_path, **changed))
    assert said in message and "--skip-bad" in message
    collection = open_collection(tmp_path, skip_bad=True)
    assert len(collection) == left
    assert any(
        said.rpartition(" is ")[2] in f"{bad.where} {bad.reason}" for bad in collection.skipped
    )


def test_lists_without_images_say_so(tmp_path):
    (tmp_path / "species_list.txt").write_text(LISTS["species_list.txt"])
    with pytest.raises(DataError, match="none in a folder of a class"):
        open_collection(tmp_path)


def test_a_list_of_names_without_class_numbers_is_not_taken_for_the_layout(tmp_path):
    write_images(tmp_path, ["Acer rubrum/1.jpg"])
    (tmp_path / "species_list.txt").write_text("Acer rubrum\n")
    assert open_collection(tmp_path).facts["reader"] == "class_folders"


def test_images_to_identify_beside_a_list_of_classes_are_all_kept(tmp_path):
    write_images(tmp_path, ["a.jpg", "may/b.jpg"])
    (tmp_path / "species_list.txt").write_text(LISTS["species_list.txt"])
    assert list(open_images(tmp_path).frame["image"]) == ["a.jpg", "may/b.jpg"]


@pytest.mark.realdata
@needs["plantclef2020-mini"]
def test_the_real_sample_is_read_whole():
    collection = open_collection(REAL / "plantclef2020-mini")
    counts = collection.frame.groupby(["basisOfRecord", "pairs"]).size().to_dict()
    assert counts == {(FIELD, "with"): 200, (HERBARIUM, "with"): 60, (HERBARIUM, "without"): 40}
    assert collection.frame["scientificName"].nunique() == 100
    assert collection.images.open(collection.frame["image"].iloc[0]).mode == "RGB"


@pytest.mark.realdata
@needs["plantclef2020-lists"]
def test_the_real_lists_name_class_domain_and_split(tmp_path):
    lists = REAL / "plantclef2020-lists"
    for path in lists.iterdir():
        shutil.copy(path, tmp_path)
        os.chmod(tmp_path / path.name, 0o644)
    kept: list[str] = []
    for path in sorted(tmp_path.glob("*known_classes*.txt")):
        lines = path.read_text().splitlines()[:20]
        path.write_text("\n".join(lines))
        kept += [line.split()[0] for line in lines]
    write_images(tmp_path, kept)
    collection = open_collection(tmp_path)
    frame = collection.frame.set_index("image")
    assert set(frame.index) == set(kept)
    sheet = frame.loc["herbarium/105951/283091.jpg"]
    assert (sheet["scientificName"], sheet["basisOfRecord"]) == ("Maripa glabra Choisy", HERBARIUM)
    both = frame.loc["herbarium_photo_associations/106023/302367.jpg"]
    assert (both["basisOfRecord"], both["split"]) == (FIELD, "train")
    assert both["genus"] == "Merremia"


@pytest.mark.realdata
@needs["plantclef2020-lists"]
def test_the_real_lists_alone_are_missing_their_images():
    assert "1,219 of them are missing files" in refusal(REAL / "plantclef2020-lists")
