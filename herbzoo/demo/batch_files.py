"""The pictures of a batch: uploads, and what is in uploaded zip archives, one after the other."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from herbzoo.data.images import is_image_path
from herbzoo.demo.pictures import MAX_BYTES, Picture, read_picture, shortened
from herbzoo.errors import DataError, ImageError

MOST = 300
"""Pictures of a batch."""
MAX_TOTAL_BYTES = 2 * 1024**3
"""The most that the pictures of an archive may hold together once they are unpacked."""
_ZIP = b"PK\x03\x04"


def count_pictures(uploads: Sequence[tuple[Path, str]]) -> int:
    """Returns how many pictures there are to read.

    Raises:
        DataError: if there are none or more than `MOST`, or an archive is broken or too large.
    """
    number = sum(len(_members(path)) if _is_zip(path) else 1 for path, _ in uploads)
    if not number:
        raise DataError("there are no pictures in this: choose some, or a zip archive of some")
    if number > MOST:
        raise DataError(
            f"{number:,} pictures are too many for the demo, the limit is {MOST}: use `herbzoo "
            "identify` for a whole collection"
        )
    return number


def pictures_in(uploads: Sequence[tuple[Path, str]]) -> Iterator[Picture | ImageError]:
    """Yields the pictures in their order, or why one cannot be read; one is in memory at a time."""
    for path, name in uploads:
        if not _is_zip(path):
            try:
                yield read_picture(path, name)
            except ImageError as error:
                yield error
            continue
        with zipfile.ZipFile(path) as archive:
            for member in _members(path):
                try:
                    yield Picture(shortened(member.filename), _unpacked(archive, member))
                except ImageError as error:
                    yield error


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(_ZIP)) == _ZIP
    except OSError:
        return False


def _members(path: Path) -> list[zipfile.ZipInfo]:
    """Returns the pictures of an archive by its directory, before anything is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                member
                for member in archive.infolist()
                if is_image_path(member.filename) and "__MACOSX" not in member.filename
            ]
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise DataError(f"{path.name}: this zip archive is broken or cut short") from error
    if sum(member.file_size for member in members) > MAX_TOTAL_BYTES:
        raise DataError(
            f"{path.name}: its pictures hold more than {MAX_TOTAL_BYTES / 1024**3:.0f} GiB once "
            "they are unpacked; take fewer at a time"
        )
    return members


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Unpacks a picture; a directory that understates its size is not believed."""
    name = shortened(member.filename)
    try:
        with archive.open(member) as stream:
            content = stream.read(MAX_BYTES + 1)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError) as error:
        raise ImageError(f"{name}: cannot be unpacked ({error})") from error
    except Exception as error:  # zlib and lzma raise their own
        raise ImageError(f"{name}: broken in the archive ({error})") from error
    if len(content) > MAX_BYTES:
        raise ImageError(f"{name}: larger than {MAX_BYTES / 1024**2:.0f} MiB")
    return content
