"""Small real files for the tests of readers and images."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from herbzoo.data.readers import open_collection
from herbzoo.data.records import COLUMNS, Collection, SpecimenRecord
from herbzoo.errors import DataError

SPECIES_OF = {
    "sheets/a.jpg": "Quercus robur",
    "sheets/b.jpg": "Quercus robur",
    "field/c.jpg": "Acer campestre",
}


def write_image(path: Path, size: tuple[int, int] = (32, 48), colour: str = "green") -> Path:
    """Writes an image of one colour; `size` is width and height, the suffix gives the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def write_images(root: Path, names: Iterable[str]) -> Path:
    for name in names:
        write_image(root / name)
    return root


def quarters(size: tuple[int, int] = (64, 96)) -> Image.Image:
    """Returns an upright picture whose four quarters are red, green, blue and white."""
    width, height = size
    image = Image.new("RGB", size, "white")
    image.paste((255, 0, 0), (0, 0, width // 2, height // 2))
    image.paste((0, 255, 0), (width // 2, 0, width, height // 2))
    image.paste((0, 0, 255), (0, height // 2, width // 2, height))
    return image


def claim_jpeg_size(data: bytes, size: tuple[int, int]) -> bytes:
    """Rewrites the width and height in the header of a JPEG."""
    for marker in (b"\xff\xc0", b"\xff\xc2"):
        at = data.find(marker)
        if at >= 0:
            return data[: at + 5] + struct.pack(">HH", size[1], size[0]) + data[at + 9 :]
    raise AssertionError("no frame header")


def claim_png_size(data: bytes, size: tuple[int, int]) -> bytes:
    """Rewrites the width and height in the header of a PNG."""
    header = b"IHDR" + struct.pack(">II", *size) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def records_collection(records: Iterable[SpecimenRecord]) -> Collection:
    """Makes a collection of records whose images nobody opens."""
    rows = [[getattr(record, column) for column in COLUMNS] for record in records]
    frame = pd.DataFrame(rows, columns=list(COLUMNS), dtype=str)
    return Collection(frame, images=None, name="a collection")  # type: ignore[arg-type]


def table_folder(
    root: Path, text: str, name: str = "metadata.csv", encoding: str = "utf-8"
) -> Path:
    """Writes three images and a table beside them."""
    write_images(root, SPECIES_OF)
    (root / name).write_text(text, encoding=encoding)
    return root


def refusal(data: object, **options: str) -> str:
    """Returns the one line with which a collection is refused."""
    with pytest.raises(DataError) as error:
        open_collection(data, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def csv_of(header: str, *ends: str, delimiter: str = ",") -> str:
    """Returns a table of three images; `ends` are the values of further columns."""
    rows = [delimiter.join([*image_and_name, *ends]) for image_and_name in SPECIES_OF.items()]
    return "\n".join([header, *rows]) + "\n"
