"""Features of a made-up flora, in which every sheet looks like its species."""

from __future__ import annotations

from dataclasses import replace
from zlib import crc32

import numpy as np
import pandas as pd
from PIL import Image
from tiny import collection_of

from herbzoo.curation.features import Features
from herbzoo.data.records import HERBARIUM
from herbzoo.index.embedding_table import EmbeddingModel

WIDTH = 24
FLORA = {
    "Rosaceae": {"Rosa": ("alba", "canina", "gallica"), "Prunus": ("avium", "padus", "spinosa")},
    "Fagaceae": {"Quercus": ("robur", "petraea", "ilex"), "Fagus": ("sylvatica", "orientalis")},
}


class Squares:
    """Draws each key as a square of its own colours."""

    def open(self, key: str, size=None) -> Image.Image:
        generator = np.random.default_rng(crc32(key.encode()))
        small = generator.integers(0, 255, (6, 5, 3), dtype=np.uint8)
        return Image.fromarray(small).resize((60, 72))


def flora_features(sheets: int = 12, seed: int = 0, noise: float = 0.5, **sizes: int) -> Features:
    """Returns sheets of eleven species, each of a gathering of its own.

    Args:
        sheets: of each species.
        seed: of everything.
        noise: how much sheets of one species differ.
        **sizes: sheets of some species instead, by epithet.
    """
    generator = np.random.default_rng(seed)
    rows, values = [], []
    for family, genera in FLORA.items():
        for genus, epithets in genera.items():
            of_genus = 2.0 * generator.standard_normal(WIDTH)
            for epithet in epithets:
                mean = of_genus + generator.standard_normal(WIDTH)
                for number in range(sizes.get(epithet, sheets)):
                    values.append(mean + noise * generator.standard_normal(WIDTH))
                    rows.append(
                        {
                            "image": f"{epithet}{number}.png",
                            "scientificName": f"{genus} {epithet}",
                            "genus": genus,
                            "family": family,
                            "basisOfRecord": HERBARIUM,
                            "recordedBy": "Lindqvist",
                            "recordNumber": str(len(rows) + 100),
                            "eventDate": "1950-05-02",
                            "institutionCode": "HZ",
                            "catalogNumber": str(1000 + len(rows)),
                        }
                    )
    collection = collection_of(pd.DataFrame(rows), Squares())
    model = EmbeddingModel("a model", "", "", WIDTH)
    return Features(collection, np.asarray(values, dtype=np.float32), model)


def renamed(features: Features, names: dict[str, str]) -> Features:
    """Returns the same sheets, some under other names, by image."""
    frame = features.collection.frame.copy()
    facts = frame.drop_duplicates("scientificName").set_index("scientificName")
    for image, name in names.items():
        row = frame.index[frame["image"] == image][0]
        frame.loc[row, "scientificName"] = name
        frame.loc[row, "genus"] = name.split()[0]
        known = facts["family"].get(name) or _family(name, features)
        frame.loc[row, "family"] = known
    return replace(features, collection=replace(features.collection, frame=frame))


def _family(name: str, features: Features) -> str:
    frame = features.collection.frame
    same = frame.loc[frame["genus"] == name.split()[0], "family"]
    return str(same.iloc[0]) if len(same) else ""


def with_column(features: Features, column: str, values: dict[str, str]) -> Features:
    """Returns the same sheets with something more said of some, by image."""
    frame = features.collection.frame.copy()
    if column not in frame:
        frame[column] = ""
    for image, value in values.items():
        frame.loc[frame["image"] == image, column] = value
    return replace(features, collection=replace(features.collection, frame=frame))


def chosen(features: Features, rows: np.ndarray) -> Features:
    """Returns some of the sheets."""
    return replace(
        features, collection=features.collection.select(rows), values=features.values[rows]
    )
