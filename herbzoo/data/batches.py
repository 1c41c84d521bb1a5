"""Rows of a collection as a torch dataset, and an order of them that survives an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from herbzoo.data.masking import LOOKING_SIZE, MaskZones
from herbzoo.data.records import Collection
from herbzoo.data.sampling import Draw
from herbzoo.data.transforms import Augment, Letterbox, Reframe
from herbzoo.errors import ImageError
from herbzoo.taxonomy import Taxonomy

UNKNOWN = -1
"""Class index of a row whose species the model does not know."""
ZOOM_PIXELS = 2
"""How many times the model's input an image is decoded at where views zoom into it."""


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
    """The rows of each epoch, in an order that seed and epoch alone decide.

    Args:
        rows: how many there are.
        seed: of the order.
        batch_size: of the loader. A last batch of one image has no variance to normalise by, so
            where there would be one, that row waits for another epoch.
        draw: chooses the rows of an epoch, as many as there are; by default all, shuffled.
    """

    def __init__(self, rows: int, seed: int, batch_size: int = 0, draw: Draw | None = None) -> None:
        lonely = batch_size > 1 and rows > 1 and rows % batch_size == 1
        self.rows = rows
        self.batch_size = batch_size
        self.draw = draw
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
        rng = np.random.default_rng((self.seed, self.epoch))
        order = self.draw(rng, self.batch_size) if self.draw else rng.permutation(self.rows)
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
    mask: MaskZones | None = None
    """Hides zones of a sheet."""
    reframe: Reframe | None = None
    _keys: list[str] = field(init=False, repr=False)
    _domains: list[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Takes keys and domains out of the frame, which is slow to index by row."""
        self._keys = self.collection.frame["image"].tolist()
        self._domains = self.collection.frame["basisOfRecord"].tolist()

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self._keys)

    def __getitem__(self, asked: int | Drawn) -> dict[str, Tensor]:
        """Returns `pixel_values` `[3, H, W]` and `labels` `[]`."""
        drawn = asked if isinstance(asked, Drawn) else Drawn(asked, 0)
        framing, relighting = _view_seeds(self.seed, drawn)
        pixels = self._letterboxed(drawn.row, framing, self.reframe)
        if self.augment is not None:
            pixels = self.augment(pixels, relighting)
        return {
            "pixel_values": self.letterbox.normalise(pixels),
            "labels": torch.tensor(self.labels[drawn.row]),
        }

    def plain(self, row: int) -> Tensor:
        """Returns the pixel values of a row, masked but not augmented, `[3, H, W]`."""
        framing, _ = _view_seeds(self.seed, Drawn(row, 0))
        return self.letterbox.normalise(self._letterboxed(row, framing, None))

    @property
    def view_options(self) -> str:
        """What decides the drawn views, beside their seed."""
        augment = self.augment and (self.augment.strength, self.augment.recolour)
        return repr((augment, self.mask, self.reframe))

    def _letterboxed(self, row: int, seed: int, reframe: Reframe | None) -> Tensor:
        height, width = self.letterbox.spec.size
        if reframe is not None and reframe.zoom > 0:  # a crop wants more pixels than the whole
            height, width = ZOOM_PIXELS * height, ZOOM_PIXELS * width
        if self.mask is not None:
            height, width = max(height, LOOKING_SIZE[0]), max(width, LOOKING_SIZE[1])
        key = self._keys[row]
        image = self.collection.images.open(key, (height, width))
        if self.mask is not None:
            image = self.mask(image, seed, self._domains[row], key)
        if reframe is not None:
            image = reframe(image, seed)
        return self.letterbox(image)


def _view_seeds(seed: int, drawn: Drawn) -> tuple[int, int]:
    states = np.random.SeedSequence((seed, drawn.epoch, drawn.row)).generate_state(2, np.uint64)
    return int(states[1] >> 1), int(states[0] >> 1)


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
