"""What tests have a user of the loopback Hub do, and the folder that user has.

`client(function, *arguments)` calls a function of this file in a process whose Hub is ours;
`member` does so for somebody who is signed in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CARD = "---\nlicense: mit\n---\n# A model\n"
WEIGHTS = hashlib.shake_256(b"weights").digest(300_000)
PLOT = hashlib.shake_256(b"plot").digest(3_000)
FILES = {
    "README.md": CARD.encode(),
    "config.json": b'{"a": 1}',
    "empty.bin": b"",
    "figures/plot.png": PLOT,
    "model.safetensors": WEIGHTS,
}


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def call(name: str, *given: Any, **named: Any) -> Any:
    """Calls a method of the client's API; returns what can be sent between processes."""
    from huggingface_hub import HfApi

    answer = getattr(HfApi(), name)(*given, **named)
    return list(answer) if isinstance(answer, Iterator) else answer


def calls(name: str, named: dict[str, Any], *given: Any) -> Any:
    return call(name, *given, **named)


def refused(name: str, named: dict[str, Any], *given: Any) -> tuple[str, int | None, str]:
    """Calls a method that must fail; returns type, status and message of the error."""
    try:
        call(name, *given, **named)
    except Exception as error:
        response = getattr(error, "response", None)
        return type(error).__name__, getattr(response, "status_code", None), str(error)
    raise AssertionError(f"{name} was not refused")


def upload(repo: str, folder: Path, named: dict[str, Any] | None = None) -> str:
    """Sends a folder; returns the id of the commit."""
    return call("upload_folder", repo_id=repo, folder_path=folder, **(named or {})).oid


def downloaded(repo: str, revision: str, kind: str = "model") -> dict[str, bytes]:
    from huggingface_hub import snapshot_download

    folder = Path(snapshot_download(repo, revision=revision, repo_type=kind))
    files = (path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    found.pop(".gitattributes", None)
    return found


def commit(repo: str, operations: list[tuple[str, bytes | None]], named: dict[str, Any]) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    todo = [
        CommitOperationDelete(path) if content is None else CommitOperationAdd(path, content)
        for path, content in operations
    ]
    return call("create_commit", repo, todo, commit_message="Change", **named).oid
