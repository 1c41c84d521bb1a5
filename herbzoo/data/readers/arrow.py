"""Images inside Arrow tables: `datasets` folders, data sets on the Hub, Parquet with images."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from herbzoo.data.images import decode, reason_of
from herbzoo.data.readers.archives import ArchiveImages, ZipMembers, names_of
from herbzoo.data.readers.columns import darwin_core
from herbzoo.data.readers.layouts import collection
from herbzoo.data.readers.reading import Reading
from herbzoo.data.readers.tables import text_of
from herbzoo.data.records import Collection, Skipped
from herbzoo.errors import DataError, ImageError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset
    from PIL.Image import Image

_SAVED = ("dataset_dict.json", "state.json")
"""The file that marks what `DatasetDict.save_to_disk` and `Dataset.save_to_disk` wrote."""
_IN_ZIP = re.compile(r"zip://(.+)::(.+)")
"""What `datasets` writes for an image in a zip that it downloaded: member and zip."""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class ArrowImages:
    """Images in memory-mapped Arrow tables; keys are `split/row`, or `row` where there is one."""

    parts: Mapping[str, Dataset]
    """The data set of each split, reduced to its column of encoded images."""
    column: str
    name: str
    folders: tuple[Path, ...] = ()
    """Where images that a table only names may lie; relative paths start from the first."""

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image:
        """Decodes the image of one row; see `herbzoo.data.images.decode`."""
        found, name = self._find(key), f"{self.name}: {key}"
        if isinstance(found, tuple):
            return found[0].open(found[1], min_size)
        return decode(found, min_size, name)

    def encoded(self, key: str) -> bytes:
        """Returns the image of one row as its file is."""
        found = self._find(key)
        if isinstance(found, tuple):
            return found[0].encoded(found[1])
        if isinstance(found, bytes):
            return found
        try:
            return found.read_bytes()
        except OSError as error:
            raise ImageError(f"{self.name}: {key}: {found}: {error.strerror}") from error

    def _find(self, key: str) -> bytes | Path | tuple[ArchiveImages, str]:
        """Returns the image of one row, or the file or the member of a zip that it is."""
        part, _, row = key.rpartition("/")
        name = f"{self.name}: {key}"
        try:
            encoded = self.parts[part][int(row)][self.column]
        except (KeyError, IndexError, ValueError) as error:
            raise ImageError(f"{name}: there is no such row") from error
        if not encoded or not (encoded.get("bytes") or encoded.get("path")):
            raise ImageError(f"{name}: the row has no image")
        if encoded.get("bytes"):
            return bytes(encoded["bytes"])
        packed = _IN_ZIP.fullmatch(encoded["path"])
        if packed is not None:
            return _zip_images(self._inside(packed[2], name)), packed[1]
        return self._inside(encoded["path"], name)

    def _inside(self, path: str, name: str) -> Path:
        # A table comes from anyone and can name any file of this machine.
        try:
            place = (self.folders[0] / path).resolve()
            known = any(place.is_relative_to(folder.resolve()) for folder in self.folders)
        except (OSError, ValueError, RuntimeError) as error:
            raise ImageError(f"{name}: {path!r} is no path ({reason_of(error)})") from error
        if not known:
            raise ImageError(f"{name}: {path} lies outside of the data set, so it is not opened")
        return place

    def fingerprint(self, key: str) -> str:
        """Returns what changes when the table does: the digest that `datasets` keeps of it."""
        part, _, row = key.rpartition("/")
        return f"{self.parts[part]._fingerprint}:{row}"


@lru_cache(maxsize=32)
def _zip_images(path: Path) -> ArchiveImages:
    members = ZipMembers(path)
    try:
        names_of(members, Reading())  # refuses what is not safe to read
    except (DataError, OSError, zipfile.BadZipFile) as error:
        raise ImageError(f"{path} cannot be unpacked ({reason_of(error)})") from error
    return ArchiveImages(members)


def is_saved_dataset(folder: Path) -> bool:
    """Tells whether `save_to_disk` of the datasets library wrote a folder."""
    return any(os.path.isfile(folder / marker) for marker in _SAVED)  # no error in a closed folder


def is_hub_id(data: str) -> bool:
    """Tells whether a text reads like `organisation/name` on the Hub."""
    return _HUB_ID.fullmatch(data) is not None


def open_saved(folder: Path, reading: Reading) -> Collection:
    """Opens what `save_to_disk` of the datasets library wrote.

    Raises:
        DataError: if it cannot be read, or has no column of images or names.
    """
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # Arrow, JSON and file errors of many classes
        raise DataError(
            f"{folder} cannot be read as a datasets folder ({reason_of(error)})"
        ) from error
    return _from_datasets(loaded, str(folder), folder, reading)


def open_parquet(path: Path, reading: Reading) -> Collection:
    """Opens a Parquet file that holds the encoded images themselves.

    Raises:
        DataError: if it cannot be read, or has no column of images or names.
    """
    import datasets

    try:
        loaded = datasets.Dataset.from_parquet(str(path))
    except Exception as error:
        raise DataError(f"{path} cannot be read as Parquet ({reason_of(error)})") from error
    return _from_datasets(loaded, str(path), path.parent, reading)


def has_embedded_images(path: Path) -> bool:
    """Tells whether a Parquet file has a column of `{"bytes", "path"}`, as `datasets` writes it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({reason_of(error)})") from error
    return any(_holds_images(field.type) for field in schema)


def open_hub(repo_id: str, reading: Reading) -> Collection:
    """Downloads a data set from the Hub, or opens it where it was downloaded before.

    Raises:
        DataError: if there is none of that id, the Hub cannot be reached, or the data set has no
            column of images or names.
    """
    import datasets
    from huggingface_hub import constants

    if not constants.HF_HUB_OFFLINE:
        require_on_hub(repo_id)
    try:
        loaded = datasets.load_dataset(repo_id)
    except Exception as error:
        generating = isinstance(error, datasets.exceptions.DatasetGenerationError)
        told = error.__cause__ if generating and error.__cause__ else error
        raise DataError(
            f"the data set {repo_id!r} cannot be loaded from the Hub ({reason_of(told)})"
        ) from error
    cached = Path(constants.HF_HUB_CACHE)
    return _from_datasets(loaded, repo_id, cached, reading)


def require_on_hub(repo_id: str) -> str:
    """Returns the commit that a data set on the Hub is at.

    Raises:
        DataError: if there is none of that id, or the Hub cannot be reached.
    """
    # datasets retries for half a minute before it gives up; this short question comes first.
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return str(HfApi().dataset_info(repo_id, timeout=20).sha)
    except HfHubHTTPError as error:
        raise DataError(
            f"there is no folder {repo_id!r} here, and the Hub shows no data set of that name "
            f"({error.server_message or reason_of(error)}); if it is private, log in with "
            "`hf auth login`"
        ) from error
    except Exception as error:  # the classes of network errors differ between versions
        raise DataError(
            f"there is no folder {repo_id!r} here, and the Hub cannot be reached "
            f"({reason_of(error)}); set HF_HUB_OFFLINE=1 to use a data set downloaded before"
        ) from error


def _from_datasets(loaded: Any, name: str, folder: Path, reading: Reading) -> Collection:
    import datasets

    parts: dict[str, Dataset] = dict(loaded) if isinstance(loaded, dict) else {"": loaded}
    parts = {split: part for split, part in parts.items() if len(part)}
    if not parts:
        raise DataError(f"{name} has no rows")
    features = next(iter(parts.values())).features
    image = _image_feature(features, name)
    frames, images = [], {}
    for split, part in parts.items():
        part = part.cast_column(image, datasets.Image(decode=False))
        frame = text_frame(part.remove_columns(image).with_format("arrow")[:], features)
        where = f"{split}/" if split else ""
        frame["image"] = [f"{where}{row}" for row in range(len(part))]
        if split and "split" not in frame:
            frame["split"] = split
        images[split] = part.select_columns(image)
        frames.append(_with_image(frame, images[split], name, reading))
    classes = [key for key, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    frame, facts = darwin_core(
        pd.concat(frames, ignore_index=True).fillna(""),
        name,
        reading,
        other_name_columns=classes,
    )
    facts |= {"reader": "datasets", "image_column": image}
    return collection(frame, ArrowImages(images, image, name, _folders(folder)), name, facts)


def _with_image(frame: pd.DataFrame, images: Dataset, name: str, reading: Reading) -> pd.DataFrame:
    """Returns the rows that have an image; where names are not required, all of them."""
    if not reading.names_required:
        return frame
    has_image = np.concatenate([_has_image(batch) for batch in _batches(images)])
    empty = frame["image"][~has_image]
    reading.bad([Skipped(f"{name}: {key}", "the row has no image") for key in empty])
    return frame[has_image]


def _batches(images: Dataset) -> Iterator[pa.ChunkedArray]:
    for table in images.with_format("arrow").iter(batch_size=10_000):
        yield table.column(0)


def _has_image(encoded: pa.ChunkedArray) -> np.ndarray:
    import pyarrow.compute as pc

    # Lengths come from the offsets, so the images themselves are not read.
    lengths = [pc.binary_length(pc.struct_field(encoded, field)) for field in ("bytes", "path")]
    filled = [pc.fill_null(pc.greater(length, 0), False) for length in lengths]
    return pc.or_(*filled).to_numpy()


def _folders(folder: Path) -> tuple[Path, ...]:
    """Returns a data set's own folder, and the caches where downloaded images are kept."""
    from datasets import config
    from huggingface_hub import constants

    caches = (config.HF_DATASETS_CACHE, config.EXTRACTED_DATASETS_PATH, constants.HF_HUB_CACHE)
    return folder, *map(Path, caches)


def _image_feature(features: Mapping[str, Any], name: str) -> str:
    import datasets

    found = [
        column
        for column, kind in features.items()
        if isinstance(kind, datasets.Image)
        or (isinstance(kind, Mapping) and {"bytes", "path"} <= set(kind))
    ]
    if not found:
        raise DataError(
            f"{name} has no image column: it has {', '.join(features)}, and one of them must be a "
            "datasets.Image"
        )
    return "image" if "image" in found else found[0]


def _holds_images(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_struct(kind) and {"bytes", "path"} <= {field.name for field in kind}


def text_frame(table: pa.Table, features: Mapping[str, Any]) -> pd.DataFrame:
    """Returns the columns of a table as text, class numbers as the names of their classes."""
    import datasets

    columns = {}
    for column in table.column_names:
        texts, kind = text_of(table.column(column)), features.get(column)
        if isinstance(kind, datasets.ClassLabel):
            names = {str(number): text for number, text in enumerate(kind.names)}
            texts = texts.map(lambda value, names=names: names.get(value, ""))
        columns[column] = texts
    return pd.DataFrame(columns, index=range(table.num_rows))
