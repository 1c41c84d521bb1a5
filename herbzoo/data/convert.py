"""A collection as Parquet shards, which the datasets library and herbzoo read without unpacking."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from herbzoo.data.conversion_folder import ConversionFolder, Progress, Shard, working_name
from herbzoo.data.dataset_card import CardFacts, SplitFacts, filled_columns, render_card
from herbzoo.data.encoding import EncodedImage, Encoding, encoded_images
from herbzoo.data.licences import dataset_terms, licence_column, roll_up
from herbzoo.data.readers.columns import normalise_split
from herbzoo.data.records import SIDECAR, Collection, Skipped
from herbzoo.data.shard_file import IMAGE_COLUMN, ShardFile
from herbzoo.data.splits import PARTS
from herbzoo.errors import DataError, ImageError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

DEFAULT_SHARD_BYTES = 500_000_000
OTHER = "other"
"""Split of the rows that name none, in a collection in which others do."""
_FORMAT = "1"
"""Raised whenever the same rows would become other bytes, so that no conversion mixes two ways."""


@dataclass(frozen=True)
class Converted:
    """What a conversion made."""

    folder: Path
    splits: Mapping[str, int]
    """Images of each."""
    shards: int
    bytes: int
    """Of all shards."""
    left_out: int
    """Rows whose split column held something other than train, validation or test."""
    skipped: tuple[Skipped, ...]
    """Rows and images that could not be used; also in `skipped.csv` of the folder."""


def convert(
    collection: Collection,
    output: Path,
    *,
    shard_bytes: int = DEFAULT_SHARD_BYTES,
    encoding: Encoding | None = None,
    skip_bad: bool = False,
    split_column: str | None = None,
    workers: int = -1,
    progress: Callable[[int], None] | None = None,
) -> Converted:
    """Writes a collection as Parquet shards with a dataset card.

    The shards are `data/<split>-00000-of-00012.parquet`. Their column `image` holds the files as
    they are, EXIF orientation included; all other columns are text. The same rows and settings
    give the same bytes, with whatever number of workers, and interrupted or not: called again with
    the same arguments, an interrupted conversion goes on after its last complete shard.

    Args:
        collection: what to write.
        output: a folder that does not exist, is empty, or holds an interrupted conversion.
        shard_bytes: bytes of images that a shard holds at most, unless one image alone has more.
        encoding: whether images are scaled; by default they are not.
        skip_bad: leave out images that cannot be read, and list them.
        split_column: the column with train, validation and test; rows with any other value are
            left out and counted. By default `split`, if it is filled, and all rows are kept: those
            without a split become one of their own, `other`.
        workers: threads that decode; -1 for one a core.
        progress: told how many more images are done.

    Raises:
        DataError: if the output holds anything else or the disk is full, or no image is left.
        ImageError: if an image cannot be read and bad ones are not to be skipped.
    """
    encoding = encoding or Encoding()
    frame, left_out = _with_split(collection, split_column)
    parts = _parts(frame)
    plan = {
        "collection": _digest(frame),
        "shard size": str(shard_bytes),
        "image size": "x".join(map(str, encoding.box or ())) or "as it is",
        "quality": str(encoding.quality or "as it is"),
        "version of herbzoo's shards": _FORMAT,
    }
    # Whoever trains on drawn plants must still be able to say so.
    is_drawn = bool(collection.facts.get("synthetic"))
    drawn = {k: v for k, v in collection.facts.items() if k != "reader"} if is_drawn else {}
    folder = ConversionFolder(Path(output))
    skipped = list(collection.skipped)
    with folder.claimed(plan) as done:
        writer = _Writer(folder, done, collection, frame, shard_bytes, skip_bad)
        for split, positions in parts.items():
            skipped += writer.write(split, positions, encoding, workers, progress)
        if not done.shards:
            raise DataError(f"no image of {collection.name} can be read, so there is no data set")
        files = {"README.md": _card(collection, frame, done)}
        if drawn:
            files[SIDECAR] = json.dumps(drawn, indent=2) + "\n"
        folder.publish(done, files, skipped)
    splits = {split: sum(s.rows for s in done.of_split(split)) for split in parts}
    size = sum(shard.bytes for shard in done.shards)
    return Converted(folder.path, splits, len(done.shards), size, left_out, tuple(skipped))


@dataclass(frozen=True)
class _Writer:
    """What it takes to write shards."""

    folder: ConversionFolder
    done: Progress
    collection: Collection
    frame: pd.DataFrame
    shard_bytes: int
    skip_bad: bool

    def write(
        self,
        split: str,
        positions: np.ndarray,
        encoding: Encoding,
        workers: int,
        progress: Callable[[int], None] | None,
    ) -> list[Skipped]:
        """Writes the shards of a split that are not complete yet.

        Returns:
            What was skipped in all of its shards.
        """
        tell = progress or (lambda images: None)
        complete = self.done.of_split(split)
        seen = sum(shard.seen for shard in complete)
        tell(seen)
        rest = positions[seen:].tolist()
        keys = self.frame[IMAGE_COLUMN].iloc[rest].tolist()
        shard, bad = None, []
        with closing(
            encoded_images(self.collection.images, keys, encoding, workers=workers)
        ) as images:
            try:
                for position, key, image in zip(rest, keys, images, strict=True):
                    if isinstance(image, ImageError):
                        bad.append(self._skipped(image, key))
                    else:
                        if shard is not None and self._is_full(shard, image):
                            self._complete(split, shard, bad)
                            shard, bad = None, []
                        shard = shard or self._next(split)
                        shard.add(position, image)
                    tell(1)
                if shard is not None:
                    self._complete(split, shard, bad)
                    shard, bad = None, []
            finally:
                if shard is not None:
                    shard.discard()
        return [one for shard in self.done.of_split(split) for one in shard.skipped] + bad

    def _next(self, split: str) -> ShardFile:
        number = len(self.done.of_split(split))
        return ShardFile(self.folder.shards / working_name(split, number), self.frame)

    def _is_full(self, shard: ShardFile, image: EncodedImage) -> bool:
        return shard.bytes + len(image.content) > self.shard_bytes

    def _complete(self, split: str, shard: ShardFile, bad: list[Skipped]) -> None:
        shard.close()
        number, size = len(self.done.of_split(split)), shard.path.stat().st_size
        counted = Shard(split, number, shard.rows, size, shard.rows + len(bad), tuple(bad))
        self.folder.record(self.done, counted)

    def _skipped(self, error: ImageError, key: str) -> Skipped:
        if not self.skip_bad:
            raise ImageError(
                f"{error} (to leave out what is bad: --skip-bad; what is complete is kept)"
            ) from error
        return Skipped(f"{self.collection.name}: {key}", str(error))


def _with_split(collection: Collection, column: str | None) -> tuple[pd.DataFrame, int]:
    """Returns the table with its column `split` as asked, and how many rows that leaves out."""
    if column is None:
        return collection.frame, 0
    asked = collection.column(column).map(normalise_split, na_action=None)
    known = asked.str.lower().isin(PARTS)
    if not known.any():
        found = ", ".join(f"{value!r}" for value in asked.unique()[:8])
        raise DataError(
            f"column {column!r} of {collection.name} holds {found}: it must say train, validation "
            "(or val) or test"
        )
    frame = collection.frame.assign(split=asked.str.lower())[known].reset_index(drop=True)
    return frame, int((~known).sum())


def _parts(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Returns the positions of the rows of each split, in their order."""
    import numpy as np

    split = frame["split"].astype(str)
    if not split.isin(PARTS).any():
        return {PARTS[0]: np.arange(len(frame))}
    named = split.where(split.isin(PARTS), OTHER).to_numpy()
    found = {part: np.flatnonzero(named == part) for part in (*PARTS, OTHER)}
    return {part: rows for part, rows in found.items() if len(rows)}


def _digest(frame: pd.DataFrame) -> str:
    """Returns what changes when a cell of the table does, or the order of its rows or columns."""
    import pandas as pd

    digest = hashlib.sha256("\0".join(map(str, frame.columns)).encode())
    for column in frame.columns:
        digest.update(pd.util.hash_pandas_object(frame[column], index=False).to_numpy().tobytes())
    return digest.hexdigest()[:16]


def _card(collection: Collection, frame: pd.DataFrame, done: Progress) -> str:
    splits: dict[str, SplitFacts] = {}
    for shard in done.shards:
        before = splits.get(shard.split, SplitFacts(0, 0))
        splits[shard.split] = SplitFacts(before.images + shard.rows, before.bytes + shard.bytes)
    columns = [str(column) for column in frame.columns if column != IMAGE_COLUMN]
    filled = [column for column in columns if (frame[column] != "").any()]
    licences = licence_column(frame)
    facts = CardFacts(
        name=Path(collection.name).name or "collection",
        splits=splits,
        columns=columns,
        filled=filled_columns(columns, filled),
        species=int(frame.loc[frame["scientificName"] != "", "scientificName"].nunique()),
        licences=None if licences is None else roll_up(licences),
        terms=dataset_terms(collection.facts),
        drawn=bool(collection.facts.get("synthetic")),
    )
    return render_card(facts)
