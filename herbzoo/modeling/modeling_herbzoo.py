"""herbzoo models: any backbone, a neck and any head as one `transformers.PreTrainedModel`.

This file imports torch, transformers and its own siblings only, so that it can travel to the Hub
beside the weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils.generic import ModelOutput

from .class_map_herbzoo import ClassMerge
from .configuration_herbzoo import HerbConfig
from .necks_herbzoo import NECKS
from .parts_herbzoo import PartError, UnknownPart, create
from .stacking_herbzoo import CalibratedStacking


@dataclass
class HerbOutput(ModelOutput):
    """What `HerbForImageClassification` returns."""

    loss: Tensor | None = None
    """Scalar, when labels were given."""
    logits: Tensor | None = None
    """`[B, C]`, uncalibrated."""
    embeddings: Tensor | None = None
    """`[B, D]`, after the neck, not normalised."""


class HerbPreTrainedModel(PreTrainedModel):
    """What every herbzoo model shares: how parts are constructed and initialised."""

    config_class = HerbConfig
    # Not "backbone": the loader would then swap our head's keys with timm's `backbone.head.*`.
    base_model_prefix = ""
    main_input_name = "pixel_values"
    accepts_loss_kwargs = False  # the Trainer then averages over accumulated batches itself

    config: HerbConfig
    backbone: Any
    backbone_held: bool
    neck: Any
    head: Any

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, source: str | os.PathLike, *args: Any, **kwargs: Any
    ) -> Any:
        """Loads as `PreTrainedModel.from_pretrained` does, but never weights that are a pickle."""
        return super().from_pretrained(source, *args, **{**kwargs, "use_safetensors": True})

    def _part(self, kind: str, spec: dict[str, Any], *sizes: int) -> nn.Module:
        try:
            return create(kind, spec, *sizes)
        except UnknownPart as error:
            source = self.config.requires.get(kind, {})
            if not source:
                raise
            raise PartError(
                f"this model needs {spec['name']!r} of {kind}, which came with "
                f"{source['distribution']} {source['version']}: pip install "
                f"{source['distribution']}"
            ) from error

    def _keep_own_initialisation(self, part: nn.Module) -> None:
        """Tells transformers that a part's constructor has initialised it already."""
        if any(tensor.is_meta for tensor in part.parameters()):
            return  # loading: there is nothing in it yet
        for module in part.modules():
            vars(module)["_is_hf_initialized"] = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # Reached on loading, for what the weights file left out. Non-persistent buffers are never
        # in it, and models are built on the meta device, so they would stay uninitialised memory.
        super()._init_weights(module)
        refill = getattr(module, "init_non_persistent_buffers", None)
        if refill is not None:
            refill()
        if module is getattr(self, "head", None):
            self.head.reset_parameters()


class HerbModel(HerbPreTrainedModel):
    """Image to embedding: backbone and neck. This is what `AutoModel` gives."""

    _keys_to_ignore_on_load_unexpected = [r"^head\.", r"^stacking\."]  # noqa: RUF012 - as transformers types it

    def __init__(self, config: HerbConfig) -> None:
        super().__init__(config)
        self.backbone = self._part("backbones", config.backbone)
        neck = NECKS[config.neck["name"]]
        self.neck = neck(self.backbone.out_features, **config.neck["options"])
        self.backbone_held = False
        self._keep_own_initialisation(self.backbone)
        self._keep_own_initialisation(self.neck)
        self.post_init()

    def hold_backbone(self, held: bool) -> None:
        """Stops or starts training the backbone; a held one also keeps its batch statistics."""
        self.backbone.requires_grad_(not held)
        self.backbone_held = held
        self.train(self.training)

    def train(self, mode: bool = True) -> HerbModel:
        """Switches between training and evaluation; a held backbone stays in evaluation."""
        super().train(mode)
        if self.backbone_held:
            self.backbone.eval()
        return self

    def embed(self, pixel_values: Tensor | None, features: Tensor | None = None) -> Tensor:
        """Maps images `[B, 3, H, W]`, or features `[B, F]` kept from them, to `[B, D]`."""
        return self.neck(self._features(pixel_values, features))

    def _features(self, pixel_values: Tensor | None, features: Tensor | None) -> Tensor:
        if (pixel_values is None) == (features is None):
            raise ValueError("give either pixel_values or features")
        return self.backbone(pixel_values) if features is None else features

    def forward(
        self,
        pixel_values: Tensor | None = None,
        features: Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling | tuple[Tensor, ...]:
        """Embeds a batch.

        Args:
            pixel_values: `[B, 3, H, W]`, normalised as `backbone.image_spec()` says.
            features: `[B, F]` of a frozen backbone, instead of images.
            return_dict: `False` for a plain tuple.
            **kwargs: ignored; the stock pipelines pass more than images.

        Returns:
            `pooler_output` `[B, D]`: the embedding after the neck, not normalised.
        """
        output = BaseModelOutputWithPooling(pooler_output=self.embed(pixel_values, features))
        return output.to_tuple() if return_dict is False else output


def _merge_of(config: HerbConfig) -> ClassMerge | None:
    return None if config.class_map is None else ClassMerge(config.class_map, config.num_classes)


class HerbForImageClassification(HerbModel):
    """Image to scores over the taxa of the head; the head owns the loss."""

    _keys_to_ignore_on_load_unexpected = []  # noqa: RUF012 - as transformers types it

    def __init__(self, config: HerbConfig) -> None:
        super().__init__(config)
        self.head = self._part("heads", config.head, self.neck.out_features, config.head_classes)
        self._keep_own_initialisation(self.head)
        self.merge = _merge_of(config)
        self.stacking: CalibratedStacking | None = None
        if config.stacking:
            self.add_stacking()
        # DDP cannot reduce sparse gradients everywhere: a head that has some reduces them itself.
        self._ddp_params_and_buffers_to_ignore = self.sparse_parameters()
        self.post_init()

    def add_stacking(self) -> CalibratedStacking:
        """Adds offsets that count on field photos, all zero at first, and returns them."""
        width = self.backbone.out_features
        self.stacking = CalibratedStacking(width, self.config.head_classes)
        self.config.stacking = True
        self.config.schema_version = max(2, self.config.schema_version)
        return self.stacking

    def sparse_parameters(self) -> list[str]:
        """Returns the names of the parameters whose gradients are sparse in training."""
        if self.merge is not None or not hasattr(self.head, "sparse_parameters"):
            return []
        return [f"head.{name}" for name in self.head.sparse_parameters()]

    def forward(  # type: ignore[override]  # one more argument
        self,
        pixel_values: Tensor | None = None,
        features: Tensor | None = None,
        return_dict: bool | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> HerbOutput | tuple[Tensor, ...]:
        """Scores a batch.

        Args:
            pixel_values: `[B, 3, H, W]`, normalised as `backbone.image_spec()` says.
            features: `[B, F]` of a frozen backbone, instead of images.
            return_dict: `False` for a plain tuple.
            labels: `[B]` class indices; with them the output has a loss. It is the head's own, or
                with a `class_map`, as that loss knows the old classes only, the cross-entropy of
                the merged logits.
            **kwargs: ignored; the stock pipelines pass more than images.
        """
        features = self._features(pixel_values, features)
        embeddings = self.neck(features)
        # In training nobody reads the scores, which cost as much again as the loss.
        unread = self.training and labels is not None
        output = HerbOutput(
            loss=None if labels is None else self._loss(embeddings, features, labels),
            logits=None if unread else self.score(embeddings, features),
            embeddings=embeddings,
        )
        return output.to_tuple() if return_dict is False else output

    def score(self, embeddings: Tensor, features: Tensor | None = None) -> Tensor:
        """Maps embeddings `[B, D]` to logits over the taxa of the model `[B, C]`.

        Args:
            embeddings: `[B, D]`.
            features: `[B, F]` they were made from; a model with stacking needs them.
        """
        logits = self.head.logits(embeddings)
        if self.stacking is not None:
            logits = self.stacking(logits, features)
        return logits if self.merge is None else self.merge(logits)

    def _loss(self, embeddings: Tensor, features: Tensor, labels: Tensor) -> Tensor:
        if self.merge is None:
            return self.head.loss(embeddings, labels)
        return F.cross_entropy(self.score(embeddings, features), labels)

    def retarget(self, labels: Any, encoded: Callable[[list[str]], Tensor] | None = None) -> None:
        """Aims a head that reads names at other taxa, without training.

        Args:
            labels: facts read by attribute: `names` and, where known, `genera`, `families`.
            encoded: encodes texts in place of the head, such as with a cache.

        Raises:
            TypeError: if the head does not read names.
        """
        if not getattr(self.head, "reads_names", False):
            raise TypeError(
                f"the head {self.config.head['name']!r} knows only the taxa it was trained on"
            )
        if encoded is None:
            self.head.prepare(labels)
        else:
            self.head.prepare(labels, encoded)
        self.config.class_map, self.config.schema_version, self.merge = None, 1, None
        self.config.stacking, self.stacking = False, None
        self.config.num_classes = len(labels.names)
        self.config.id2label = dict(enumerate(labels.names))
        self.config.label2id = {name: index for index, name in enumerate(labels.names)}

    def save_pretrained(self, save_directory: str | os.PathLike, *args: Any, **kwargs: Any) -> Any:
        """Saves weights and config, and the files a head needs to take new names."""
        result = super().save_pretrained(save_directory, *args, **kwargs)
        if hasattr(self.head, "save_assets"):
            self.head.save_assets(save_directory)
        return result

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, source: str | os.PathLike, *args: Any, **kwargs: Any
    ) -> Any:
        """Loads a model from a folder or the Hub, as `PreTrainedModel.from_pretrained` does."""
        loaded = super().from_pretrained(source, *args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        if hasattr(model.head, "load_assets"):
            places = ("cache_dir", "force_download", "local_files_only", "revision", "subfolder")
            known = {key: kwargs[key] for key in (*places, "token") if key in kwargs}
            model.head.load_assets(source, **known)
        return loaded
