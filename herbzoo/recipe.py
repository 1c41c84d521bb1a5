"""A recipe: everything that decides a training run, as frozen dataclasses and as YAML.

Flags win over `--set`, `--set` over the recipe file, the file over the defaults here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml

from herbzoo.errors import RecipeError
from herbzoo.interfaces import PartSpec
from herbzoo.recipe_files import find_recipe, read_yaml
from herbzoo.recipe_values import construct
from herbzoo.whole_file import write_whole

SCHEMA_VERSION = 1
FILE_NAME = "recipe.yaml"
DEFAULT_NECK = "linear_bn"
PARTS = ("backbone", "neck", "head")
RANGES = {
    "seed": (0, math.inf),
    "image.augment": (0, 4),
    "image.zoom": (0, 1),
    "image.recolour": (0, 8),
    "image.mask_share": (0, 1),
    "training.epochs": (0, math.inf),
    "training.max_steps": (0, math.inf),
    "training.backbone_lr_scale": (0, math.inf),
    "training.layer_decay": (0, 1),
    "training.weight_decay": (0, math.inf),
    "training.head_epochs": (0, math.inf),
    "training.patience": (0, math.inf),
    "training.stacking_species": (0, math.inf),
    "training.stacking_rounds": (1, math.inf),
}
"""Least and most of what a recipe may ask for, ends included; beyond, views cannot be drawn."""


@dataclass(frozen=True)
class PartRecipe:
    """A backbone, neck or head by name."""

    bare: ClassVar[bool] = True
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    """The plugin's own options; `herbzoo list` and `herbzoo plugin check` show them."""
    pretrained: bool = True
    """Start from pretrained weights, where the part has any."""

    @property
    def spec(self) -> PartSpec:
        """Name and options, as the model's config stores them."""
        return PartSpec(self.name, self.options)


@dataclass(frozen=True)
class DataRecipe:
    """Which rows to learn from."""

    bare: ClassVar[bool] = True
    source: str = "synthetic"
    """A folder, file, Hub dataset id, or `synthetic`: what `--data` takes."""
    split_column: str = ""
    """Column with train, validation and test; '' for `split` if there is one, else at random."""
    name_column: str = ""
    """Column with the scientific name, where it is not found by itself."""
    validation_share: float = 0.1
    """Share of the training specimens to validate on, where the data mark none."""
    test_share: float = 0.2
    """Share of the specimens to test on, where the data mark none."""
    group_by: list[str] = field(default_factory=list)
    """Columns to report the metrics by as well."""
    skip_bad: bool = False
    """Leave out rows and images that cannot be read, and list them, instead of refusing all."""
    streaming: bool = False
    """Read a Hub data set as it is needed, instead of downloading it first."""
    taxonomy: str = ""
    """Table of accepted names and synonyms (WFO, WCVP, GBIF, LCVP) to resolve names with."""
    traits: str = ""
    """Table with `scientificName` and `traits` or `vernacularName`, for heads that read names."""
    corrections: str = ""
    """Decisions about names (`decisions.csv` of a review) to apply before learning."""


@dataclass(frozen=True)
class ImageRecipe:
    """What the model sees."""

    size: int | list[int] = 0
    """Pixels, a side or [height, width]; 0 for the backbone's own. Sheets do well at a portrait."""
    augment: float = 1.0
    """Strength of the random views in training; 0 for none."""
    zoom: float = 0.0
    """Share of the training views that are cropped to the plant."""
    any_way_up: bool = False
    """Turn training views by quarter turns too: loose leaves have no upright, sheets do."""
    recolour: float = 0.0
    """How far colours stray in training views, from pressed to living; 0 for light alone."""
    mask: list[str] = field(default_factory=list)
    """Zones of a sheet to hide in training: label, barcode, colour_card, border."""
    mask_share: float = 1.0
    """Share of the training views in which they are hidden."""


@dataclass(frozen=True)
class OptimRecipe:
    """How to learn."""

    epochs: float = 10.0
    max_steps: int = 0
    """Optimiser steps; 0 leaves it to `epochs`."""
    batch_size: int = 32
    accumulate: int = 1
    """Batches whose gradients are added up to one step."""
    lr: float = 2e-3
    """Peak learning rate of neck and head."""
    sparse_lr: float = 2.0
    """Learning rate of class vectors with sparse gradients, which plain SGD updates."""
    backbone_lr_scale: float = 0.25
    """Learning rate of the backbone's last block, relative to `lr`."""
    layer_decay: float = 0.9
    """Factor from each block of the backbone to the one below it."""
    weight_decay: float = 0.05
    warmup_share: float = 0.05
    """Share of the steps over which learning rates rise, to fall along a cosine."""
    head_epochs: float = 1.0
    """Epochs at the start in which the backbone is held and the head finds its place."""
    freeze_backbone: bool = False
    """Never train the backbone: compute its features once and train neck and head on them."""
    feature_views: int = 4
    """With a frozen backbone, how many random views of each training image to keep."""
    patience: int = 0
    """Stop after this many epochs without a better validation top-1; 0 to run to the end."""
    grad_clip: float = 1.0
    sampling: Literal["shuffle", "class_balanced", "square_root", "domain_paired"] = "shuffle"
    """In what proportion species and domains are drawn."""
    discriminant: bool = False
    """Set neck and class vectors in closed form after the last step, by linear discriminants."""
    stacking_species: int = 0
    """Species that are withheld to learn how much to favour those without images; 0 favours none.
    Needs `discriminant`."""
    stacking_withholds: Literal["photos", "species"] = "photos"
    """`photos`: the field photos of some species, in favour of species without any, on such photos.
    `species`: all images, in favour of species that a head knows by name alone."""
    stacking_rounds: int = 3
    """Times other species are withheld; one with a trained backbone, which must not see them."""
    checkpoint_minutes: float = 10.0
    """Also save within an epoch when this much time has passed."""
    log: Literal["tensorboard", "trackio", "none"] = "tensorboard"


@dataclass(frozen=True)
class Recipe:
    """A training run.

    Parts may be given as bare names, data as a bare source, and every group as a plain dict:
    `Recipe(backbone="efficientnet_lite0", head="softmax", data="leaves/", training={"epochs": 3})`.
    """

    backbone: PartRecipe
    head: PartRecipe
    data: DataRecipe = field(default_factory=DataRecipe)
    output: str = ""
    """The run folder; '' for `runs/<backbone>-<head>`."""
    neck: PartRecipe = field(default_factory=lambda: PartRecipe(DEFAULT_NECK))
    image: ImageRecipe = field(default_factory=ImageRecipe)
    training: OptimRecipe = field(default_factory=OptimRecipe)
    seed: int = 0
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        """Accepts bare names for parts, a bare source for data, and dicts for groups.

        Raises:
            RecipeError: if a value is outside what makes sense.
        """
        kinds = {"backbone": PartRecipe, "neck": PartRecipe, "head": PartRecipe, "data": DataRecipe}
        for key, kind in {**kinds, "image": ImageRecipe, "training": OptimRecipe}.items():
            value = getattr(self, key)
            if isinstance(value, str | Path) and key in kinds:
                object.__setattr__(self, key, kind(str(value)))
            elif isinstance(value, Mapping):
                object.__setattr__(self, key, construct(kind, value, f"{key}."))
        if not self.output:
            name = f"{self.backbone.name}-{self.head.name}".replace(":", "-")
            object.__setattr__(self, "output", str(Path("runs") / name))
        _check_ranges(self)
        steps, data = self.training, self.data
        shares = (data.validation_share, data.test_share, steps.warmup_share)
        if not all(0 <= share < 1 for share in shares):
            raise RecipeError(f"shares must be at least 0 and below 1, not {shares}")
        if min(steps.batch_size, steps.accumulate, steps.feature_views) < 1:
            raise RecipeError("batch_size, accumulate and feature_views must be at least 1")
        closed = steps.discriminant and steps.freeze_backbone  # can do without gradient steps
        if steps.epochs <= 0 and steps.max_steps <= 0 and not closed:
            raise RecipeError("either epochs or max_steps must be above 0")
        if closed and (steps.epochs > 0 or steps.max_steps > 0):
            raise RecipeError(
                "training.discriminant replaces all that steps with a held backbone learn: set "
                "training.epochs=0, or training.freeze_backbone=false to tune the backbone first"
            )
        if steps.stacking_species and not steps.discriminant:
            raise RecipeError("training.stacking_species needs training.discriminant")
        if not 0 < steps.lr < math.inf:
            raise RecipeError(f"lr must be above 0, not {steps.lr}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Makes a recipe of nested plain values.

        Raises:
            RecipeError: on an unknown key, a missing part, or a value of the wrong type.
        """
        version = values.get("schema_version", SCHEMA_VERSION)
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise RecipeError(
                f"the recipe has schema {version}, this herbzoo reads up to {SCHEMA_VERSION}: "
                "pip install --upgrade herbzoo"
            )
        for part in ("backbone", "head"):
            if not _name(values.get(part)):
                raise RecipeError(f"the recipe names no {part}: give --{part} NAME")
        neck = values.get("neck")
        if isinstance(neck, Mapping):  # options alone will do: --set neck.embedding_size=128
            values = {**values, "neck": {"name": DEFAULT_NECK, **neck}}
        return construct(cls, values, "")

    def to_dict(self) -> dict[str, Any]:
        """Returns nested plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """Reads a recipe file."""
        return cls.from_dict(read_yaml(path))

    def save(self, folder: Path) -> None:
        """Writes `recipe.yaml`."""
        text = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
        write_whole(folder / FILE_NAME, text)


def compose(recipe: str | Path | None, settings: Sequence[str], flags: Mapping[str, Any]) -> Recipe:
    """Combines a recipe file, `--set key=value` settings and command line flags.

    Args:
        recipe: a file, the name of a shipped recipe, or `None`.
        settings: `training.lr=0.01`, `head.options.margin=0.5`; `head.margin=0.5` for short.
        flags: dotted keys to values; `None` means not given.

    Raises:
        RecipeError: on anything that does not fit.
    """
    values = read_yaml(find_recipe(str(recipe))) if recipe else {}
    parts = {key: value for key, value in flags.items() if key in PARTS and value is not None}
    for key, value in parts.items():  # first, as settings may be about the options of these parts
        _assign(values, key, value)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise RecipeError(f"--set takes key=value, not {setting!r}")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RecipeError(f"--set {setting}: the value is no YAML") from error
        _assign(values, key.strip(), value)
    for key, value in flags.items():
        if value is not None:
            _assign(values, key, value)
    return Recipe.from_dict(values)


def _assign(values: dict[str, Any], key: str, value: Any) -> None:
    """Sets a dotted key; an unknown key of a part is one of the part's own options."""
    path = key.split(".")
    known = {"name", "options", "pretrained"}
    if len(path) == 2 and path[0] in PARTS and path[1] not in known:
        path = [path[0], "options", path[1]]
    inner = values
    for step in path[:-1]:
        if isinstance(inner.get(step), str):
            inner[step] = {"source" if step == "data" else "name": inner[step]}
        inner = inner.setdefault(step, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"{key!r} cannot be set: {step!r} holds no keys")
    if path[-1] not in PARTS or not isinstance(value, str):
        inner[path[-1]] = value
        return
    before = inner.get(path[-1])
    if isinstance(before, dict) and before.get("name", value) == value:
        before["name"] = value
    else:  # another part has other options
        inner[path[-1]] = {"name": value}


def _check_ranges(recipe: Recipe) -> None:
    for key, (least, most) in RANGES.items():
        value = attrgetter(key)(recipe)
        if not least <= value <= most:
            wanted = f"at least {least}" if most == math.inf else f"from {least} to {most}"
            raise RecipeError(f"{key} must be {wanted}, not {value}")


def _name(part: Any) -> Any:
    return part.get("name") if isinstance(part, Mapping) else part
