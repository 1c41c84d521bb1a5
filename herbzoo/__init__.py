"""herbzoo: a plugin-based model zoo for recognising plants from herbarium specimens.

Importing it is cheap: torch and transformers are loaded when a name that needs them is used. It
also makes the transformers Auto classes know herbzoo models, whatever is imported first.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from herbzoo import _autoregister

if TYPE_CHECKING:
    from herbzoo.inference import Identifier
    from herbzoo.modeling.configuration_herbzoo import HerbConfig
    from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification, HerbModel
    from herbzoo.modeling.zero_shot_herbzoo import HerbForZeroShotImageClassification
    from herbzoo.recipe import Recipe
    from herbzoo.training import TrainResult, train

__version__ = "0.1.0"

_PUBLIC = {
    "HerbConfig": "herbzoo.modeling.configuration_herbzoo",
    "HerbForImageClassification": "herbzoo.modeling.modeling_herbzoo",
    "HerbForZeroShotImageClassification": "herbzoo.modeling.zero_shot_herbzoo",
    "HerbModel": "herbzoo.modeling.modeling_herbzoo",
    "Identifier": "herbzoo.inference",
    "Recipe": "herbzoo.recipe",
    "TrainResult": "herbzoo.training",
    "train": "herbzoo.training",
}

__all__ = [
    "HerbConfig",
    "HerbForImageClassification",
    "HerbForZeroShotImageClassification",
    "HerbModel",
    "Identifier",
    "Recipe",
    "TrainResult",
    "__version__",
    "train",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'herbzoo' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """Lists the public names, imported or not."""
    return __all__


_autoregister.install()
