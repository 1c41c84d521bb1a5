"""What the metadata of the Kaggle Herbarium competitions calls things, year by year.

Sources: https://github.com/visipedia/herbarium_comp (2019 to 2022) and
https://github.com/dpl10/NAFlora-1M (2022), with what the files hold where they differ from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ID = int | str
"""Numbers in most files, text in the test sets and in that of 2022."""

FIELDS: Mapping[str, Mapping[str, tuple[Any, tuple[str, ...]]]] = {
    "images": {
        "image": (ID, ("image_id", "id")),
        "file_name": (str, ("file_name",)),
        "license": (ID, ("license", "license_id")),
    },
    "annotations": {
        "image": (ID, ("image_id",)),
        "category": (ID, ("category_id",)),
        "institution": (ID, ("institution_id",)),
        "region": (ID, ("region_id",)),
    },
    "categories": {
        "category": (ID, ("category_id", "id")),
        "scientificName": (str, ("scientificName", "name")),
        "scientificNameAuthorship": (str, ("authors",)),
        "family": (str, ("family",)),
        "order": (str, ("order",)),
        "genus": (str, ("genus",)),
    },
    "institutions": {
        "institution": (ID, ("institution_id", "id")),
        "institutionCode": (str, ("collectionCode", "name")),
    },
    "regions": {"region": (ID, ("id", "region_id")), "name": (str, ("name",))},
    "licenses": {"license": (ID, ("id",)), "name": (str, ("name",)), "url": (str, ("url",))},
    "genera": {"genus_id": (ID, ("genus_id",)), "genus": (str, ("genus",))},
    "distances": {
        "genus_x": (int, ("genus_id_x",)),
        "genus_y": (int, ("genus_id_y",)),
        "distance": (float, ("distance",)),
    },
}
"""For each list of a file and each of our fields: its type, and the keys it may go by."""

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "images": ("image", "file_name"),
    "annotations": ("image", "category"),
    "categories": ("category", "scientificName"),
}
"""Fields without which a record is of no use."""

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "licenses": ("licenses", "license"),
    "images": ("images", ""),
}
"""Lists that go by more than one name: 2022 calls its licences `license`, where its documentation
says `licenses`, and its test metadata is the list of images itself."""


@dataclass(frozen=True)
class Year:
    """One competition."""

    year: str
    told_by: frozenset[str]
    """A list that only this year's training metadata has; the first year that fits is it."""
    constants: Mapping[str, str] = field(default_factory=dict)
    """What is true of every image, though the files do not say it."""
    encoding: str = "utf-8"
    """How names that are not UTF-8 are encoded."""


HERBARIUM_2020 = Year("2020", frozenset({"regions"}), {"institutionCode": "NY"}, "latin-1")
"""The names of 2020 are in Latin-1, and all its sheets are those of New York."""
YEARS = (
    Year("2022", frozenset({"genera", "distances"})),
    Year("2021", frozenset({"institutions"})),
    HERBARIUM_2020,
)
UNKNOWN = Year("", frozenset())
"""Metadata of the same form that is of none of these years."""
FOLDERS_2019 = Year("2019", frozenset(), {"institutionCode": "NY", "family": "Melastomataceae"})
"""Folders without metadata; the competition was of one family, in one herbarium."""

CATEGORIES_2019 = 683

METADATA = (
    ("train_metadata.json", "train"),
    ("test_metadata.json", "test"),
    ("train/metadata.json", "train"),
    ("test/metadata.json", "test"),
    ("nybg2020/train/metadata.json", "train"),
    ("nybg2020/test/metadata.json", "test"),
    ("h22-train/metadata.json", "train"),
    ("h22-test/metadata.json", "test"),
)
"""Where the metadata lie in what Kaggle serves, and the split that they describe."""

IMAGE_FOLDERS = ("", "{split}_images/", "h22-{split}/images/", "images/", "{split}/images/")
"""Where images may lie, relative to their metadata; the first that has some of them."""

SPLIT_FOLDERS_2019 = {
    "small-train": "train",
    "small-validation": "validation",
    "small-test": "test",
    "train": "train",
    "validation": "validation",
    "test": "test",
}
"""Folders of 2019, full and small; the small set is read where both are there."""
NAME_TABLES_2019 = {
    "category": ("category_id", "category", "id", "class"),
    "scientificName": ("scientificName", "scientific_name", "species", "name"),
}
"""Columns of a CSV beside the folders that names their categories; what was released has none."""
