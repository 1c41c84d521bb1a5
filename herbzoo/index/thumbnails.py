"""Small pictures of the sheets: made once and kept in the index, or from the images when asked."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from typing import Literal

from PIL import Image

from herbzoo.data.looking import look_over
from herbzoo.data.records import ImageSource, Skipped

Thumbnails = Literal["kept", "linked", "none"]
SIDE = 400
"""Pixels of the longer side at most; a sheet keeps its shape."""
QUALITY = 80


def thumbnail_of(picture: Image.Image) -> bytes:
    """Returns a small JPEG of a picture, without metadata."""
    buffer = io.BytesIO()
    small_copy(picture, SIDE).save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def small_copy(picture: Image.Image, side: int) -> Image.Image:
    """Returns a picture in RGB with at most so many pixels on its longer side."""
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return small.convert("RGB")


def thumbnails_of(
    images: ImageSource, keys: Sequence[str], workers: int = -1
) -> list[bytes | None]:
    """Makes thumbnails in processes; an image that cannot be read has none.

    Args:
        images: where they come from.
        keys: which to make.
        workers: processes that decode; 0 for none, -1 for as many as suit.
    """
    made = look_over(images, keys, thumbnail_of, (SIDE, SIDE), workers=workers)
    return [None if isinstance(one, Skipped) else one for one in made]


@cache
def linked_images(data: str) -> ImageSource:
    """Opens the images of a collection, once a process.

    Raises:
        DataError: if it is no longer there.
    """
    from herbzoo.data.readers import open_images

    return open_images(data).images
