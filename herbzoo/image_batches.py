"""The images of a collection a batch at a time, decoded in processes, the unreadable ones aside."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from herbzoo.data.records import Collection, ImageSource
from herbzoo.data.transforms import Letterbox
from herbzoo.errors import HerbzooError, ImageError

AUTO = -1
"""As a number of workers: as many as suit the images and the machine."""
MOST_WORKERS = 4
HANDFUL = 16
"""Up to so many images, starting worker processes costs more than they save."""


@dataclass(frozen=True)
class Failure:
    """An image that could not be read."""

    row: int
    """Position in the collection."""
    key: str
    reason: str


@dataclass(frozen=True)
class ImageBatch:
    """The readable images among some consecutive rows; `B` of them."""

    rows: np.ndarray
    """Positions in the collection `[B]`, ascending."""
    pixels: Tensor
    """`[B, 3, H, W]`, uint8, letterboxed."""
    fingerprints: tuple[str, ...]
    """What changes when an image does; '' where it is not asked for or not known."""
    failures: tuple[Failure, ...] = ()


def read_image(
    images: ImageSource, key: str, letterbox: Letterbox, fingerprinted: bool
) -> tuple[Tensor, str]:
    """Decodes and letterboxes one image.

    Returns:
        `[3, H, W]`, uint8, and the fingerprint of the image before it was read.

    Raises:
        ImageError: if it cannot be read; the message does not repeat the key.
    """
    try:
        fingerprint = fingerprint_of(images, key) if fingerprinted else ""
        return letterbox(images.open(key, letterbox.spec.size)), fingerprint
    except ImageError as error:
        raise ImageError(str(error).rpartition(f"{key}: ")[2]) from error


def fingerprint_of(images: ImageSource, key: str) -> str:
    """Returns what changes when an image does, or '' if its source does not know.

    Raises:
        ImageError: if there is no such image.
    """
    known: Callable[[str], str] | None = getattr(images, "fingerprint", None)
    return "" if known is None else known(key)


def image_batches(
    collection: Collection,
    letterbox: Letterbox,
    batch_size: int,
    workers: int,
    *,
    fingerprinted: bool = False,
    pin_memory: bool = False,
) -> Iterator[ImageBatch]:
    """Reads a collection in order; an unreadable image does not end it.

    Args:
        collection: its names are not looked at.
        letterbox: makes images into what the model sees.
        batch_size: rows in a batch, less those that cannot be read.
        workers: processes that decode.
        fingerprinted: ask the source for the fingerprint of each image, just before it is read.
        pin_memory: for a faster way to an accelerator.

    Raises:
        HerbzooError: if the system ended a worker.
    """
    loader = DataLoader(
        _ReadableRows(collection, letterbox, fingerprinted),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=pin_memory,
        worker_init_fn=_quiet_worker,
    )
    with _worker_death_in_one_line():
        yield from loader


def worker_count(asked: int, images: int, most: int = MOST_WORKERS) -> int:
    """Returns the number of worker processes for so many images; `AUTO` (-1) chooses."""
    if asked >= 0:
        return asked
    return 0 if images <= HANDFUL else min(core_count(), most)


def core_count() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # which macOS and Windows lack
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _worker_death_in_one_line() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise HerbzooError(
            "the system ended a process that decodes images, most likely for want of memory: run "
            "the same command again with fewer --workers"
        ) from error


def _quiet_worker(number: int) -> None:
    """Keeps a worker from printing a traceback because this process was interrupted.

    The thread that hands over its batches then loses the one that takes them.
    """

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, OSError | EOFError):
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = hook


@dataclass(frozen=True)
class _Item:
    """One row: its pixels or, where the image cannot be read, the reason."""

    row: int
    key: str
    pixels: Tensor | None
    fingerprint: str = ""
    reason: str = ""


class _ReadableRows(Dataset[_Item]):
    def __init__(self, collection: Collection, letterbox: Letterbox, fingerprinted: bool) -> None:
        self._images = collection.images
        self._keys: list[str] = collection.frame["image"].tolist()
        self._letterbox = letterbox
        self._fingerprinted = fingerprinted

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, row: int) -> _Item:
        key = self._keys[row]
        try:
            pixels, mark = read_image(self._images, key, self._letterbox, self._fingerprinted)
        except ImageError as error:
            return _Item(row, key, None, reason=str(error))
        return _Item(row, key, pixels, mark)


def _collate(items: list[_Item]) -> ImageBatch:
    readable = [item for item in items if item.pixels is not None]
    pixels = [item.pixels for item in readable if item.pixels is not None]
    return ImageBatch(
        np.array([item.row for item in readable], dtype=np.int64),
        torch.stack(pixels) if pixels else torch.empty(0, dtype=torch.uint8),
        tuple(item.fingerprint for item in readable),
        tuple(Failure(item.row, item.key, item.reason) for item in items if item.pixels is None),
    )
