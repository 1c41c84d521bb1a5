"""PlantCLEF: herbarium sheets and photos in folders of class numbers, named by text files."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

import pandas as pd

from herbzoo.data.readers.columns import darwin_core, normalise_split
from herbzoo.data.readers.layouts import (
    DOMAIN_FOLDERS,
    SPLIT_FOLDERS,
    FileTree,
    collection,
    first_folder,
)
from herbzoo.data.readers.listed import inside, present
from herbzoo.data.readers.plantclef_lists import (
    ImageList,
    find_lists,
    image_lists,
    read_images,
    read_pairs,
    read_species,
    read_truth,
)
from herbzoo.data.readers.reading import Reading
from herbzoo.data.records import FIELD, HERBARIUM, Collection, Skipped
from herbzoo.errors import DataError

_PLACES = ("", "train/", "PlantCLEF2020TrainingData/")
"""Where the paths of a list may start."""
_ORDER = ("test", "validation", "train")
"""The split in which an image is kept that is listed in several: one list of the challenge, its
`field_train_added`, repeats every test image."""


def recognise(tree: FileTree) -> bool:
    """Tells whether there is a list of the names of classes, in `list` or at the top."""
    return bool(find_lists(tree))


def read(tree: FileTree, reading: Reading) -> Collection:
    """Reads the images that the lists name, or where no list does, all that are in folders.

    Adds the column `pairs`: `with` or `without` photos of the living plant in training. Test
    images have the names of the ground truth; without one, they have none.

    Raises:
        DataError: if there is no image; see `Reading` for single lines that cannot be used.
    """
    lists = find_lists(tree)
    species = read_species(tree, lists, reading)
    truth = read_truth(tree, lists, reading)
    found = image_lists(lists)
    facts: dict[str, Any] = {"reader": "plantclef"}
    if found:
        frames = [_listed(tree, one, truth, species, reading, facts) for one in found]
        frame = pd.concat(frames, ignore_index=True)
        facts["images_not_listed"] = len(tree.unlisted(frame["image"]))
        frame = _once(frame, facts)
    else:
        frame = _in_folders(tree, truth, reading, facts)
        frame = _with_names(frame, tree.name, species, reading)
    pairs = read_pairs(tree, lists, reading)
    frame["pairs"] = frame["taxonID"].map(pairs or _pairs_of(frame)).fillna("")
    described, columns = darwin_core(frame, tree.name, reading)
    facts["rows_without_name"] = columns["rows_without_name"] + facts.get("rows_without_name", 0)
    return collection(described, tree.source(), tree.name, facts)


def _listed(
    tree: FileTree,
    listed: ImageList,
    truth: dict[str, str],
    species: dict[str, str],
    reading: Reading,
    facts: dict[str, Any],
) -> pd.DataFrame:
    where = posixpath.join(tree.name, listed.path)
    rows, bad = [], []
    for line, image, numbers in read_images(tree, listed.path, reading):
        place = _place(image)
        label = numbers[0] if len(numbers) == 1 else truth.get(image, "")
        if label and place["taxonID"] and label != place["taxonID"]:
            problem = f"gives class {label} to {image}, which lies in another"
            bad.append(Skipped(f"{where} line {line}", problem))
            continue
        place["taxonID"] = label or place["taxonID"]
        place["basisOfRecord"] = place["basisOfRecord"] or listed.domain
        rows.append({"line": line - 1, "image": image, **place, "split": listed.split})
    reading.bad(bad)
    columns = ["line", "image", "taxonID", "basisOfRecord", "split"]
    frame = pd.DataFrame(rows, columns=columns).set_index("line")
    frame = _with_names(frame.astype(str), where, species, reading)
    if reading.names_required:
        named = frame["scientificName"] != ""
        facts["rows_without_name"] = facts.get("rows_without_name", 0) + int((~named).sum())
        frame = frame[named]
    if frame.empty:
        return frame
    frame["image"] = first_folder(tree, _PLACES, frame["image"]) + frame["image"]
    frame = inside(frame, tree, where, reading)
    frame, missing = present(frame, tree, where, reading)
    facts["missing_files"] = facts.get("missing_files", 0) + missing
    return frame


def _once(frame: pd.DataFrame, facts: dict[str, Any]) -> pd.DataFrame:
    order = frame["split"].map({split: number for number, split in enumerate(_ORDER)})
    splits = frame.groupby("image")["split"].nunique()
    facts["listed_in_train_and_test"] = int((splits > 1).sum())
    return frame.loc[order.sort_values(kind="stable").index].drop_duplicates("image").sort_index()


def _in_folders(
    tree: FileTree, truth: dict[str, str], reading: Reading, facts: dict[str, Any]
) -> pd.DataFrame:
    rows = []
    images = tree.images()
    for image in images:
        place = _place(image)
        place["taxonID"] = place["taxonID"] or truth.get(image, "")
        if place["taxonID"] or place["split"] or not reading.names_required:
            rows.append({"image": image, **place})
    facts["images_without_folder"] = len(images) - len(rows)
    if not rows:
        raise DataError(
            f"{tree.name} has lists and {len(images):,} images, and none in a folder of a class, "
            "such as train/herbarium/105951"
        )
    return pd.DataFrame(rows, dtype=str)


def _place(image: str) -> dict[str, str]:
    """Returns what the folders of an image say: its class, its domain and its split."""
    *folders, _ = image.replace("\\", "/").split("/")
    row = {"taxonID": "", "basisOfRecord": "", "split": ""}
    if folders and folders[-1].isdecimal():
        row["taxonID"] = folders.pop()
    for folder in map(str.lower, folders):
        row["basisOfRecord"] = row["basisOfRecord"] or DOMAIN_FOLDERS.get(folder, "")
        if folder in SPLIT_FOLDERS:
            row["split"] = normalise_split(folder)
    if row["split"] == "test" and not row["basisOfRecord"]:
        row["basisOfRecord"] = FIELD  # the task of all years: sheets to learn from, photos to name
    return row


def _with_names(
    frame: pd.DataFrame, where: str, species: dict[str, str], reading: Reading
) -> pd.DataFrame:
    classes = frame["taxonID"]
    known = classes.map(species or {name: name for name in classes.unique()})
    frame = frame.assign(scientificName=known.fillna("").astype(str))
    unknown = (classes != "") & (frame["scientificName"] == "")
    if unknown.any() and reading.names_required:
        reading.bad(
            [
                Skipped(f"{where}: {image}", f"class {number} is not in the list of species")
                for image, number in zip(frame["image"][unknown], classes[unknown], strict=True)
            ]
        )
        frame = frame[~unknown]
    return frame


def _pairs_of(frame: pd.DataFrame) -> dict[str, str]:
    """Returns for each class whether there are photos of it that are not for testing."""
    photos = (frame["basisOfRecord"] == FIELD) & (frame["split"] != "test")
    paired = set(frame.loc[photos, "taxonID"])
    sheets = set(frame.loc[frame["basisOfRecord"] == HERBARIUM, "taxonID"])
    classes: Iterator[str] = filter(None, frame["taxonID"].unique())
    return {name: "with" if name in paired & sheets else "without" for name in classes}
