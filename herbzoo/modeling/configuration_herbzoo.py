"""The configuration of a herbzoo model: three parts by name, every option spelt out."""

# No `from __future__ import annotations` here: transformers checks the types of these fields only
# where the annotations are real types.

from dataclasses import field
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

SCHEMA_VERSION = 2
"""What this code reads; 2 has `class_map` and `stacking`. A model without is written as 1."""
MAX_LABELS_IN_CONFIG = 50_000


@strict
class HerbConfig(PreTrainedConfig):
    """Names of the parts and their options, never import paths.

    Args:
        backbone: `{"name", "options"}` of the part from image to features.
        neck: `{"name", "options"}` of the part from features to embedding: `identity` or
            `linear_bn`.
        head: `{"name", "options"}` of the part from embedding to scores and loss.
        num_classes: number of taxa that the model answers with. It stands apart from `num_labels`,
            which transformers derives from `id2label`, because `id2label` is written only up to
            50,000 classes (it would make config.json 61 MB at 500,000); `taxonomy.json` is the
            source of truth.
        class_map: where classes were renamed or lumped after training, the output class of each
            class of the head, -1 for one that is dropped; probabilities of classes that became one
            add up. The head then has `len(class_map)` classes. `None`: the head's are the output's.
        stacking: whether scores on field photos have an offset for each class; see
            `stacking_herbzoo.CalibratedStacking`.
        requires: `{"backbones" | "heads": {"distribution", "version"}}`: where each part came from.
        schema_version: of this file's layout.
    """

    model_type = "herbzoo"
    keys_to_ignore_at_inference = ["embeddings"]  # noqa: RUF012 - as transformers types it

    backbone: dict[str, Any] = field(default_factory=dict)
    neck: dict[str, Any] = field(default_factory=lambda: {"name": "identity", "options": {}})
    head: dict[str, Any] = field(default_factory=dict)
    num_classes: int = 2
    class_map: list[int] | None = None
    stacking: bool = False
    requires: dict[str, dict[str, str]] = field(default_factory=dict)
    schema_version: int = 1

    def __post_init__(self, **kwargs: Any) -> None:
        if self.schema_version > SCHEMA_VERSION:
            raise ValueError(
                f"this model was written in config schema {self.schema_version}, and this herbzoo "
                f"reads up to {SCHEMA_VERSION}: pip install --upgrade herbzoo"
            )
        if self.class_map is not None or self.stacking:
            self.schema_version = SCHEMA_VERSION
        if self.class_map is not None:
            reached = set(self.class_map) - {-1}
            if reached != set(range(self.num_classes)):
                raise ValueError(
                    f"class_map must reach each of the {self.num_classes} classes and no other, "
                    "or be -1"
                )
        kwargs.setdefault("num_labels", len(self.id2label) if self.id2label else self.num_classes)
        super().__post_init__(**kwargs)

    @property
    def head_classes(self) -> int:
        """Classes of the head, of which several may be one class of the output."""
        return self.num_classes if self.class_map is None else len(self.class_map)

    def to_dict(self) -> dict[str, Any]:
        """Returns the plain dict of config.json; labels only up to 50,000 classes.

        Where this class comes from an installed herbzoo, `auto_map` is left out: it names code
        that is written beside the weights only when a model is published, or when the copy of this
        class that came with the weights is saved again.
        """
        plain = super().to_dict()
        if self._auto_class is None:
            plain.pop("auto_map", None)
        if self.num_classes > MAX_LABELS_IN_CONFIG:
            plain.pop("id2label", None)
            plain.pop("label2id", None)
        return plain
