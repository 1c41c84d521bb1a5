"""Images inside a zip or tar file, read where they lie: nothing is extracted to disk.

A zip or an uncompressed tar reads any member at once. A compressed tar has to be read from its
start: in order it costs one pass, at random one pass an image, so it suits identification and not
training.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from herbzoo.data.images import decode, is_image_path, reason_of
from herbzoo.data.readers.reading import Reading
from herbzoo.data.records import Skipped
from herbzoo.errors import DataError, ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

_TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVE_SUFFIXES = (".zip", *_TAR_SUFFIXES)
"""Endings, in lower case, of the files that are read as archives."""
MAX_MEMBER_BYTES = 512 * 1024**2
"""The most that one member of an archive may hold once it is unpacked."""
MAX_TABLE_BYTES = 8 * 1024**3
"""The same for a table in a zip, which can be read in blocks."""
_STREAMED = (".txt", ".csv", ".tsv")

UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)
"""What reading a damaged archive raises."""


def is_archive_path(path: str | os.PathLike[str]) -> bool:
    """Tells by its ending whether a file is read as an archive."""
    return os.fspath(path).lower().endswith(ARCHIVE_SUFFIXES)


class Members(Protocol):
    """The files in an archive; survives pickling to a worker process."""

    path: Path

    def entries(self) -> Iterator[tuple[str, str]]:
        """Yields the path of each file in the archive, and why it may not be read, or ''."""
        ...

    def read(self, name: str) -> bytes:
        """Returns what one file holds; raises one of `UNREADABLE`, KeyError or RuntimeError."""
        ...


class _Handle:
    """An open file that every process opens for itself.

    Processes that share one by forking share its position too, and read each other's bytes.
    """

    def __init__(self, reopen: Callable[[], Any]) -> None:
        self._reopen = reopen
        self._owner = -1
        self._lock = threading.Lock()

    def __enter__(self) -> Any:
        if self._owner != os.getpid():
            self._lock, self._owner = threading.Lock(), os.getpid()
            self._opened = self._reopen()
        self._lock.acquire()
        return self._opened

    def __exit__(self, *error: object) -> None:
        self._lock.release()


class ZipMembers:
    """The files in a zip."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = _Handle(self._reopen)

    def _reopen(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        return ZipMembers, (self.path,)

    def entries(self) -> Iterator[tuple[str, str]]:
        """Yields the path of each file, and why it may not be read, or ''."""
        with self._handle as archive:
            members = archive.infolist()
        for member in members:
            streamed = member.filename.lower().endswith(_STREAMED)
            limit = MAX_TABLE_BYTES if streamed else MAX_MEMBER_BYTES
            problem = _problem(member.filename, member.file_size, limit)
            if not problem and member.flag_bits & 0x1:
                problem = "is encrypted; unpack the archive and name the folder"
            if problem or not member.is_dir():
                yield member.filename, problem

    def read(self, name: str) -> bytes:
        """Returns what one file holds."""
        with self._handle as archive:
            if archive.getinfo(name).file_size > MAX_MEMBER_BYTES:
                raise OSError(f"larger than {MAX_MEMBER_BYTES // 1024**2:,} MiB")
            return archive.read(name)

    def stream(self, name: str) -> BinaryIO:
        """Opens one file for reading in blocks."""
        with zipfile.ZipFile(self.path) as archive:  # the file stays open as long as the stream
            return cast(BinaryIO, archive.open(name))


class TarMembers:
    """The regular files in a tar, compressed or not."""

    _OPENERS: Mapping[bytes, Callable[[Path], Any]] = {
        b"\x1f\x8b": gzip.open,
        b"BZ": bz2.open,
        b"\xfd7": lzma.open,
    }

    def __init__(self, path: Path, extents: Mapping[str, tuple[int, int]] | None = None) -> None:
        self.path = path
        self._problems: dict[str, str] = {}
        self._extents = self._scan() if extents is None else extents
        self._handle = _Handle(self._reopen)

    def __reduce__(self) -> tuple[Any, ...]:
        return TarMembers, (self.path, self._extents)

    def _reopen(self) -> Any:
        with self.path.open("rb") as start:
            opener = self._OPENERS.get(start.read(2))
        return opener(self.path) if opener else None

    def _scan(self) -> dict[str, tuple[int, int]]:
        extents = {}
        with tarfile.open(self.path) as archive:
            for member in archive:
                problem = _problem(member.name, member.size, MAX_MEMBER_BYTES)
                if problem:
                    self._problems[member.name] = problem
                elif member.isreg() and not member.issparse():
                    extents[member.name.removeprefix("./")] = (member.offset_data, member.size)
        return extents

    def entries(self) -> Iterator[tuple[str, str]]:
        """Yields the path of each regular file, and why it may not be read, or ''.

        Links and devices are no files here.
        """
        yield from self._problems.items()
        yield from ((name, "") for name in self._extents)

    def read(self, name: str) -> bytes:
        """Returns what one file holds."""
        start, size = self._extents[name]
        with self._handle as unpacked:
            if unpacked is not None:
                return self._slice(unpacked, start, size)
        with self.path.open("rb") as plain:
            return self._slice(plain, start, size)

    def _slice(self, stream: BinaryIO, start: int, size: int) -> bytes:
        stream.seek(start)
        data = stream.read(size)
        if len(data) < size:
            raise EOFError("the archive ends before the file does")
        return data


def _problem(name: str, size: int, limit: int) -> str:
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or not parts[0] or parts[0].endswith(":"):
        return "names a file outside of the archive; it is not safe to read"
    if size > limit:
        return (
            f"unpacks to {size / 1024**2:,.0f} MiB, "
            f"more than the {limit // 1024**2:,} MiB that are read"
        )
    return ""


def names_of(members: Members, reading: Reading) -> list[str]:
    """Returns the paths of the files in an archive that are safe to read.

    Raises:
        DataError: if there are others, unless those are to be skipped.
    """
    entries = list(members.entries())
    reading.bad(
        [
            Skipped(f"{members.path}: {name if name.isprintable() else ascii(name)}", problem)
            for name, problem in entries
            if problem
        ]
    )
    return [name for name, problem in entries if not problem]


@dataclass(frozen=True)
class ArchiveImages:
    """Images in an archive; keys are paths relative to `prefix` inside it."""

    members: Members
    prefix: str = ""

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image:
        """Decodes one member; see `herbzoo.data.images.decode`."""
        return decode(self.encoded(key), min_size, f"{self.members.path}: {self.prefix}{key}")

    def encoded(self, key: str) -> bytes:
        """Returns one member as it is."""
        name = f"{self.members.path}: {self.prefix}{key}"
        try:
            return self.members.read(self.prefix + key)
        except KeyError as error:
            raise ImageError(f"{name}: there is no such file in the archive") from error
        except (*UNREADABLE, RuntimeError) as error:  # RuntimeError: unknown compression
            raise ImageError(f"{name}: cannot be unpacked ({reason_of(error)})") from error

    def fingerprint(self, key: str) -> str:
        """Returns what changes when the archive does: its path, size and time of change."""
        found = self.members.path.stat()
        place = f"{self.members.path.absolute()}:{found.st_size}:{found.st_mtime_ns}"
        return f"{place}:{self.prefix}{key}"


@dataclass(frozen=True)
class ArchiveTree:
    """What a reader needs to know of an archive, as `FolderTree` is for a folder."""

    members: Members
    names: frozenset[str]
    prefix: str
    """The folder inside the archive that everything else is in, if there is one, with its slash."""
    name: str
    """What the user called it."""

    def top_files(self, inside: str = "") -> list[str]:
        """Returns the names of the files at the top of the archive, or in a folder, sorted."""
        start = f"{inside}/" if inside else ""
        below = (name.removeprefix(start) for name in self.names if name.startswith(start))
        return sorted(name for name in below if "/" not in name)

    def folders(self, inside: str = "") -> list[str]:
        """Returns the names of the folders at the top, or in a folder, sorted."""
        start = f"{inside}/" if inside else ""
        below = (name.removeprefix(start) for name in self.names if name.startswith(start))
        return sorted({name.partition("/")[0] for name in below if "/" in name})

    def images(self) -> list[str]:
        """Returns the paths of all images at any depth, sorted."""
        return sorted(name for name in self.names if is_image_path(name))

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Returns those paths at which there is no file, sorted."""
        return sorted(set(keys) - self.names)

    def unlisted(self, keys: Iterable[str]) -> list[str]:
        """Returns the paths of the images that are not among these, sorted."""
        return sorted(filter(is_image_path, self.names.difference(keys)))

    def open(self, key: str) -> BinaryIO:
        """Opens one member for reading."""
        try:
            return BytesIO(self.members.read(self.prefix + key))
        except (*UNREADABLE, KeyError, RuntimeError) as error:
            raise DataError(
                f"{self.name}: {key} cannot be unpacked ({reason_of(error)})"
            ) from error

    def stream(self, key: str) -> BinaryIO:
        """Opens one member for reading in blocks, where the archive allows that.

        What is damaged shows only as it is read, as one of `UNREADABLE`.
        """
        if not isinstance(self.members, ZipMembers):
            return self.open(key)
        try:
            return self.members.stream(self.prefix + key)
        except (*UNREADABLE, KeyError, RuntimeError, NotImplementedError) as error:
            raise DataError(
                f"{self.name}: {key} cannot be unpacked ({reason_of(error)})"
            ) from error

    def source(self) -> ArchiveImages:
        """Returns where the images are read from."""
        return ArchiveImages(self.members, self.prefix)

    def relative(self, path: str) -> str | None:
        """Returns None: no absolute path lies inside an archive."""
        return None


def open_archive(
    path: Path, wrapper: Callable[[str, list[str]], bool], reading: Reading
) -> ArchiveTree:
    """Opens a zip or tar without extracting it.

    Args:
        path: the archive.
        wrapper: told the name of the only folder at the top and the paths in it, says whether that
            folder merely wraps the collection.
        reading: what becomes of members that are encrypted, lie outside of the archive, or unpack
            to more than `MAX_MEMBER_BYTES`.

    Raises:
        DataError: if it is no archive, or has such members.
    """
    kind = ZipMembers if path.name.lower().endswith(".zip") else TarMembers
    try:
        members: Members = kind(path)
        names = names_of(members, reading)
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read as an archive ({reason_of(error)})") from error
    kept = [n for n in names if not any(p.startswith((".", "__MACOSX")) for p in n.split("/"))]
    prefix = ""
    while True:
        inside = [name.removeprefix(prefix) for name in kept]
        tops = {name.partition("/")[0] for name in inside}
        if len(tops) != 1 or any("/" not in name for name in inside):
            break
        top = tops.pop()
        if not wrapper(top, [name.partition("/")[2] for name in inside]):
            break
        prefix += f"{top}/"
    return ArchiveTree(members, frozenset(inside), prefix, str(path))
