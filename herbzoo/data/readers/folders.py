"""Folders of images on disk."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from herbzoo.data.images import decode, is_image_path
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

    def top_files(self) -> list[str]:
        """Returns the names of the files directly in the folder, sorted."""
        return sorted(e.name for e in self._scan("") if e.is_file())

    def images(self) -> list[str]:
        """Returns the paths of all images at any depth, sorted.

        Raises:
            DataError: if a folder cannot be read, or a link leads out of this one.
        """
        found: list[str] = []
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            for entry in self._scan(folder):
                path = f"{folder}{entry.name}"
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    continue
                if entry.is_symlink():
                    self._refuse_outside(path)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{path}/")
                elif is_image_path(entry.name) and entry.is_file():
                    found.append(path)
        return sorted(found)

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Returns those paths at which there is no file, sorted.

        Each folder is listed once, so 840,000 paths cost about as much as their folders do.

        Raises:
            DataError: if a link on the way leads out of this folder.
        """
        wanted: dict[str, set[str]] = defaultdict(set)
        for key in keys:
            folder, slash, name = key.rpartition("/")
            wanted[folder + slash].add(name)
        absent: list[str] = []
        for folder, names in wanted.items():
            there = self._files_of(folder, names) if (self.root / folder).is_dir() else set()
            absent.extend(folder + name for name in names - there)
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
        self._refuse_outside(folder)
        there: set[str] = set()
        for entry in self._scan(folder):
            if entry.name not in names:
                continue
            if entry.is_symlink():
                self._refuse_outside(folder + entry.name)
            if entry.is_file():
                there.add(entry.name)
        return there

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
