"""Embeddings of a collection in one file, and the specimen index that is searched by them.

Names are imported when they are first used (PEP 562), so that embedding needs no search engine.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from herbzoo.index.embed import embed_collection
    from herbzoo.index.embedding_table import EmbeddingModel, EmbeddingTable
    from herbzoo.index.match import ImageMatches, Match
    from herbzoo.index.specimen_index import SpecimenIndex

_PUBLIC = {
    "EmbeddingModel": "herbzoo.index.embedding_table",
    "EmbeddingTable": "herbzoo.index.embedding_table",
    "ImageMatches": "herbzoo.index.match",
    "Match": "herbzoo.index.match",
    "SpecimenIndex": "herbzoo.index.specimen_index",
    "embed_collection": "herbzoo.index.embed",
}

__all__ = [
    "EmbeddingModel",
    "EmbeddingTable",
    "ImageMatches",
    "Match",
    "SpecimenIndex",
    "embed_collection",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'herbzoo.index' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """Lists the public names, imported or not."""
    return __all__
