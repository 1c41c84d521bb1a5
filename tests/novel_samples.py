"""Specimens whose features are drawn from clouds: species near to those of their genus."""

from __future__ import annotations

import numpy as np
import pandas as pd

from herbzoo.curation.features import Features
from herbzoo.curation.known_specimens import Known, known_specimens
from herbzoo.data.records import COLUMNS, FIELD, HERBARIUM, Collection
from herbzoo.index.embedding_table import EmbeddingModel
from herbzoo.taxonomy import Taxonomy

WIDTH = 24
GENERA = ("Acer", "Betula", "Cornus", "Fagus", "Ilex", "Malus", "Quercus", "Rhus", "Salix", "Tilia")
EPITHETS = ("alba", "nigra", "rubra", "viridis")
MODEL = EmbeddingModel("runs/clouds", "", "0" * 64, WIDTH)


class Flora:
    """Four species of each of ten genera.

    Args:
        seed: decides where they lie.
        spread: of species around their genus, where specimens vary by 1.
        scale: of genera.
    """

    def __init__(self, seed: int = 0, spread: float = 2.5, scale: float = 6.0) -> None:
        rng = np.random.default_rng(seed)
        self.names = [f"{genus} {epithet}" for genus in GENERA for epithet in EPITHETS]
        genera = rng.normal(0, scale, (len(GENERA), WIDTH))
        apart = rng.normal(0, spread, (len(self.names), WIDTH))
        self._centres = dict(zip(self.names, genera.repeat(len(EPITHETS), 0) + apart, strict=True))

    def specimens(
        self, names: list[str], each: int, seed: int, domain: str = HERBARIUM, **columns: str
    ) -> Features:
        """Draws so many specimens of each species."""
        rng = np.random.default_rng(seed)
        rows = [name for name in names for _ in range(each)]
        values = [self._centres[name] + rng.normal(0, 1, WIDTH) for name in rows]
        frame = pd.DataFrame("", index=range(len(rows)), columns=list(COLUMNS))
        frame["image"] = [f"{seed}-{number}.jpg" for number in range(len(rows))]
        frame["scientificName"] = rows
        frame["genus"] = [name.split()[0] for name in rows]
        frame["basisOfRecord"] = domain
        for column, value in columns.items():
            frame[column] = value
        return features(frame, np.array(values))

    def known(self, names: list[str], each: int = 20, domain: str = HERBARIUM) -> Known:
        """Returns known specimens of species."""
        return known(self.specimens(names, each, 1, domain))


def features(frame: pd.DataFrame, values: np.ndarray) -> Features:
    return Features(Collection(frame, None, "clouds"), values.astype(np.float32), MODEL)


def known(rows: Features, held: np.ndarray | None = None) -> Known:
    return known_specimens(rows, Taxonomy.from_collection(rows.collection), held)


def joined(*parts: Features) -> Features:
    """Puts specimens one after the other."""
    frame = pd.concat([part.collection.frame for part in parts], ignore_index=True)
    frame["image"] = [f"{number}.jpg" for number in range(len(frame))]
    return features(frame, np.concatenate([part.values for part in parts]))


__all__ = ["FIELD", "HERBARIUM", "Flora", "features", "joined", "known"]
