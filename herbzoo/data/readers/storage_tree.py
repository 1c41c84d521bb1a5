"""Folders of images on object storage or any other that fsspec knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

from herbzoo.data.images import decode, is_image_path, reason_of
from herbzoo.data.storage import filesystem
from herbzoo.errors import DataError, ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

_STAMPS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
"""What storages call that which changes with a file; the first that is there is taken."""


@dataclass(frozen=True)
class StorageImages:
    """Images below one URL; keys are paths relative to it, and nothing else is ever read.

    The storage is opened anew in each process, as its connections cannot be sent to another.
    """

    root: str

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image:
        """Decodes one file; see `herbzoo.data.images.decode`."""
        return decode(self.encoded(key), min_size, self._where(key))

    def encoded(self, key: str) -> bytes:
        """Returns one file as it is."""
        where = self._where(key)
        try:
            return bytes(filesystem(self.root).cat_file(where))
        except FileNotFoundError as error:
            raise ImageError(f"{where}: there is no such file") from error
        except Exception as error:  # each storage has its own kinds
            raise ImageError(f"{where}: cannot be read ({reason_of(error)})") from error

    def fingerprint(self, key: str) -> str:
        """Returns what changes when the file does: its URL, size, and what the storage keeps."""
        where = self._where(key)
        try:
            found: dict[str, Any] = filesystem(self.root).info(where)
        except FileNotFoundError as error:
            raise ImageError(f"{where}: there is no such file") from error
        except Exception as error:  # each storage has its own kinds
            raise ImageError(f"{where}: cannot be read ({reason_of(error)})") from error
        stamp = next((found[name] for name in _STAMPS if found.get(name)), "")
        return f"{where}:{found.get('size')}:{stamp}"

    def _where(self, key: str) -> str:
        if not key or key.startswith("/") or ".." in key.split("/") or "::" in key or "://" in key:
            raise ImageError(f"{key} lies outside of {self.root}")
        return f"{self.root}/{key}"


@dataclass(frozen=True)
class StorageTree:
    """What a reader needs to know of a folder on storage, as `FolderTree` is for one here."""

    root: str
    """URL without a slash at its end; also what the user called it."""

    @property
    def name(self) -> str:
        """What the user called it."""
        return self.root

    @cached_property
    def _names(self) -> frozenset[str]:
        """Paths of all files below, hidden ones left out: one listing for all questions."""
        storage = filesystem(self.root)
        start = storage._strip_protocol(self.root).rstrip("/") + "/"
        try:
            paths = storage.find(self.root)
        except Exception as error:  # each storage has its own kinds
            raise DataError(f"{self.root} cannot be listed ({reason_of(error)})") from error
        names = (path.removeprefix(start) for path in paths)
        return frozenset(
            name for name in names if not any(part.startswith(".") for part in name.split("/"))
        )

    def top_files(self, inside: str = "") -> list[str]:
        """Returns the names of the files at the top, or in a folder, sorted."""
        return sorted(name for name in self._below(inside) if "/" not in name)

    def folders(self, inside: str = "") -> list[str]:
        """Returns the names of the folders at the top, or in a folder, sorted."""
        return sorted({name.partition("/")[0] for name in self._below(inside) if "/" in name})

    def images(self) -> list[str]:
        """Returns the paths of all images at any depth, sorted."""
        return sorted(filter(is_image_path, self._names))

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Returns those paths at which there is no file, sorted."""
        return sorted(set(keys) - self._names)

    def unlisted(self, keys: Iterable[str]) -> list[str]:
        """Returns the paths of the images that are not among these, sorted."""
        return sorted(filter(is_image_path, self._names.difference(keys)))

    def open(self, key: str) -> BinaryIO:
        """Opens one file for reading.

        Raises:
            DataError: if it cannot be read.
        """
        try:
            return BytesIO(self.source().encoded(key))
        except ImageError as error:
            raise DataError(str(error)) from error

    def source(self) -> StorageImages:
        """Returns where the images are read from."""
        return StorageImages(self.root)

    def relative(self, path: str) -> str | None:
        """Returns None: an absolute path is one of some machine, and not on the storage."""
        return None

    def _below(self, folder: str) -> Iterable[str]:
        start = f"{folder}/" if folder else ""
        return (name.removeprefix(start) for name in self._names if name.startswith(start))
