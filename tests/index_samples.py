"""Files of embeddings as `herbzoo embed` writes them, of made-up sheets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from herbzoo.data.records import COLUMNS
from herbzoo.index import EmbeddingModel
from herbzoo.index.embedding_table import as_column, schema_of

MODEL = EmbeddingModel("runs/leaves", "", "a" * 64, 8)
GENERA = {"Quercus": "Fagaceae", "Fagus": "Fagaceae", "Acer": "Sapindaceae"}


def sheets(count: int, *, first: int = 0, width: int = 8, seed: int = 0) -> dict[str, list]:
    """Returns columns of sheets, alike within their species, and their vectors under `embedding`.

    Sheet `n` is `sheets/n.jpg`; its species is one of six, its institution NY or K or blank.
    """
    rng = np.random.default_rng(seed)
    names = [f"{genus} {epithet}" for genus in GENERA for epithet in ("alba", "rubra")]
    centres = np.random.default_rng(7).standard_normal((len(names), width))
    number = np.arange(first, first + count)
    species = number % len(names)
    vectors = centres[species] + 0.3 * rng.standard_normal((count, width))
    genus = [names[one].split()[0] for one in species]
    return {
        "image": [f"sheets/{one}.jpg" for one in number],
        "scientificName": [names[one] for one in species],
        "genus": genus,
        "family": [GENERA[one] for one in genus],
        "occurrenceID": [f"urn:sheet:{one}" for one in number],
        "catalogNumber": [f"{one:05}" for one in number],
        "institutionCode": [("NY", "K", "")[one % 3] for one in number],
        "year": [str(1800 + one % 200) for one in number],
        "embedding": vectors.astype(np.float32),
    }


def write(path: Path, columns: dict[str, list], model: EmbeddingModel = MODEL) -> Path:
    """Writes columns to a file of embeddings; what is missing is blank."""
    rows = len(columns["image"])
    schema = schema_of([*COLUMNS, *(n for n in columns if n not in (*COLUMNS, "embedding"))], model)
    arrays = [
        as_column(columns["embedding"])
        if name == "embedding"
        else pa.array(columns.get(name, [""] * rows), pa.string())
        for name in schema.names
    ]
    pq.write_table(pa.table(arrays, schema=schema), path)
    return path
