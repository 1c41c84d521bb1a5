"""Vectors by number on disk, written and read in any order, in little memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np


class VectorScratch:
    """A temporary file of float32 vectors of one width; it is gone when closed, or when killed.

    Args:
        dimension: width of a vector.
        folder: where it may grow; the system's place for such files if not given.
    """

    def __init__(self, dimension: int, folder: Path | None = None) -> None:
        self.dimension = dimension
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed in __exit__

    def __enter__(self) -> VectorScratch:
        """Returns itself, empty."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the file, which deletes it."""
        self._file.close()

    def write(self, numbers: np.ndarray, vectors: np.ndarray) -> None:
        """Keeps vectors `[B, D]` under numbers `[B]`; the last one of a number counts."""
        for start, end in _runs(numbers):
            self._file.seek(int(numbers[start]) * self.dimension * 4)
            self._file.write(np.ascontiguousarray(vectors[start:end], dtype=np.float32).data)

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """Returns the vectors kept under numbers `[B]`, as `[B, D]`."""
        found = np.empty((len(numbers), self.dimension), np.float32)
        for start, end in _runs(numbers):
            self._file.seek(int(numbers[start]) * self.dimension * 4)
            length = (end - start) * self.dimension * 4
            found[start:end].reshape(-1).view(np.uint8)[:] = np.frombuffer(
                self._file.read(length), np.uint8
            )
        return found


def _runs(numbers: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields where consecutive numbers start and end, so that each run is one access."""
    if not len(numbers):
        return
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    yield from zip([0, *breaks.tolist()], [*breaks.tolist(), len(numbers)], strict=True)
