"""Pictures that users hand over: read once into memory, checked, and never kept on disk."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from PIL import Image

from herbzoo.data.images import FORMATS, decode
from herbzoo.data.records import COLUMNS, Collection
from herbzoo.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

MAX_BYTES = 100 * 1024**2
"""The most that a file may hold."""
MAX_WHOLE_PIXELS = 120_000_000
"""The most pixels of a picture that cannot be decoded at a smaller scale, as a JPEG can."""
SHOWN = 1200
"""Pixels of the longer side at which a picture is shown."""
SMALL = 96
"""The same in a table."""
_QUALITY = 82
_NAME_LENGTH = 80
_one_at_a_time = threading.Lock()  # a large picture takes a gigabyte while it is decoded


@dataclass(frozen=True)
class Picture:
    """The file of a picture, in memory."""

    name: str
    """What the user calls it."""
    content: bytes


@dataclass(frozen=True)
class PicturesInMemory:
    """Files in memory as the images of a collection."""

    files: Mapping[str, bytes]

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> PillowImage:
        """Decodes one; see `herbzoo.data.images.decode`."""
        content = self.files[key]
        _refuse_too_many_pixels(content, key)
        with _one_at_a_time:
            return decode(content, min_size, key)


def read_picture(path: str | Path, name: str = "") -> Picture:
    """Reads an uploaded file.

    Args:
        path: where it is.
        name: what the user called it; by default the name of the file.

    Raises:
        ImageError: if it is gone, empty, or larger than `MAX_BYTES`.
    """
    file = Path(path)
    shown = shortened(name or file.name)
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise ImageError(
                f"{shown}: {size / 1024**2:,.0f} MiB are too many, the limit is "
                f"{MAX_BYTES / 1024**2:,.0f}; scale the picture down first"
            )
        return Picture(shown, file.read_bytes())
    except OSError as error:
        raise ImageError(f"{shown}: the upload is gone; choose the picture again") from error


def collection_of(pictures: Sequence[Picture]) -> Collection:
    """Makes a collection of pictures; of equal names the later ones get a number."""
    files: dict[str, bytes] = {}
    for picture in pictures:
        name, number = picture.name, 2
        while name in files:
            name, number = f"{picture.name} ({number})", number + 1
        files[name] = picture.content
    frame = pd.DataFrame({column: [""] * len(files) for column in COLUMNS}, dtype=str)
    return Collection(frame.assign(image=list(files)), PicturesInMemory(files), "uploads")


def shown_size(content: bytes, name: str) -> tuple[bytes, tuple[int, int]]:
    """Returns a picture as WebP of at most `SHOWN` pixels a side, and its width and height.

    Raises:
        ImageError: if it cannot be read; the line names it.
    """
    image = PicturesInMemory({name: content}).open(name, (SHOWN, SHOWN))
    image.thumbnail((SHOWN, SHOWN))
    return as_webp(image), image.size


def thumbnail(content: bytes, name: str, side: int = SMALL) -> bytes:
    """Returns a picture as WebP of at most `side` pixels a side, or b"" if it cannot be read."""
    try:
        image = PicturesInMemory({name: content}).open(name, (side, side))
    except ImageError:
        return b""
    image.thumbnail((side, side))
    return as_webp(image)


def as_webp(image: PillowImage) -> bytes:
    """Returns an image as WebP."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_QUALITY, method=2)
    return buffer.getvalue()


def shortened(name: str) -> str:
    """Returns a name that fits on a line; the ending is kept."""
    plain = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name
    )
    if len(plain) <= _NAME_LENGTH:
        return plain
    return f"{plain[: _NAME_LENGTH - 21]}…{plain[-20:]}"


def _refuse_too_many_pixels(content: bytes, name: str) -> None:
    """Refuses, by its header alone, a picture that would fill the memory of all who ask at once."""
    if content.startswith(b"\xff\xd8"):
        return  # a JPEG is decoded at a smaller scale, within the limits of `decode`
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = Image.open(io.BytesIO(content), formats=FORMATS)
        pixels = header.width * header.height
    except Image.DecompressionBombError:
        pixels = 2 * (Image.MAX_IMAGE_PIXELS or MAX_WHOLE_PIXELS)
    except Exception:  # whatever is wrong, `decode` says it
        return
    if pixels > MAX_WHOLE_PIXELS:
        raise ImageError(
            f"{name}: over {MAX_WHOLE_PIXELS / 1e6:,.0f} megapixels are too many for this kind of "
            "file; save it as a JPEG, or scale it down first"
        )
