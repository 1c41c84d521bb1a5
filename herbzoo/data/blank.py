"""Images with nothing, or next to nothing, on them."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from herbzoo.data.records import ImageSource
from herbzoo.errors import ImageError

BLANK = 6.0
"""Levels of grey, of 255, that 98% of the pixels of an empty picture keep within."""

_SIZE = (128, 128)
"""Height and width in pixels at which images are looked at."""
_BATCH = 32
_PER_PROCESS = 64
"""Images that are worth the start of a process."""

_source: ImageSource | None = None  # of this worker process


def blank_images(
    images: ImageSource,
    keys: Sequence[str],
    *,
    workers: int = -1,
    progress: Callable[[int], object] = lambda images: None,
) -> list[str]:
    """Returns the images of which all but 2% of the pixels are of one shade, in their order.

    A leaf on a light table covers more, a sheet without a plant still has its label; what is found
    is an empty frame, a lens cap, or a needle too thin for the size of the picture. An image that
    cannot be read is not among them.

    Args:
        images: where they come from.
        keys: which to look at.
        workers: processes that decode; 0 for none but this one, -1 for as many as suit.
        progress: told how many more are done.
    """
    processes = workers
    if workers < 0:
        processes = min(os.cpu_count() or 1, len(keys) // _PER_PROCESS)
    batches = [keys[start : start + _BATCH] for start in range(0, len(keys), _BATCH)]
    found: list[str] = []
    for batch, blank in zip(batches, _outcomes(images, batches, processes), strict=True):
        found.extend(key for key, is_blank in zip(batch, blank, strict=True) if is_blank)
        progress(len(batch))
    return found


def is_blank(images: ImageSource, key: str) -> bool:
    """Tells whether an image shows next to nothing; not so if it cannot be read."""
    try:
        picture = images.open(key, _SIZE)
    except ImageError:
        return False
    picture.thumbnail(_SIZE)
    low, high = np.percentile(np.asarray(picture.convert("L")), (1, 99))
    return bool(high - low < BLANK)


def _outcomes(
    images: ImageSource, batches: Sequence[Sequence[str]], processes: int
) -> Iterator[list[bool]]:
    if processes < 2:
        yield from ([is_blank(images, key) for key in batch] for batch in batches)
        return
    context = multiprocessing.get_context()
    with ProcessPoolExecutor(
        processes, mp_context=context, initializer=_begin, initargs=(images,)
    ) as pool:
        yield from pool.map(_here, batches)


def _begin(images: ImageSource) -> None:
    global _source
    _source = images


def _here(keys: Sequence[str]) -> list[bool]:
    assert _source is not None  # set by _begin, when the process starts
    return [is_blank(_source, key) for key in keys]
