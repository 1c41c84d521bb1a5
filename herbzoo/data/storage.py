"""Files by path or by URL: here, or on any storage that fsspec knows (`s3://`, `gs://`, ...).

A URL goes through fsspec, which takes credentials from the environment as that storage's own tools
do; anything else is a path of this machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from herbzoo.errors import DataError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}
"""What has to be installed for the usual protocols; fsspec knows the rest."""
_WEB = ("http", "https")


def is_url(where: str) -> bool:
    """Tells whether a place is on some storage, and no path; web pages are not meant."""
    found = _URL.match(where)
    return found is not None and found[1].lower() not in _WEB


def filesystem(where: str) -> AbstractFileSystem:
    """Returns the storage of a path or URL; its methods take what `where` may be.

    Raises:
        DataError: if nothing installed reads that protocol.
    """
    import fsspec
    from fsspec.core import url_to_fs

    if not is_url(where):
        return fsspec.filesystem("file")
    protocol = where.partition("://")[0].lower()
    try:
        return url_to_fs(where)[0]
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        install = f"pip install {package}" if package else " ".join(str(error).split())
        raise DataError(f"{where} needs another package: {install}") from error
    except ValueError as error:
        raise DataError(
            f"{where}: nothing reads {protocol}://; use s3://, gs://, abfs:// or another protocol "
            "of fsspec, or a path"
        ) from error


@contextmanager
def open_to_read(where: str) -> Iterator[BinaryIO]:
    """Opens a file for reading.

    Raises:
        DataError: if it is not there or cannot be read.
    """
    try:
        local = not is_url(where)
        stream = Path(where).expanduser().open("rb") if local else filesystem(where).open(where)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {where}") from error
    except OSError as error:
        raise DataError(f"{where} cannot be read ({error.strerror or error})") from error
    with stream:
        yield cast("BinaryIO", stream)
