"""Images as the bytes of a file: the original's where they will do, else a JPEG's or a PNG's."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from herbzoo.data.images import decode, fitted_size, is_image_path
from herbzoo.data.records import ImageSource
from herbzoo.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

DEFAULT_QUALITY = 90
"""JPEG quality of an image that is scaled down."""


@dataclass(frozen=True)
class EncodedImage:
    """An image file in memory."""

    content: bytes
    path: str
    """Its name in the collection, whose suffix fits the content."""


@dataclass(frozen=True)
class Encoding:
    """What becomes of the images when they are copied."""

    box: tuple[int, int] | None = None
    """Height and width in pixels that none may exceed; larger ones are scaled down to fit."""
    quality: int | None = None
    """JPEG quality of those that are written anew."""

    def of_file(self, content: bytes, key: str, name: str) -> EncodedImage:
        """Returns a file as it is, or its picture scaled down if it is too large.

        Either way it has been decoded, so what comes out can be read.

        Args:
            content: the file.
            key: what to call the result.
            name: what to call the file in errors.

        Raises:
            ImageError: if it cannot be decoded.
        """
        if self.box is None:
            decode(content, (1, 1), name)  # at an eighth, which still reads all of a JPEG
            return EncodedImage(content, key)
        height, width = self.box
        # One pixel more, or an image that was twice too large could not be told from one that fits.
        image = decode(content, (height + 1, width + 1), name)
        if image.height <= height and image.width <= width:
            return EncodedImage(content, key)
        return self._jpeg(image, key, self.box)

    def of_picture(self, image: Image, key: str) -> EncodedImage:
        """Encodes a picture that has no file: without loss, unless a size or quality is set."""
        if self.box is None and self.quality is None:
            buffer = BytesIO()
            image.save(buffer, "PNG")
            return EncodedImage(buffer.getvalue(), _with_suffix(key, ".png"))
        return self._jpeg(image, key, self.box or (image.height, image.width))

    def _jpeg(self, image: Image, key: str, box: tuple[int, int]) -> EncodedImage:
        from PIL import Image as Pillow

        height, width = fitted_size((image.height, image.width), box)
        if (width, height) != image.size:
            image = image.resize((width, height), Pillow.Resampling.LANCZOS)
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=self.quality or DEFAULT_QUALITY)
        return EncodedImage(buffer.getvalue(), _with_suffix(key, ".jpg"))


def encoded_images(
    source: ImageSource, keys: Sequence[str], encoding: Encoding, *, workers: int = -1
) -> Generator[EncodedImage | ImageError]:
    """Yields each image in order, or what is wrong with it.

    Files are read in order by this thread, which suits archives and remote tables; they are decoded
    and scaled by others, and only a few are in memory at a time.

    Args:
        source: where the images are. One with `encoded` gives its files as they are; the pictures
            of one without are encoded.
        keys: which images.
        encoding: what becomes of them.
        workers: threads that decode; -1 for one a core.
    """
    threads = max(1, workers if workers >= 0 else os.cpu_count() or 1)
    read: Callable[[str], bytes] | None = getattr(source, "encoded", None)
    waiting: deque[Future[EncodedImage]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for key in keys:
            if read is None:
                waiting.append(pool.submit(_draw, source, key, encoding))
            else:
                waiting.append(_read_and_submit(pool, read, key, encoding))
            if len(waiting) > 2 * threads:
                yield _outcome(waiting.popleft())
        while waiting:
            yield _outcome(waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _draw(source: ImageSource, key: str, encoding: Encoding) -> EncodedImage:
    return encoding.of_picture(source.open(key, None), key)


def _read_and_submit(
    pool: ThreadPoolExecutor, read: Callable[[str], bytes], key: str, encoding: Encoding
) -> Future[EncodedImage]:
    try:
        content = read(key)
    except ImageError as error:
        failed: Future[EncodedImage] = Future()
        failed.set_exception(error)
        return failed
    return pool.submit(encoding.of_file, content, key, key)


def _outcome(image: Future[EncodedImage]) -> EncodedImage | ImageError:
    try:
        return image.result()
    except ImageError as error:
        return error


def _with_suffix(key: str, suffix: str) -> str:
    return f"{os.path.splitext(key)[0] if is_image_path(key) else key}{suffix}"
