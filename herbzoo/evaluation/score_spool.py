"""Scores laid into a temporary file, lest the images be looked at twice."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

CHUNK = 256
"""Rows that are read together."""


class ScoreSpool:
    """Takes scores a batch at a time, and gives them back as often as wanted; used in a `with`.

    Args:
        classes: `C`.
    """

    def __init__(self, classes: int) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._classes = classes
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def append(self, logits: Tensor) -> None:
        """Adds `[B, C]`, kept as float32."""
        self._file.write(logits.float().cpu().contiguous().numpy().tobytes())
        self._rows += len(logits)

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yields which rows, and their scores `[B, C]`, float32, in the order they came in."""
        if not self._rows:
            return
        self._file.flush()
        table = np.memmap(self._file, np.float32, "r", shape=(self._rows, self._classes))
        for start in range(0, self._rows, CHUNK):
            part = slice(start, min(start + CHUNK, self._rows))
            yield part, torch.from_numpy(np.array(table[part]))

    def __enter__(self) -> ScoreSpool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
