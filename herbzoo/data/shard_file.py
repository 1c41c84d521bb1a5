"""One Parquet file of a data set: text columns, and the images themselves in a column of their own.

It is written as the datasets library would, but for the row groups. Those are small, because one
is the least that can be read of a file that lies elsewhere, and the column of images comes first,
so that the text columns of a row group lie side by side and are read in one request.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from herbzoo.data.encoding import EncodedImage

if TYPE_CHECKING:
    import pandas as pd

IMAGE_COLUMN = "image"
ROW_GROUP_ROWS = 100
"""The most images in a row group; as many as the Hub's viewer shows on a page."""
ROW_GROUP_BYTES = 16 * 1024**2
"""Bytes of images at which a row group is closed."""


class ShardFile:
    """A Parquet file while it is written: beside its place, and moved there when it is complete.

    Args:
        path: where it is to be.
        frame: the table whose rows it gets some of; all its columns but `image` become text.
    """

    def __init__(self, path: Path, frame: pd.DataFrame) -> None:
        import pyarrow.parquet as pq
        from datasets import Features, Image, Value
        from datasets.config import DEFAULT_CDC_OPTIONS

        self.path = path
        self.rows = 0
        self.bytes = 0
        """Of all images added so far."""
        self._frame = frame
        self._columns = [str(column) for column in frame.columns if column != IMAGE_COLUMN]
        self._positions: list[int] = []
        self._images: list[EncodedImage] = []
        self._held = 0
        self._partial = path.with_name(path.name + ".partial")
        texts = {column: Value("string") for column in self._columns}
        self._schema = Features({IMAGE_COLUMN: Image(), **texts}).arrow_schema
        compressed = [f"{IMAGE_COLUMN}.path", *self._columns]
        self._file = self._partial.open("wb")
        self._writer = pq.ParquetWriter(
            self._file,
            self._schema,
            compression={f"{IMAGE_COLUMN}.bytes": "none", **dict.fromkeys(compressed, "snappy")},
            use_dictionary=self._columns,
            write_statistics=self._columns,
            write_page_index=True,
            # Equal images then become equal chunks, which the Hub stores and sends once.
            use_content_defined_chunking=DEFAULT_CDC_OPTIONS,
        )

    def add(self, position: int, image: EncodedImage) -> None:
        """Adds the row of a position in the table, with its image."""
        self._positions.append(position)
        self._images.append(image)
        self._held += len(image.content)
        self.rows += 1
        self.bytes += len(image.content)
        if len(self._images) >= ROW_GROUP_ROWS or self._held >= ROW_GROUP_BYTES:
            self._write_row_group()

    def close(self) -> None:
        """Writes what is left and moves the file to its place."""
        if self._images:
            self._write_row_group()
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())  # or a power cut may leave the name without the content
        self._file.close()
        os.replace(self._partial, self.path)

    def discard(self) -> None:
        """Deletes what has been written."""
        self._writer.is_open = False  # or it writes its footer when it is forgotten
        with suppress(OSError):  # a full disk refuses what is still in the buffer, too
            self._file.close()
        self._partial.unlink(missing_ok=True)

    def _write_row_group(self) -> None:
        import pyarrow as pa

        rows = self._frame.iloc[self._positions]
        images = [{"bytes": one.content, "path": _utf8(one.path)} for one in self._images]
        arrays = [pa.array(images, self._schema.field(IMAGE_COLUMN).type)]
        arrays += [pa.array(rows[column].tolist(), pa.string()) for column in self._columns]
        table = pa.Table.from_arrays(arrays, schema=self._schema)
        self._writer.write_table(table, row_group_size=len(images))
        self._positions, self._images, self._held = [], [], 0


def _utf8(path: str) -> str:
    # File names of another encoding hold what Arrow refuses.
    return path.encode("utf-8", "replace").decode("utf-8")
