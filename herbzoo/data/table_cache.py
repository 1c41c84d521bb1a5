"""Tables kept on disk between uses and between processes, up to a number of bytes.

A table is an Arrow file that is mapped into memory: opening it costs nothing, and processes that
use the same one share its pages. Files appear by renaming, and those not used for longest go first.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from herbzoo.data.byte_sizes import parse_bytes
from herbzoo.data.cache_root import cache_root
from herbzoo.whole_file import whole

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT_LIMIT = "20GB"
LIMIT_VARIABLE = "HERBZOO_STREAM_CACHE"
"""Environment variable with the number of bytes, such as 100GB."""
_LOCKS = 64

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableCache:
    """A folder of tables."""

    folder: Path
    limit: int
    """Bytes of all files; a table that alone has more is kept until the next one comes."""

    def get(self, key: str, make: Callable[[], pa.Table]) -> pa.Table:
        """Returns a table, made only if it is not there; other processes wait for it meanwhile.

        Args:
            key: what decides its content.
            make: makes it; must not ask this cache for another.
        """
        from filelock import FileLock

        digest = hashlib.sha256(key.encode()).hexdigest()
        path = self.folder / f"{digest[:40]}.arrow"
        found = _mapped(path)
        if found is not None:
            return found
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / f"{int(digest[:8], 16) % _LOCKS:02d}.lock")
            lock.acquire()
        except OSError as error:
            _log.warning("nothing can be kept in %s (%s)", self.folder, error)
            return make()
        try:
            found = _mapped(path)
            return self._kept(path, make()) if found is None else found
        finally:
            lock.release()

    def _kept(self, path: Path, table: pa.Table) -> pa.Table:
        try:
            with whole(path) as partial:
                _write(table, partial)
        except OSError as error:  # a full disk costs speed, not the training
            _log.warning("nothing more can be kept in %s (%s)", self.folder, error)
            return table
        self._make_room(path)
        mapped = _mapped(path)
        return table if mapped is None else mapped

    def _make_room(self, newest: Path) -> None:
        files = []
        for path in self.folder.glob("*.arrow*"):
            with suppress(OSError):  # another process makes room, too
                found = path.stat()
                files.append((found.st_mtime_ns, found.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self.limit:
                return
            if path != newest:
                with suppress(OSError):
                    path.unlink()
                total -= size


def stream_cache() -> TableCache:
    """Returns the cache of what is streamed, below `HERBZOO_CACHE`.

    Raises:
        DataError: if `HERBZOO_STREAM_CACHE` is no number of bytes.
    """
    limit = parse_bytes(os.environ.get(LIMIT_VARIABLE) or DEFAULT_LIMIT, LIMIT_VARIABLE)
    return TableCache(cache_root() / "streams", limit)


def _mapped(path: Path) -> pa.Table | None:
    """Opens a table that is there, and marks it as used."""
    import pyarrow as pa

    try:
        os.utime(path)
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException) as error:
        _log.warning("making the damaged %s anew (%s)", path, error)
        return None


def _write(table: pa.Table, path: Path) -> None:
    import pyarrow as pa

    with path.open("wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
