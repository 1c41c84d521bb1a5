"""Where the images of an archive are: in it, beside it, or on the web."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from herbzoo.data.readers.archives import ArchiveTree
from herbzoo.data.readers.folders import FolderTree
from herbzoo.data.readers.layouts import FileTree, first_of
from herbzoo.data.readers.reading import Reading
from herbzoo.data.records import Skipped
from herbzoo.data.remote import Files, RemoteImages
from herbzoo.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_ADDRESS = (
    r"(?i)^https?://(?:[^/?#@]*@)?(?P<host>\[[0-9a-f:.]+\]|[^/?#:\[\]\s]+)(?::\d*)?(?:[/?#]|$)"
)


@dataclass(frozen=True)
class FilesBeside:
    """Images in an archive, and others in files beside it."""

    archive: Files
    folder: Files
    beside: frozenset[str]
    """The keys of those beside the archive."""

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image:
        """Decodes one file; see `herbzoo.data.images.decode`."""
        return self._place(key).open(key, min_size)

    def encoded(self, key: str) -> bytes:
        """Returns one file as it is."""
        return bytes(self._place(key).encoded(key))

    def fingerprint(self, key: str) -> str:
        """Returns what changes when the file does."""
        return str(self._place(key).fingerprint(key))

    def _place(self, key: str) -> Any:
        return self.folder if key in self.beside else self.archive


def place_images(
    frame: pd.DataFrame, tree: FileTree, where: str, reading: Reading
) -> tuple[pd.DataFrame, RemoteImages, dict[str, Any]]:
    """Turns the column `image` into keys of a source, which is made here.

    Returns:
        The rows whose image has a place, the source, and the number of images by host.

    Raises:
        DataError: if a link is no address, a path leads out of the archive, or a file is missing,
            unless such rows are to be skipped; or if no row is left.
    """
    frame, hosts = _with_hosts(frame, where, reading)
    frame, files = _with_files(frame, tree, where, reading)
    if frame.empty:
        raise DataError(f"{where}: none of its images is there")
    facts = {"hosts": dict(hosts.most_common()), "images_on_the_web": sum(hosts.values())}
    return frame, RemoteImages(frozenset(hosts), local=files), facts


def _with_hosts(
    frame: pd.DataFrame, where: str, reading: Reading
) -> tuple[pd.DataFrame, Counter[str]]:
    links = frame.loc[are_links(frame["image"]), "image"]
    if links.empty:
        return frame, Counter()
    parts = pc.extract_regex(pa.array(links, pa.string()), _ADDRESS)
    found = pc.utf8_lower(pc.struct_field(parts, "host"))
    broken = links[np.asarray(pc.is_null(found))]
    reading.bad(
        [
            Skipped(f"{where} record {_id(frame, row)}", f"has a broken link ({link})")
            for row, link in broken.items()
        ]
    )
    counted = pc.value_counts(found.drop_null()).to_pylist()
    hosts = Counter({each["values"]: each["counts"] for each in counted})
    return frame.drop(index=broken.index) if len(broken) else frame, hosts


def are_links(images: pd.Series) -> pd.Series:
    """Tells which images are on the web, and not files."""
    return images.str.match(r"https?://", case=False)


def _with_files(
    frame: pd.DataFrame, tree: FileTree, where: str, reading: Reading
) -> tuple[pd.DataFrame, Files]:
    paths = frame.loc[~are_links(frame["image"]), "image"]
    if paths.empty:
        return frame, cast(Files, tree.source())
    keys: dict[Any, str] = {}
    bad: dict[Any, Skipped] = {}
    for row, path in paths.items():
        key = _key(path, tree)
        if key is None:
            place = f"{where} record {_id(frame, row)}"
            bad[row] = Skipped(place, f"names an image outside of {tree.name} ({path})")
        else:
            keys[row] = key
    missing = set(tree.missing(set(keys.values())))
    source, beside = _beside(tree, missing)
    absent = sorted(missing - beside)
    lost = {row: key for row, key in keys.items() if key in set(absent)}
    reading.bad(list(bad.values()))
    reading.bad(
        [
            Skipped(f"{where} record {_id(frame, row)}", f"{key}: there is no such file")
            for row, key in lost.items()
        ],
        f"{where} names {len(set(keys.values())):,} image files, and {len(absent):,} of them are "
        f"missing: {first_of(absent)}",
    )
    frame = frame.drop(index=[*bad, *lost])
    kept = {row: key for row, key in keys.items() if row not in lost}
    frame.loc[list(kept), "image"] = list(kept.values())
    return frame, source


def _beside(tree: FileTree, missing: set[str]) -> tuple[Files, set[str]]:
    """Looks beside an archive for the files that are not in it."""
    if not isinstance(tree, ArchiveTree) or not missing:
        return cast(Files, tree.source()), set()
    folder = FolderTree(tree.members.path.parent, tree.name)
    beside = missing - set(folder.missing(missing))
    if not beside:
        return cast(Files, tree.source()), set()
    return FilesBeside(cast(Files, tree.source()), folder.source(), frozenset(beside)), beside


def _key(path: str, tree: FileTree) -> str | None:
    """Returns a path as a key of the tree, or None where it leads out of it."""
    path = unquote(urlsplit(path).path) if path.lower().startswith("file:") else path
    path = path.replace("\\", "/")
    if PureWindowsPath(path).drive or re.match(r"[A-Za-z][\w+.-]*:", path):
        return None
    key = tree.relative(path) if posixpath.isabs(path) else path
    key = posixpath.normpath(key) if key else None
    return None if key is None or key.split("/")[0] in ("..", ".") else key


def _id(frame: pd.DataFrame, row: Any) -> str:
    for name in ("occurrenceID", "catalogNumber", "gbifID"):
        if name in frame.columns and frame.at[row, name]:
            return str(frame.at[row, name])
    return str(row + 1)
