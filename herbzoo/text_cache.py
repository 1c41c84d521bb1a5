"""Encoded texts, kept on disk: a tower reads a name once, however often it is asked for.

One SQLite database for each encoder, found by a digest of all that decides its encodings, so that
what is kept is never stale. It is a cache: where it cannot be read or written, encoding goes on.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from herbzoo.data.cache_root import cache_root

logger = logging.getLogger(__name__)

Bar = Callable[[int], AbstractContextManager[Callable[[int], object]]]
"""Opens a progress bar over so many texts; what it gives is told how many more are done."""

ENCODED_AT_ONCE = 2048
"""Texts that are encoded and then kept together: what a killed process loses at the most."""
_SOUGHT_AT_ONCE = 900
_PATIENCE = 30.0
"""Seconds to wait for another process that writes."""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""Primary codes of errors that do not pass: a broken file, no database, or other tables."""


def cache_folder() -> Path:
    """Returns where encoded texts are kept: below `HERBZOO_CACHE`, or `~/.cache/herbzoo`."""
    return cache_root() / "texts"


@contextmanager
def no_bar(total: int) -> Iterator[Callable[[int], object]]:
    """Shows no progress."""
    yield lambda texts: None


class CachedEncoder:
    """Encodes texts with a head's tower, and keeps what it has encoded.

    Texts are encoded in chunks that are kept as soon as they are done. Several processes may do so
    at once. A damaged database is set aside and made anew; where nothing can be kept, as on a full
    or read-only disk, encoding goes on without. Either is logged once.

    Args:
        head: has `encoder_key()` and `encode_texts(texts, progress)`.
        folder: where the databases are; below `HERBZOO_CACHE` if not given.
        progress: opens a bar over the texts of a call.
    """

    def __init__(self, head: Any, folder: Path | None = None, progress: Bar = no_bar) -> None:
        self.head = head
        self.path = (folder or cache_folder()) / f"{head.encoder_key()[:40]}.sqlite"
        """The database of this encoder."""
        self.progress = progress

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Returns the encodings of texts, `[N, T]`, float32, on the CPU."""
        if not texts:
            return self.head.encode_texts([])
        with self.progress(len(texts)) as advance, closing(_Vectors(self.path)) as kept:
            rows = _Rows(len(texts))
            missing: list[int] = []
            for start in range(0, len(texts), _SOUGHT_AT_ONCE):
                sought = range(start, min(start + _SOUGHT_AT_ONCE, len(texts)))
                lacking = rows.fill(sought, kept.get([texts[row] for row in sought]))
                missing += lacking
                advance(len(sought) - len(lacking))
            for start in range(0, len(missing), ENCODED_AT_ONCE):
                lacking = missing[start : start + ENCODED_AT_ONCE]
                new = [texts[row] for row in lacking]
                vectors = self.head.encode_texts(new, advance)
                kept.put(new, vectors)
                rows.set(lacking, vectors)
            return torch.from_numpy(rows.values)


class _Rows:
    """Vectors of texts in their order; there is room for all once the first tells their width."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.values = np.empty((number, 0), np.float32)

    def fill(self, rows: Sequence[int], vectors: Sequence[np.ndarray | None]) -> list[int]:
        """Fills rows with what was kept; returns those that have nothing sound."""
        lacking = []
        for row, vector in zip(rows, vectors, strict=True):
            if vector is None or not np.isfinite(vector).all():
                lacking.append(row)
                continue
            self._make_room(len(vector))
            if len(vector) == self.values.shape[1]:
                self.values[row] = vector
            else:
                lacking.append(row)
        return lacking

    def set(self, rows: Sequence[int], vectors: Tensor) -> None:
        """Fills rows with new vectors."""
        self._make_room(vectors.shape[1])
        self.values[rows] = vectors.numpy()

    def _make_room(self, width: int) -> None:
        if not self.values.shape[1]:
            self.values = np.empty((self.number, width), np.float32)


class _Vectors:
    """A database of vectors by text, which may turn out not to be usable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database: sqlite3.Connection | None = None
        self._file = 0
        self._made_anew = False
        self._open()

    def close(self) -> None:
        """Closes the database."""
        if self._database is not None:
            self._database.close()
        self._database = None

    def get(self, texts: Sequence[str]) -> list[np.ndarray | None]:
        """Returns the vector of each text, `None` for those not kept."""
        keys = [_key(text) for text in texts]
        holes = ", ".join("?" * len(keys))
        found: dict[bytes, bytes] = {}
        try:
            if self._database is not None:
                query = f"SELECT key, vector FROM vectors WHERE key IN ({holes})"
                found = dict(self._database.execute(query, keys))
        except sqlite3.Error as error:
            self._recover(error)
        return [_vector(found.get(key)) for key in keys]

    def put(self, texts: Sequence[str], vectors: Tensor) -> None:
        """Keeps vectors `[N, T]` of texts, all or none."""
        if self._database is None:
            return
        blobs = (vector.tobytes() for vector in vectors.float().numpy())
        try:
            with self._database:
                self._database.executemany(
                    "INSERT OR REPLACE INTO vectors VALUES (?, ?)",
                    zip(map(_key, texts), blobs, strict=True),
                )
        except sqlite3.Error as error:
            self._recover(error)

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.stat().st_ino if self.path.exists() else 0
            self._database = sqlite3.connect(self.path, timeout=_PATIENCE)
            self._database.execute("PRAGMA page_size = 16384")  # ten vectors; for a new one alone
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)"
            )
            self._file = self.path.stat().st_ino
        except (OSError, sqlite3.Error) as error:
            self._recover(error)

    def _recover(self, error: OSError | sqlite3.Error) -> None:
        """Makes a damaged database anew, once; otherwise does without."""
        self.close()
        if not _is_damage(error) or self._made_anew:
            logger.warning("encoded names are not kept in %s: %s", self.path, error)
            return
        self._made_anew = True
        aside = self.path.with_name(f"{self.path.name}.damaged")
        try:
            with FileLock(self.path.with_suffix(".lock"), timeout=_PATIENCE):
                # Another process may have done so, and what is there now is sound.
                if self._file == self.path.stat().st_ino:
                    os.replace(self.path, aside)
                    self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)
        except OSError as hindrance:
            logger.warning("encoded names are not kept in %s: %s", self.path, hindrance)
            return
        logger.warning("%s is damaged (%s) and now %s; it begins anew", self.path, error, aside)
        self._open()


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _vector(blob: bytes | None) -> np.ndarray | None:
    return np.frombuffer(blob, np.float32) if blob and len(blob) % 4 == 0 else None
