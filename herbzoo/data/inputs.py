"""What a user hands over to be identified, as one collection: paths, images in memory, or a mix."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from herbzoo.data.images import check_name, decode, is_image_path
from herbzoo.data.readers import open_images
from herbzoo.data.records import COLUMNS, Collection, ImageSource
from herbzoo.errors import DataError, ImageError

if TYPE_CHECKING:
    import pandas as pd

_ORIENTATION = 0x0112


@dataclass(frozen=True)
class FileImages:
    """Image files by their paths."""

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image.Image:
        """Decodes one file; see `herbzoo.data.images.decode`."""
        return decode(Path(key).expanduser(), min_size, key)


@dataclass(frozen=True)
class MemoryImages:
    """Images that are in memory already."""

    images: Mapping[str, Image.Image]

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image.Image:
        """Returns one image, upright and in RGB, converted by the rules that files are."""
        image = self.images[key]
        try:
            turned = image.getexif().get(_ORIENTATION, 1)
            if image.mode == "RGB" and turned == 1 and "transparency" not in image.info:
                image.load()
                return image
            return decode(_lossless(image, turned), min_size, key)
        except ImageError:
            raise
        except (
            Exception
        ) as error:  # an image is decoded when first used, and Pillow raises anything
            raise ImageError(f"{key}: broken or cut short ({error})") from error


def _lossless(image: Image.Image, orientation: int) -> bytes:
    if "transparency" in image.info:
        image = image.convert("RGBA")  # TIFF has no transparent palette entry
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    buffer = BytesIO()
    image.save(buffer, "TIFF", exif=exif)
    return buffer.getvalue()


@dataclass(frozen=True)
class JoinedImages:
    """The images of several collections under names that tell them apart."""

    sources: tuple[ImageSource, ...]
    places: Mapping[str, tuple[int, str]]
    """By the joined key: which source, and its key there."""

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image.Image:
        """Opens an image in the source it is from."""
        source, own_key = self.places[key]
        return self.sources[source].open(own_key, min_size)


def collect_images(
    given: str | Path | Image.Image | Iterable[str | Path | Image.Image],
) -> Collection:
    """Makes one collection of everything given, in its order.

    Args:
        given: an image file, a folder, a table, an archive, whatever else `open_images` takes, an
            image in memory, or any number of these. The rows' `image` is the path of an image as
            it was given, below that of its folder, table or archive; images in memory are called
            `image 1`, `image 2` by their place.

    Raises:
        DataError: if nothing is given, or a path leads nowhere or to no images.
    """
    items = [given] if isinstance(given, str | Path | Image.Image) else list(given)
    if not items:
        raise DataError("there are no images to identify: name at least one")
    return _join(list(_collections(items)))


def _collections(items: list[str | Path | Image.Image]) -> Iterator[Collection]:
    """Yields what the items hold; runs of single files make one collection together."""
    files: list[str] = []
    for number, item in enumerate(items, start=1):
        if not isinstance(item, Image.Image) and _is_image_file(item):
            check_name(item)
            files.append(os.fspath(item))
            continue
        if files:
            yield _bare(files, FileImages())
            files = []
        if isinstance(item, Image.Image):
            yield _bare([f"image {number}"], MemoryImages({f"image {number}": item}))
        else:
            yield _named_in_full(open_images(item))
    if files:
        yield _bare(files, FileImages())


def _is_image_file(path: str | Path) -> bool:
    return is_image_path(path) and Path(path).expanduser().is_file()


def _bare(keys: list[str], images: ImageSource) -> Collection:
    import pandas as pd

    frame = pd.DataFrame({column: [""] * len(keys) for column in COLUMNS}, dtype=str)
    return Collection(frame.assign(image=keys), images, "images")


def _named_in_full(collection: Collection) -> Collection:
    """Puts the collection's own path before its keys."""
    if collection.name == ".":
        return collection
    keys = collection.frame["image"].tolist()
    full = [os.path.join(collection.name, key) for key in keys]
    places = {name: (0, key) for name, key in zip(full, keys, strict=True)}
    frame = collection.frame.assign(image=full)
    return Collection(frame, JoinedImages((collection.images,), places), collection.name)


def _join(parts: list[Collection]) -> Collection:
    if len(parts) == 1:
        return parts[0]
    import pandas as pd

    frame: pd.DataFrame = pd.concat([part.frame for part in parts], ignore_index=True).fillna("")
    places = {
        key: (number, key) for number, part in enumerate(parts) for key in part.frame["image"]
    }
    return Collection(frame, JoinedImages(tuple(part.images for part in parts), places), "images")
