"""What the loopback Hub keeps: repositories of commits, of which each names its files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

DATE = "2026-01-01T00:00:00.000Z"
MAIN = "refs/heads/main"
_ENDINGS = """
7z arrow bin bz2 ckpt gz h5 jpg joblib model msgpack npy npz onnx parquet pb pickle pkl png pt pth
safetensors tar tflite zip zst
"""
ATTRIBUTES = "".join(
    f"*.{ending} filter=lfs diff=lfs merge=lfs -text\n" for ending in _ENDINGS.split()
)
"""The `.gitattributes` of a new repository: what it keeps as large files."""
SAMPLE = 512
"""Bytes of a file that the client shows before it is told how to send it."""
LARGEST_REGULAR = 10_000_000


class Refusal(Exception):
    """An answer with an error status, in the Hub's way.

    Args:
        status: of the answer.
        code: for the client to recognise; mostly there is none.
        message: for a person.
        commit: in which something was looked for.
        **more: what the document says besides `error`.
    """

    def __init__(
        self, status: int, code: str, message: str, commit: str = "", **more: object
    ) -> None:
        super().__init__(message)
        self.status = status
        self.document = {"error": message, **more}
        named = {"X-Error-Code": code, "X-Error-Message": message, "X-Repo-Commit": commit}
        self.headers = {name: value for name, value in named.items() if value}


@dataclass(frozen=True)
class Blob:
    """The content of one file, with the ids it goes by."""

    path: str
    content: bytes
    is_large: bool

    @cached_property
    def git_id(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_large else self.git_id

    def entry(self) -> dict[str, Any]:
        """Returns the file's line in a listing."""
        size = len(self.content)
        entry = {"type": "file", "oid": self.git_id, "size": size, "path": self.path}
        if self.is_large:
            entry["lfs"] = {"oid": self.sha256, "size": size, "pointerSize": 130}
        return entry


@dataclass(frozen=True)
class Commit:
    """All files at one time, and how they came there."""

    id: str
    parent: str
    title: str
    description: str
    author: str
    files: Mapping[str, Blob]


@dataclass(frozen=True)
class PullRequest:
    """A discussion with a branch of its own."""

    number: int
    title: str
    description: str
    author: str
    base: str


@dataclass
class Repository:
    """Commits, with the branches, tags and pull requests that name them."""

    private: bool = False
    """To those outside of its namespace it looks as if it did not exist."""
    gated: bool = False
    """Anybody may list it, and only who is known may have its files."""
    sdk: str = ""
    """Of a Space."""
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    """Full name of a branch, tag or pull request, and its commit."""
    objects: dict[str, bytes] = field(default_factory=dict)
    """Large files by SHA-256, also those that no commit refers to yet."""
    pulls: dict[int, PullRequest] = field(default_factory=dict)
    announced: dict[tuple[int, bytes], str] = field(default_factory=dict)
    """Paths of files about to be sent, by size and first bytes."""

    def commit(self, files: Mapping[str, bytes], revision: str = "main") -> str:
        """Makes these files all that a revision has; returns the id of the commit."""
        blobs = {
            path: Blob(path, content, is_large(path, content[:SAMPLE], len(content)))
            for path, content in files.items()
        }
        ref = revision if revision.startswith("refs/") else f"refs/heads/{revision}"
        return self.record(ref, blobs, "Add files")

    def record(
        self,
        ref: str,
        blobs: Mapping[str, Blob],
        title: str,
        description: str = "",
        author: str = "member",
        parent: str = "",
    ) -> str:
        """Adds a commit after another, by default after the newest of a branch that it moves on."""
        parent = parent or self.refs.get(ref, "")
        listing = "".join(f"\n{blob.path} {blob.git_id}" for blob in blobs.values())
        text = f"{parent} {ref} {title} {description} {author}{listing}"
        commit = hashlib.sha1(text.encode()).hexdigest()
        self.commits[commit] = Commit(commit, parent, title, description, author, dict(blobs))
        self.objects.update({b.sha256: b.content for b in blobs.values() if b.is_large})
        self.refs[ref] = commit
        return commit

    def find(self, revision: str) -> str:
        """Returns the id of the commit that a branch, a tag or an id stands for."""
        for ref in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if ref in self.refs:
                return self.refs[ref]
        if len(revision) >= 7:
            for commit in self.commits:
                if commit.startswith(revision):
                    return commit
        raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    def files(self, revision: str) -> Mapping[str, Blob]:
        return self.commits[self.find(revision)].files

    def moving(self, revision: str) -> str:
        """Returns the full name of a branch or pull request, to which commits can be added."""
        for ref in (f"refs/heads/{revision}", revision):
            if ref in self.refs and not ref.startswith("refs/tags/"):
                return ref
        raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    def open_pull(self, title: str, description: str, author: str, base: str) -> PullRequest:
        number = len(self.pulls) + 1
        self.pulls[number] = PullRequest(number, title, description, author, base)
        return self.pulls[number]

    def history(self, revision: str) -> list[Commit]:
        """Returns a revision's commits, newest first."""
        found, commit = [], self.find(revision)
        while commit:
            found.append(self.commits[commit])
            commit = found[-1].parent
        return found

    def attributes(self, revision: str) -> str:
        """Returns the text of a revision's `.gitattributes`, or the usual one."""
        blob = self.files(revision).get(".gitattributes")
        return ATTRIBUTES if blob is None else blob.content.decode()


def is_large(path: str, sample: bytes, size: int, attributes: str = ATTRIBUTES) -> bool:
    """Tells whether the Hub wants a file by LFS: by its name, its size, or what it begins with."""
    for line in attributes.splitlines():
        pattern, *given = line.split() or [""]
        name = path if "/" in pattern else PurePosixPath(path).name
        if "filter=lfs" in given and fnmatch(name, pattern):
            return size > 0
    return size > LARGEST_REGULAR or b"\0" in sample


def is_safe(path: str) -> bool:
    """Tells whether a path stays inside its repository and outside of Git's own folder."""
    parts = path.split("/")
    return "\\" not in path and not {"", ".", "..", ".git"} & set(parts)


def listed(blobs: Iterable[Blob]) -> list[dict[str, Any]]:
    """Lists files and the folders they are in."""
    files = [blob.entry() for blob in blobs]
    folders = {str(parent) for file in files for parent in Path(file["path"]).parents} - {"."}
    unseen = {"type": "directory", "oid": "0" * 40, "size": 0}
    return [*(unseen | {"path": path} for path in sorted(folders)), *files]
