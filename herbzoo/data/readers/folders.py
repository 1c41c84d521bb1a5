"""Folders of images on disk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from herbzoo.data.images import check_name, decode, is_image_path
from herbzoo.errors import DataError, ImageError

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class FolderImages:
    """Images in files below one folder; keys are paths relative to it, with forward slashes."""

    root: Path

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image:
        """Decodes one file; see `herbzoo.data.images.decode`."""
        if key.startswith("/") or ".." in key.split("/"):
            raise ImageError(f"{key} lies outside of {self.root}")
        return decode(self.root / key, min_size)

    def encoded(self, key: str) -> bytes:
        """Returns one file as it is."""
        path = self.root / key
        if key.startswith("/") or ".." in key.split("/"):
            raise ImageError(f"{key} lies outside of {self.root}")
        try:
            return path.read_bytes()
        except OSError as error:
            raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from error

    def fingerprint(self, key: str) -> str:
        """Returns what changes when the file does: its path, size and time of change."""
        path = self.root / key
        try:
            found = path.stat()
        except OSError as error:
            raise ImageError(f"{path}: {error.strerror}") from error
        return f"{path.absolute()}:{found.st_size}:{found.st_mtime_ns}"


@dataclass(frozen=True)
class FolderTree:
    """What a reader needs to know of a folder: its files, and which of some are not there."""

    root: Path
    name: str
    """What the user called it."""

    @cached_property
    def _resolved(self) -> Path:
        return self.root.resolve()

    @cached_property
    def _safe(self) -> set[str]:
        """Folders that are known to lie inside of this one, so that each is looked at once."""
        return {""}

    def top_files(self, inside: str = "") -> list[str]:
        """Returns the names of the files directly in the folder or in one inside of it, sorted.

        A folder that is not there has none.
        """
        if inside and not (self.root / inside).is_dir():
            return []
        return sorted(e.name for e in self._scan(inside) if e.is_file())

    def folders(self, inside: str = "") -> list[str]:
        """Returns the names of the folders in the folder or in one inside of it, sorted.

        Hidden ones are left out, and so are links. A folder that is not there has none.
        """
        if inside and not (self.root / inside).is_dir():
            return []
        entries = (entry for entry in self._scan(inside) if not entry.name.startswith("."))
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))

    def images(self) -> list[str]:
        """Returns the paths of all images at any depth, sorted.

        Raises:
            DataError: if a folder cannot be read, or a link leads out of this one.
        """
        found: list[str] = []
        for path, entry in self._walk():
            if entry.is_symlink():
                self._refuse_outside(path)
            if is_image_path(entry.name) and entry.is_file():
                found.append(path)
        return sorted(found)

    def unlisted(self, keys: Iterable[str]) -> list[str]:
        """Returns the paths of the images at any depth that are not among these, sorted.

        Links are passed over: nothing is opened by what is returned here.
        """
        listed = set(keys)
        return sorted(
            path
            for path, entry in self._walk()
            if is_image_path(entry.name) and path not in listed
            if entry.is_file(follow_symlinks=False)
        )

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Returns those paths at which there is no file, sorted.

        Each folder is listed once, so 840,000 paths cost about as much as their folders do.

        Raises:
            DataError: if a link on the way leads out of this folder.
        """
        absent: list[str] = []
        for folder, inside in groupby(sorted(keys), key=lambda key: key.rpartition("/")[0]):
            start = f"{folder}/" if folder else ""
            names = {key.removeprefix(start) for key in inside}
            there = self._files_of(start, names)
            absent.extend(start + name for name in names - there)
        return sorted(absent)

    def open(self, key: str) -> BinaryIO:
        """Opens one file for reading.

        Raises:
            DataError: if it cannot be read.
        """
        try:
            return (self.root / key).open("rb")
        except OSError as error:
            raise DataError(
                f"{self.root / key} cannot be read ({error.strerror or error})"
            ) from error

    def source(self) -> FolderImages:
        """Returns where the images are read from."""
        return FolderImages(self.root)

    def relative(self, path: str) -> str | None:
        """Returns an absolute path as one relative to the folder, or None where it lies outside."""
        for root in (self.root.absolute(), self._resolved):
            if os.path.commonpath([root, os.path.normpath(path)]) == str(root):
                return os.path.relpath(path, root).replace(os.sep, "/")
        return None

    def _files_of(self, folder: str, names: set[str]) -> set[str]:
        self._refuse_folder_outside(folder.rstrip("/"))
        if not (os.path.isdir(os.path.join(self.root, folder))):
            return set()
        there: set[str] = set()
        for entry in self._scan(folder):
            if entry.name not in names:
                continue
            if entry.is_symlink():
                self._refuse_outside(folder + entry.name)
            if entry.is_file():
                there.add(entry.name)
        return there

    def _refuse_folder_outside(self, folder: str) -> None:
        if folder in self._safe:
            return
        above, _, name = folder.rpartition("/")
        self._refuse_folder_outside(above)
        if name == ".." or os.path.islink(os.path.join(self.root, folder)):
            self._refuse_outside(folder)
        self._safe.add(folder)

    def _walk(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Yields what is in the folder and those below, hidden files left out."""
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            for entry in self._scan(folder):
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    continue
                path = f"{folder}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{path}/")
                else:
                    if is_image_path(path):
                        check_name(self.root / path)
                    yield path, entry

    def _scan(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / folder) as entries:
                return list(entries)
        except OSError as error:
            raise DataError(
                f"the folder {self.root / folder} cannot be read ({error.strerror or error})"
            ) from error

    def _refuse_outside(self, path: str) -> None:
        target = (self.root / path).resolve()
        if not target.is_relative_to(self._resolved):
            raise DataError(
                f"{self.root / path} is a link to {target}, outside of {self.name}; "
                "copy the files there, or name the folder they are in"
            )
