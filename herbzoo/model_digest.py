"""Digests of models: equal only where what is computed is the same."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from herbzoo.interfaces import ImageSpec

if TYPE_CHECKING:
    from hashlib import _Hash

    from torch import nn

    from herbzoo.modeling.modeling_herbzoo import HerbModel


def add_weights(digest: _Hash, part: nn.Module) -> None:
    """Adds the names and values of a part's weights and saved buffers to a digest."""
    for name, tensor in sorted(part.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())


def embedding_digest(model: HerbModel, spec: ImageSpec, neck: bool = True) -> str:
    """Returns a SHA-256 over all that decides embeddings, or features if without the neck.

    It covers backbone and neck, options and weights, and the preprocessing. The head is not in it:
    models that differ in their head alone give the same embeddings.
    """
    parts = ("backbone", "neck") if neck else ("backbone",)
    options = {name: dict(getattr(model.config, name)) for name in parts} | {"image": repr(spec)}
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for name in parts:
        add_weights(digest, getattr(model, name))
    return digest.hexdigest()
