"""A folder of results: what `suspects` and `novel` write, and people then work through.

`summary.json` is its first file and its last: it says of what kind the folder is, so that a second
run knows that it may renew the files, and whether the first got to its end. `decisions.csv`, which
people make, is never touched.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from herbzoo.curation.case_files import SUMMARY_FILE, read_summary
from herbzoo.errors import RunError
from herbzoo.inference import Identifier
from herbzoo.whole_file import write_whole

SCHEMA_VERSION = 1


def begin_results(folder: Path, kind: str, identifier: Identifier, collection: str) -> None:
    """Makes a folder of results, or takes one of the same kind over to renew it.

    Args:
        folder: to write into.
        kind: the command that writes it, such as `suspects`.
        identifier: the model that is asked.
        collection: name of what it is asked about.

    Raises:
        RunError: if there is something else at `folder`, or results of another kind or collection.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file: choose another --output")
    before = read_summary(folder) if folder.is_dir() else {}
    if folder.is_dir() and any(folder.iterdir()) and not before:
        raise RunError(
            f"{folder} is not empty and holds no results of `herbzoo {kind}`: choose another "
            "--output"
        )
    for key, now in {"kind": kind, "collection": collection}.items():
        if before and before.get(key) != now:
            raise RunError(
                f"{folder} holds results of `herbzoo {before.get('kind')}` over "
                f"{before.get('collection')}: choose another --output"
            )
    folder.mkdir(parents=True, exist_ok=True)
    write_summary(folder, kind, identifier, collection, complete=False)


def write_summary(
    folder: Path, kind: str, identifier: Identifier, collection: str, **facts: Any
) -> Path:
    """Writes `summary.json`: what was asked of which model, and what came of it.

    Args:
        folder: of the results.
        kind: the command.
        identifier: the model.
        collection: name of what it was asked about.
        **facts: anything more; `complete=False` until all other files are there.
    """
    from herbzoo import __version__

    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "complete": True,
        "model": identifier.source,
        "revision": identifier.revision,
        "herbzoo": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "collection": collection,
        **facts,
    }
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    return write_whole(folder / SUMMARY_FILE, text + "\n")
