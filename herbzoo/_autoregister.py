"""Makes the transformers Auto classes know herbzoo models, without importing transformers.

transformers has no entry points, so something must call `AutoConfig.register`, and calling it
means importing transformers, which takes seconds. This waits instead: a finder on `sys.meta_path`
notices when transformers' two auto modules are imported, and registers right after each.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

_CONFIGURATION = "transformers.models.auto.configuration_auto"
_MODELING = "transformers.models.auto.modeling_auto"


def _register_config(module: ModuleType) -> None:
    from herbzoo.modeling.configuration_herbzoo import HerbConfig

    module.AutoConfig.register(HerbConfig.model_type, HerbConfig, exist_ok=True)


def _register_models(module: ModuleType) -> None:
    from herbzoo.modeling.configuration_herbzoo import HerbConfig
    from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification, HerbModel
    from herbzoo.modeling.zero_shot_herbzoo import HerbForZeroShotImageClassification

    module.AutoModel.register(HerbConfig, HerbModel, exist_ok=True)
    module.AutoModelForImageClassification.register(
        HerbConfig, HerbForImageClassification, exist_ok=True
    )
    module.AutoModelForZeroShotImageClassification.register(
        HerbConfig, HerbForZeroShotImageClassification, exist_ok=True
    )


_AFTER: dict[str, Callable[[ModuleType], None]] = {
    _CONFIGURATION: _register_config,
    _MODELING: _register_models,
}


class _RegisteringLoader(importlib.abc.Loader):
    """Runs the original loader, then registers."""

    def __init__(self, original: importlib.abc.Loader, after: Callable[[ModuleType], None]) -> None:
        self._original = original
        self._after = after

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._original.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._original.exec_module(module)
        self._after(module)

    def __getattr__(self, name: str) -> object:
        return getattr(self._original, name)  # get_source and the like, which tracebacks use


class _AutoFinder(importlib.abc.MetaPathFinder):
    """Wraps the loaders of transformers' two auto modules, and of nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _AFTER:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader, _AFTER[fullname])
        return spec


def install() -> None:
    """Registers now with what is imported already, and waits for the rest."""
    for name, after in _AFTER.items():
        if name in sys.modules:
            after(sys.modules[name])
    if not any(isinstance(finder, _AutoFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AutoFinder())
