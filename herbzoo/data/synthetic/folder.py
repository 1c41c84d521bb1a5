"""A collection as a folder of JPEGs that anybody can look at."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from herbzoo.data.records import FIELD, SIDECAR, Collection
from herbzoo.errors import DataError


def write_collection(
    collection: Collection,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    min_size: tuple[int, int] | None = (320, 320),
) -> None:
    """Writes images and `metadata.csv` into a new folder, which appears only when complete.

    Args:
        collection: what to write.
        folder: where; may exist if it is empty.
        progress: called with the images written and their total.
        min_size: height and width that suffice; `None` writes full size.

    Raises:
        DataError: if the folder exists and holds anything, or is a file.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} exists and is not an empty folder; name a new one")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        _write(collection, partial, progress, min_size)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(
    collection: Collection,
    folder: Path,
    progress: Callable[[int, int], None] | None,
    min_size: tuple[int, int] | None,
) -> None:
    frame = collection.frame.copy()
    names = [
        _file_name(index, basis, catalogue)
        for index, (basis, catalogue) in enumerate(
            zip(frame["basisOfRecord"], frame["catalogNumber"], strict=True)
        )
    ]
    for subfolder in sorted({Path(name).parent for name in names}):
        (folder / subfolder).mkdir(parents=True)
    for done, (key, name) in enumerate(zip(frame["image"], names, strict=True), start=1):
        collection.images.open(key, min_size).save(folder / name, quality=90)
        if progress is not None:
            progress(done, len(names))
    frame.insert(0, "file_name", names)
    frame.drop(columns="image").to_csv(folder / "metadata.csv", index=False)
    facts = {key: value for key, value in collection.facts.items() if key != "reader"}
    (folder / SIDECAR).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _file_name(index: int, basis: str, catalogue: str) -> str:
    """Names a file after its record, never after its species."""
    if basis == FIELD:
        return f"field/{index:06d}.jpg"
    safe = "".join(c for c in catalogue if c.isalnum())
    return f"sheets/{safe or 'sheet'}-{index:06d}.jpg"
