"""What a backbone and a head must offer, without importing torch.

Plugins do not import this module: they satisfy the protocols by shape alone, which is what lets
their files travel to the Hub beside the model. `herbzoo.conformance` checks the shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

KINDS = ("backbones", "heads")
"""The two kinds of plugin; the entry-point groups are `herbzoo.backbones` and `herbzoo.heads`."""


@dataclass(frozen=True)
class PartSpec:
    """A part by name with its options, as config.json stores it."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns the plain dict that `HerbConfig` holds."""
        return {"name": self.name, "options": dict(self.options)}


@dataclass(frozen=True)
class ImageSpec:
    """How a backbone wants its images: what `Backbone.image_spec()` returns, checked."""

    size: tuple[int, int]
    """Height and width in pixels."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"
    crop_pct: float = 1.0
    """Share of the image the weights were evaluated on; whole sheets are never cropped by it."""

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any]) -> ImageSpec:
        """Reads the plain dict that crosses the plugin border."""
        size = spec["size"]
        height, width = (size, size) if isinstance(size, int) else size
        return cls(
            size=(int(height), int(width)),
            mean=_three(spec["mean"]),
            std=_three(spec["std"]),
            interpolation=str(spec.get("interpolation", "bicubic")),
            crop_pct=float(spec.get("crop_pct", 1.0)),
        )


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)


@dataclass(frozen=True)
class LabelFacts:
    """What a label-aware head may know of its classes, in class order."""

    names: Sequence[str]
    """Scientific names without authorship."""
    authorships: Sequence[str] = ()
    genera: Sequence[str] = ()
    families: Sequence[str] = ()
    counts: Sequence[int] = ()
    """Training images of each class; empty where there was no training."""
    synonyms: Sequence[Sequence[str]] = ()
    """Other names of each taxon."""
    vernaculars: Sequence[str] = ()
    """Common names."""
    traits: Sequence[str] = ()
    """What each taxon looks like, in words."""


@runtime_checkable
class Backbone(Protocol):
    """An `nn.Module` from images to pooled features; the constructor never downloads."""

    out_features: int

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Maps `[B, 3, H, W]` to `[B, out_features]`."""
        ...

    def load_pretrained(self) -> None:
        """Loads pretrained weights in place; called once, by `herbzoo.build`."""
        ...

    def image_spec(self) -> dict[str, Any]:
        """Returns size, mean, std, interpolation and crop_pct."""
        ...


@runtime_checkable
class Head(Protocol):
    """An `nn.Module` from embeddings to scores and a loss; class vectors live in it.

    It is constructed as `Head(in_features, num_classes, **options)`.
    """

    def reset_parameters(self) -> None:
        """Initialises every parameter and buffer of the head itself."""
        ...

    def logits(self, embeddings: Tensor) -> Tensor:
        """Maps `[B, D]` to `[B, C]`; never sees labels."""
        ...

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Returns a scalar; margins, sampled classes and priors belong here."""
        ...


@runtime_checkable
class LabelAware(Protocol):
    """A head that is told which taxa its classes are: their names, or how common they are.

    One whose class vectors come from the names alone says so with an attribute
    `reads_names = True`: only such a head can be aimed at other taxa without training. If it has
    `encode_texts` and `encoder_key` too, `prepare` takes what encodes texts as a second argument.
    """

    def prepare(self, labels: LabelFacts) -> None:
        """Aims the head at these classes, whose number may differ from before."""
        ...

    def refresh(self) -> None:
        """Recomputes cached class vectors."""
        ...


@runtime_checkable
class SparselyTrained(Protocol):
    """A head of which a training step touches a few class vectors only.

    What it names gets sparse gradients in training (`torch.nn.functional.embedding` with
    `sparse=True`). `HerbTrainer` updates just those rows, and DDP leaves them alone: among several
    processes the head itself must see to it that all have the same gradient.
    """

    def sparse_parameters(self) -> list[str]:
        """Returns the names of these parameters; none where all gradients are dense."""
        ...


@runtime_checkable
class Extensible(Protocol):
    """A head that scores by class means of embeddings, and takes new classes without training."""

    def set_prototypes(self, embeddings: Tensor, labels: Tensor) -> None:
        """Scores by the class means of `[N, D]` with class indices `[N]` from now on."""
        ...

    def add_classes(self, prototypes: Tensor) -> None:
        """Adds a class for each of `[N, D]`."""
        ...
