"""Decoding of one image file to RGB, at the scale that is needed.

A herbarium sheet has 12 to 100 megapixels and a model sees a few hundred pixels a side. A JPEG is
therefore decoded at 1/2, 1/4 or 1/8 of its size inside the inverse DCT, which costs a fraction of
the full decode. Whatever is wrong with a file comes out as one `ImageError` line that names it.
"""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile

from herbzoo.errors import DataError, ImageError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".tif", ".tiff"}
    | {".webp", ".gif", ".bmp", ".jp2", ".j2k", ".jpx", ".avif"}
)
"""Suffixes, in lower case, of the files that readers take for images."""

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "JPEG2000", "AVIF")
"""Pillow's names of the formats that are tried; MPO is found by way of JPEG, and AVIF only where
this Pillow was built with it. No other decoder of Pillow's is ever reached."""

MAX_PIXELS = 250_000_000
"""The most pixels that are ever decoded, after scaling."""
MAX_JPEG_PIXELS = 1_000_000_000
"""The most pixels a JPEG may claim when it is decoded at a smaller scale. A progressive JPEG holds
all its coefficients in memory whatever the scale, so `MAX_PIXELS` applies to it."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation (EXIF 2.3, tag 0x0112)."""
_ORIENTATION = 0x0112
_WIDE_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_ALPHA_MODES = ("RGBA", "LA", "PA", "La", "RGBa")


def is_image_path(path: str | os.PathLike[str]) -> bool:
    """Tells by its suffix whether a file is taken for an image; hidden files are not."""
    name = os.path.basename(os.fspath(path))
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def check_name(path: str | os.PathLike[str]) -> None:
    """Refuses a file whose name no table could hold: old archives have names in Latin-1.

    Raises:
        DataError: if the path is not UTF-8.
    """
    name = os.fsencode(path)
    try:
        name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name.decode('utf-8', 'replace')} has a name that is not UTF-8: rename it (the tool "
            "convmv does so for whole folders)"
        ) from error


def fitted_size(size: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """Returns the size of an image once it is scaled down to fit inside a box.

    Args:
        size: height and width of the image in pixels.
        box: height and width of the letterbox in pixels.

    Returns:
        Height and width, rounded up, of the image's share of the letterbox: one of them equals the
        box's and the other is at most the box's. An image that already fits keeps its size.
    """
    (height, width), (box_height, box_width) = size, box
    if height <= box_height and width <= box_width:
        return size
    if height * box_width >= width * box_height:
        return box_height, max(1, math.ceil(width * box_height / height))
    return max(1, math.ceil(height * box_width / width)), box_width


def reason_of(error: BaseException) -> str:
    """Returns what another library says is wrong, on one line."""
    if isinstance(error, MemoryError):
        return "not enough memory"
    return " ".join(str(error).split())[:300] or type(error).__name__


def decode(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    min_size: tuple[int, int] | None = None,
    name: str | None = None,
) -> Image.Image:
    """Decodes an image in full, upright, to RGB.

    The EXIF orientation is applied and forgotten, transparency is laid on white, 16-bit and
    floating-point grey is scaled to 8 bits, CMYK, Lab and palettes are converted, and of an
    animation or a multi-page TIFF the first frame is taken.

    Args:
        source: a path, the bytes of a file, or a binary stream that is left open.
        min_size: height and width in pixels of the letterbox that the image is to be scaled into.
            A JPEG is then decoded at the smallest of the scales 1/8, 1/4, 1/2 and 1 at which both
            its sides are no shorter than `fitted_size(size, min_size)`, so scaling down to fit
            never has to invent pixels. `None` decodes at full size.
        name: what to call the image in errors; by default its path.

    Returns:
        A plain RGB image without metadata.

    Raises:
        ImageError: if there is no such file, it is no image of a known format, is cut short or
            broken, or is larger than `MAX_PIXELS` (`MAX_JPEG_PIXELS`) allows.
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        try:
            with path.open("rb") as stream:
                return _decode_stream(stream, min_size, name or str(path))
        except OSError as error:
            raise ImageError(f"{name or path}: {_open_failure(path, error)}") from error
    if isinstance(source, bytes):
        return _decode_stream(io.BytesIO(source), min_size, name or "image in memory")
    return _decode_stream(source, min_size, name or str(getattr(source, "name", "image stream")))


def _open_failure(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if path.is_dir():
        return "this is a folder, not an image"
    return f"cannot be read ({error.strerror or error})"


def _decode_stream(stream: BinaryIO, min_size: tuple[int, int] | None, name: str) -> Image.Image:
    try:
        image = _identify(stream, name)
        _refuse_beyond(_claim_limit(image), image, name)
        _draft(image, min_size)
        _refuse_beyond(MAX_PIXELS, image, name)
        _load(image)
        rgb = _to_rgb(image)
        # A TIFF turns itself while it loads and drops the tag, hence a look after loading.
        turn = _TURNS.get(_orientation(image))
        rgb = rgb if turn is None else rgb.transpose(turn)
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise anything on a broken file
        raise ImageError(f"{name}: broken or cut short ({reason_of(error)})") from error
    rgb.info = {}  # an EXIF orientation left behind would be applied a second time downstream
    return rgb


def _identify(stream: BinaryIO, name: str) -> ImageFile.ImageFile:
    """Opens by content, like `Image.open`, but without its check of `Image.MAX_IMAGE_PIXELS`.

    That check warns or raises by a global that is not ours to change, and does so before a JPEG
    can be asked for a smaller scale; `_refuse_beyond` replaces it.
    """
    prefix = stream.read(16)
    if not prefix:
        raise ImageError(f"{name}: the file is empty")
    Image.init()
    broken: Exception | None = None
    for known in FORMATS:
        factory, accept = Image.OPEN.get(known, (None, None))
        answer = factory is not None and (accept is None or accept(prefix))
        if factory is None or not answer or isinstance(answer, str):  # a string says why not
            continue
        stream.seek(0)
        try:
            return factory(stream, name)
        except SyntaxError as error:  # Pillow's way to say: looks like mine, but is not readable
            broken = error
    if broken is not None:
        raise ImageError(f"{name}: broken or cut short ({reason_of(broken)})") from broken
    raise ImageError(f"{name}: not an image of a known format ({', '.join(FORMATS)})")


def _is_jpeg(image: Image.Image) -> bool:
    return image.format in ("JPEG", "MPO")


def _claim_limit(image: Image.Image) -> int:
    scalable = _is_jpeg(image) and not image.info.get("progressive")
    return MAX_JPEG_PIXELS if scalable else MAX_PIXELS


def _refuse_beyond(limit: int, image: Image.Image, name: str) -> None:
    pixels = image.width * image.height
    if pixels > limit:
        raise ImageError(
            f"{name}: {pixels / 1e6:,.0f} megapixels are too many, the limit for this kind of "
            f"file is {limit / 1e6:,.0f}; scale it down first"
        )


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata around a sound picture
        return 1


def _draft(image: Image.Image, min_size: tuple[int, int] | None) -> None:
    if min_size is None or not _is_jpeg(image):
        return
    lying = _orientation(image) in (5, 6, 7, 8)
    box = (min_size[1], min_size[0]) if lying else min_size
    height, width = fitted_size((image.height, image.width), box)
    image.draft(None, (width, height))


def _load(image: ImageFile.ImageFile) -> None:
    tile_size = getattr(image, "_tile_size", None)
    if tile_size is not None and image.format == "TIFF":
        # The TIFF reader repeats the check that `_identify` avoids unless its canvas is there.
        image.im = Image.new(image.mode, tile_size).im
    image.load()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _WIDE_MODES:
        image = _grey_of_wide(image)
    elif image.mode in _ALPHA_MODES or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _grey_of_wide(image: Image.Image) -> Image.Image:
    """Scales 16-bit, 32-bit and floating-point grey to 8 bits.

    16-bit values are divided by 257, so that 65,535 is white. The wider modes state no range:
    floating-point values within 0 to 1 are multiplied by 255, values within 0 to 255 are kept,
    values within 0 to 65,535 are divided by 257, and anything else is stretched from its least to
    its greatest value. What is not a number is black.
    """
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
    grey: np.ndarray = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = float(grey.min()), float(grey.max())
    if low < 0 or high > 65_535:
        grey = (grey - low) * (255 / max(high - low, 1e-12))
    elif image.mode == "F" and high <= 1:
        grey = grey * 255
    elif high > 255:
        grey = grey / 257
    return Image.fromarray(np.rint(grey).astype(np.uint8))
