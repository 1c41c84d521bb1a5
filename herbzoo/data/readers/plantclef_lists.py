"""The text files that come with PlantCLEF: which class is called what, which image is in which set.

Two families are known: those of a university course on PlantCLEF 2020 (`species_list.txt`,
`class_with_pairs.txt`, `train.txt`, `groundtruth.txt`, ...) and those published with baselines for
the challenge itself (`clef2020_herbarium_species.csv`, `clef2020_known_classes_field_train.txt`,
...). They lie in the folder `list` or beside the images.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from herbzoo.data.readers.columns import normalise_split
from herbzoo.data.readers.layouts import DOMAIN_FOLDERS, FileTree
from herbzoo.data.readers.reading import Reading
from herbzoo.data.readers.tables import read_table
from herbzoo.data.records import Skipped
from herbzoo.errors import DataError

FOLDERS = ("list", "")
"""Where the files may lie; the first that has one of `_TELLING` has them all."""
_TELLING = re.compile(r"species_list\.txt|\w+_classid_map_to_index\.txt")
_SPECIES = re.compile(r"\s*(\d+)\s*[;,\t ]\s*(\S.*?)\s*")
_IMAGES = re.compile(r"(?:(\w+)_)?(train|validation|val|test)(?:_added)?\.txt")
_LINE = re.compile(r"(\S.*\.\w+?)((?:\s+\d+)*)\s*")


@dataclass(frozen=True)
class ImageList:
    """A file with a line an image: its path, and its class or other numbers."""

    path: str
    split: str
    domain: str
    """`basisOfRecord` of the images, where the name of the list says it."""


def find_lists(tree: FileTree) -> tuple[str, ...]:
    """Returns the paths of the text files, or nothing where there are no such lists."""
    for folder in FOLDERS:
        names = tree.top_files(folder)
        telling = [name for name in names if _TELLING.fullmatch(name)]
        if telling and _starts_with_a_class(tree, posixpath.join(folder, telling[0])):
            texts = (name for name in names if name.endswith((".txt", ".csv")))
            return tuple(posixpath.join(folder, name) for name in texts)
    return ()


def _starts_with_a_class(tree: FileTree, path: str) -> bool:
    with tree.open(path) as stream:
        return _SPECIES.fullmatch(stream.readline(1000).decode("utf-8-sig", "replace")) is not None


def find_list(lists: tuple[str, ...], name: str) -> str | None:
    """Returns the path of the list whose name ends so."""
    return next((path for path in lists if posixpath.basename(path).endswith(name)), None)


def image_lists(lists: tuple[str, ...]) -> list[ImageList]:
    """Returns the lists of images, in the order of their names."""
    found = []
    for path in lists:
        named = _IMAGES.fullmatch(posixpath.basename(path))
        if named is not None:
            words = (named[1] or "").split("_")
            domain = next((DOMAIN_FOLDERS[word] for word in words if word in DOMAIN_FOLDERS), "")
            found.append(ImageList(path, normalise_split(named[2]), domain))
    truth = find_list(lists, "groundtruth.txt")
    if found and truth is not None and all(one.split != "test" for one in found):
        found.append(ImageList(truth, "test", ""))
    return found


def read_lines(tree: FileTree, path: str, reading: Reading) -> Iterator[tuple[int, str]]:
    """Yields the lines that hold something, with their numbers.

    Lines that are not UTF-8 are bad rows.
    """
    bad: list[Skipped] = []
    good: list[tuple[int, str]] = []
    with tree.open(path) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                text = line.decode("utf-8-sig").strip()
            except UnicodeDecodeError:
                where = f"{posixpath.join(tree.name, path)} line {number}"
                bad.append(Skipped(where, "is not UTF-8; save the file as UTF-8"))
                continue
            if text:
                good.append((number, text))
    reading.bad(bad)
    yield from good


def read_images(
    tree: FileTree, path: str, reading: Reading
) -> list[tuple[int, str, tuple[str, ...]]]:
    """Returns the line, the image and the numbers after it, of each line of a list."""
    rows: list[tuple[int, str, tuple[str, ...]]] = []
    bad: list[Skipped] = []
    for number, line in read_lines(tree, path, reading):
        found = _LINE.fullmatch(line)
        if found is None:
            where = f"{posixpath.join(tree.name, path)} line {number}"
            bad.append(Skipped(where, f"is not an image and its class: {line[:80]}"))
        else:
            rows.append((number, found[1], tuple(found[2].split())))
    reading.bad(bad)
    return rows


def read_species(tree: FileTree, lists: tuple[str, ...], reading: Reading) -> dict[str, str]:
    """Returns the name of each class; none where no file says them.

    Raises:
        DataError: if one class is listed with two names, unless such are to be skipped.
    """
    path = find_list(lists, "species_list.txt")
    if path is not None:
        pairs = _listed_species(tree, path, reading)
    else:
        numbers = find_list(lists, "_classid_map_to_index.txt")
        table = find_list(lists, "_species.csv")
        if numbers is None or table is None:
            return {}
        path = table
        pairs = _numbered_species(tree, numbers, table, reading)
    names: dict[str, str] = {}
    bad = []
    for number, identifier, name in pairs:
        if names.setdefault(identifier, name) != name:
            where = f"{posixpath.join(tree.name, path)} line {number}"
            bad.append(Skipped(where, f"names class {identifier} again; the first name counts"))
    reading.bad(bad)
    return names


def _listed_species(tree: FileTree, path: str, reading: Reading) -> list[tuple[int, str, str]]:
    rows, bad = [], []
    for number, line in read_lines(tree, path, reading):
        found = _SPECIES.fullmatch(line)
        if found is None:
            where = f"{posixpath.join(tree.name, path)} line {number}"
            bad.append(Skipped(where, "is not a class and its name, as in `105951; Maripa glabra`"))
        else:
            rows.append((number, found[1], " ".join(found[2].split())))
    reading.bad(bad)
    return rows


def _numbered_species(
    tree: FileTree, numbers: str, table: str, reading: Reading
) -> list[tuple[int, str, str]]:
    where = posixpath.join(tree.name, table)
    with tree.open(table) as stream:
        frame = read_table(stream, where, reading)
    if not {"species", "index"} <= set(frame.columns):
        raise DataError(
            f"{where} has no columns species and index; it has {', '.join(map(str, frame.columns))}"
        )
    names = dict(zip(frame["index"].str.strip(), frame["species"], strict=True))
    rows = []
    for number, line in read_lines(tree, numbers, reading):
        identifier, _, index = line.partition(" ")
        if index.strip() in names:
            rows.append((number, identifier, " ".join(names[index.strip()].split())))
    return rows


def read_pairs(tree: FileTree, lists: tuple[str, ...], reading: Reading) -> dict[str, str]:
    """Returns `with` or `without` for each class of which a list says it."""
    pairs: dict[str, str] = {}
    for value in ("with", "without"):
        path = find_list(lists, f"class_{value}_pairs.txt")
        if path is not None:
            pairs |= {line: value for _, line in read_lines(tree, path, reading)}
    return pairs


def read_truth(tree: FileTree, lists: tuple[str, ...], reading: Reading) -> dict[str, str]:
    """Returns the class of each test image.

    `groundtruth.txt` has a path and a class a line, or only the classes in the order of `test.txt`.
    """
    path = find_list(lists, "groundtruth.txt")
    if path is None:
        return {}
    lines = [line for _, line in read_lines(tree, path, reading)]
    if lines and all(line.isdecimal() for line in lines):
        listed = find_list(lists, "test.txt")
        images = [image for _, image, _ in read_images(tree, listed, reading)] if listed else []
        if len(images) != len(lines):
            raise DataError(
                f"{posixpath.join(tree.name, path)} has {len(lines):,} classes for {len(images):,} "
                "images of test.txt; give each line its image"
            )
        return dict(zip(images, lines, strict=True))
    rows = read_images(tree, path, reading)
    return {image: numbers[0] for _, image, numbers in rows if numbers}
