"""The part under test: how to construct it, and what to feed it."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from herbzoo import registry
from herbzoo.errors import PluginError
from herbzoo.interfaces import ImageSpec, LabelAware, LabelFacts

IN_FEATURES = 32
FACTS = LabelFacts(
    names=("Acer campestre", "Betula pendula", "Carex flacca", "Daphne mezereum", "Erica tetralix"),
    authorships=("L.", "Roth", "Schreb.", "L.", "L."),
    genera=("Acer", "Betula", "Carex", "Daphne", "Erica"),
    families=("Sapindaceae", "Betulaceae", "Cyperaceae", "Thymelaeaceae", "Ericaceae"),
    counts=(40, 20, 10, 5, 1),
)
OTHER_FACTS = LabelFacts(
    names=("Quercus robur", "Salix alba", "Tilia cordata"),
    authorships=("L.", "L.", "Mill."),
    genera=("Quercus", "Salix", "Tilia"),
    families=("Fagaceae", "Salicaceae", "Malvaceae"),
    counts=(3, 2, 1),
)
NUM_CLASSES = len(FACTS.names)


@dataclass(frozen=True)
class Subject:
    """A backbone or head class with the options it is tested under."""

    kind: str
    name: str
    part: type
    variant: tuple[str, ...]
    options: Mapping[str, Any]
    device: str
    """`cpu`, or `meta` for shapes alone."""
    _built: dict[int | str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What was constructed already, by seed or device, for constructing is the slow part."""

    @property
    def parameters(self) -> list[inspect.Parameter]:
        """The constructor's parameters that are options."""
        given = 2 if self.kind == "heads" else len(self.variant)
        return list(inspect.signature(self.part).parameters.values())[given:]

    def all_options(self) -> dict[str, Any]:
        """Returns every option, defaults spelt out, as it comes back from config.json."""
        defaults = {p.name: p.default for p in self.parameters if p.default is not p.empty}
        return json.loads(json.dumps({**defaults, **self.options}))

    def construct(self, device: str = "") -> Any:
        """Constructs the part anew, as for a saved model before its state is loaded."""
        sizes = (IN_FEATURES, NUM_CLASSES) if self.kind == "heads" else ()
        with torch.device(device or self.device):
            return self.part(*self.variant, *sizes, **self.all_options())

    def build(self, seed: int = 0) -> Any:
        """Returns a copy of the part for training: seeded, aimed at `FACTS` if it reads labels."""
        if seed not in self._built:
            torch.manual_seed(seed)
            part = self.construct()
            if self.kind == "heads" and isinstance(part, LabelAware):
                part.prepare(FACTS)
                part.refresh()
            self._built[seed] = part
        return copy.deepcopy(self._built[seed])

    def outline(self) -> Any:
        """Returns the part on the meta device, to be looked at and not changed."""
        if "meta" not in self._built:
            self._built["meta"] = self.construct("meta")
        return self._built["meta"]

    def inputs(self, batch: int = 4) -> Tensor:
        """Returns images `[B, 3, H, W]` for a backbone, embeddings `[B, D]` for a head."""
        if self.kind == "heads":
            return torch.randn(batch, IN_FEATURES, device=self.device)
        size = ImageSpec.from_dict(self.outline().image_spec()).size
        return torch.randn(batch, 3, *size, device=self.device)

    def outputs(self, part: nn.Module, inputs: Tensor) -> Tensor:
        """Returns features `[B, D]` of a backbone, logits `[B, C]` of a head."""
        return part.logits(inputs) if self.kind == "heads" else part(inputs)  # type: ignore[operator]


def subject_of(
    kind: str, part: str | type, options: Mapping[str, Any], device: str = "cpu"
) -> Subject:
    """Returns the subject behind a name or class.

    Raises:
        PluginError: the name cannot be loaded, or the part has no such option.
    """
    named = isinstance(part, str)
    name = part if isinstance(part, str) else part.__name__
    variant = (name.partition(":")[2],) if named and ":" in name else ()
    loaded = registry.load(kind, part) if isinstance(part, str) else part
    subject = Subject(kind, name, loaded, variant, options, device)
    known = [parameter.name for parameter in subject.parameters]
    unknown = [option for option in options if option not in known]
    if unknown:
        has = ", ".join(known) if known else "none"
        raise PluginError(f"{name!r} has no option {', '.join(map(repr, unknown))}; it has {has}")
    return subject
