"""Files that are written beside and then renamed, so that they are never half there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yields where to write a file that is to be at `path`; after an error nothing is left there.

    Folders above it are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> Path:
    """Writes text as UTF-8, its line ends as they are; returns the path."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")
    return path
