"""Rows of a collection as a torch dataset, and an order of them that survives an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from herbzoo.data.records import Collection
from herbzoo.data.transforms import Augment, Letterbox
from herbzoo.errors import ImageError
from herbzoo.taxonomy import Taxonomy

UNKNOWN = -1
"""Class index of a row whose species the model does not know."""


def class_indices(collection: Collection, taxonomy: Taxonomy) -> np.ndarray:
    """Returns the class index of each row, `UNKNOWN` where the taxonomy lacks its name."""
    names = collection.column("scientificName")
    return np.array([taxonomy.index.get(name, UNKNOWN) for name in names], dtype=np.int64)


@dataclass(frozen=True)
class Drawn:
    """A row asked for in a given epoch; with the seed it decides the augmentation."""

    row: int
    epoch: int


class EpochSampler(Sampler[Drawn]):
    """Every row once an epoch, in an order that seed and epoch alone decide.

    Args:
        rows: how many there are.
        seed: of the order.
        batch_size: of the loader. A last batch of one image has no variance to normalise by, so
            where there would be one, that row waits for another epoch.
    """

    def __init__(self, rows: int, seed: int, batch_size: int = 0) -> None:
        lonely = batch_size > 1 and rows > 1 and rows % batch_size == 1
        self.rows = rows
        self.length = rows - 1 if lonely else rows
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch; the Trainer calls it before each, also after a resume."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Returns the number of rows in an epoch."""
        return self.length

    def __iter__(self) -> Iterator[Drawn]:
        """Yields the rows of the current epoch."""
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.rows)
        return (Drawn(int(row), self.epoch) for row in order[: self.length])


@dataclass
class ImageRows(Dataset[dict[str, Tensor]]):
    """Decodes, letterboxes and, for training, augments one image at a time.

    A row is asked for by its position, or by a `Drawn` of `EpochSampler`.
    """

    collection: Collection
    letterbox: Letterbox
    labels: np.ndarray
    augment: Augment | None = None
    seed: int = 0
    _keys: list[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Takes the keys out of the frame, which is slow to index by row."""
        self._keys = self.collection.frame["image"].tolist()

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self._keys)

    def __getitem__(self, asked: int | Drawn) -> dict[str, Tensor]:
        """Returns `pixel_values` `[3, H, W]` and `labels` `[]`."""
        drawn = asked if isinstance(asked, Drawn) else Drawn(asked, 0)
        pixels = self._letterboxed(drawn.row)
        if self.augment is not None:
            seeds = np.random.SeedSequence((self.seed, drawn.epoch, drawn.row))
            pixels = self.augment(pixels, int(seeds.generate_state(1, np.uint64)[0] >> 1))
        return {
            "pixel_values": self.letterbox.normalise(pixels),
            "labels": torch.tensor(self.labels[drawn.row]),
        }

    def plain(self, row: int) -> Tensor:
        """Returns the pixel values of a row without augmentation, `[3, H, W]`."""
        return self.letterbox.normalise(self._letterboxed(row))

    def _letterboxed(self, row: int) -> Tensor:
        return self.letterbox(
            self.collection.images.open(self._keys[row], self.letterbox.spec.size)
        )


@contextmanager
def image_errors_in_one_line() -> Iterator[None]:
    """Undoes what a loader's worker process makes of an error: its whole traceback as a message.

    Raises:
        ImageError: with the message it had in the worker, and what to do.
    """
    try:
        yield
    except ImageError as error:
        last = str(error).strip().splitlines()[-1]
        reason = last.removeprefix(f"{ImageError.__module__}.{ImageError.__qualname__}: ")
        raise ImageError(f"{reason} - repair the file or take its row out of the data") from error


@dataclass
class FeatureRows(Dataset[dict[str, Tensor]]):
    """Features of a frozen backbone, kept instead of images: `[views, N, F]`."""

    features: Tensor
    labels: np.ndarray

    def __len__(self) -> int:
        """Returns the number of rows."""
        return self.features.shape[1]

    def __getitem__(self, asked: int | Drawn) -> dict[str, Tensor]:
        """Returns `features` `[F]`, of another view each epoch, and `labels` `[]`."""
        drawn = asked if isinstance(asked, Drawn) else Drawn(asked, 0)
        view = (drawn.epoch + drawn.row) % len(self.features) if asked is drawn else 0
        return {
            "features": self.features[view, drawn.row],
            "labels": torch.tensor(self.labels[drawn.row]),
        }
