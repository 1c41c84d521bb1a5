"""A result of some tensors, kept while they stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class KeptResult:
    """Computes a tensor anew only where what it is made of has changed, or is being trained."""

    def __init__(self) -> None:
        self._made_of: list[tuple[Tensor, int, torch.device, torch.dtype]] = []
        self._result: Tensor | None = None

    def of(self, tensors: Sequence[Tensor], compute: Callable[[], Tensor]) -> Tensor:
        """Returns what `compute` returns, or what it returned for these tensors as they are."""
        if torch.is_grad_enabled() or any(tensor.is_inference() for tensor in tensors):
            return compute()
        now = [(tensor, tensor._version, tensor.device, tensor.dtype) for tensor in tensors]
        same = len(now) == len(self._made_of) and all(
            new[0] is old[0] and new[1:] == old[1:]
            for new, old in zip(now, self._made_of, strict=True)
        )
        if self._result is None or not same:
            self._made_of, self._result = now, compute()
        return self._result

    def __getstate__(self) -> dict[str, object]:
        """Copies and pickles begin with nothing kept."""
        return {"_made_of": [], "_result": None}
