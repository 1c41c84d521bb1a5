"""A Hub on 127.0.0.1 that the real Hugging Face clients read from.

Written by watching what `huggingface_hub`, `transformers`, `timm` and `datasets` ask for. Requests
without an answer are kept in `LoopbackHub.unanswered`, for tests to fail on. Large files come by
redirection, as from the Hub, but without xet headers, hence by plain HTTP.

`Answers` has a method for each route of `ROUTES`."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_loopback"
"""Whoever shows it may read what is private or gated."""
LARGE = (".safetensors", ".bin", ".parquet", ".zip", ".png", ".jpg")
"""What the Hub keeps as large files (Git LFS), by its ending."""
DATE = "2026-01-01T00:00:00.000Z"


@dataclass(frozen=True)
class Blob:
    """The content of one file, with the ids it goes by."""

    path: str
    content: bytes

    @property
    def is_large(self) -> bool:
        return self.path.endswith(LARGE)

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


@dataclass
class Repository:
    """Commits, with the branches and tags that name them."""

    private: bool = False
    """It looks as if it did not exist."""
    gated: bool = False
    """Anybody may list it, and nobody may have its files."""
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Mapping[str, bytes], revision: str = "main") -> str:
        """Makes these files all that a revision has; returns the id of the commit."""
        blobs = {path: Blob(path, content) for path, content in files.items()}
        listing = "".join(f"\n{blob.path} {blob.git_id}" for blob in blobs.values())
        commit = hashlib.sha1(f"{revision}{listing}".encode()).hexdigest()
        self.commits[commit] = blobs
        self.revisions[revision] = commit
        return commit

    def find(self, revision: str) -> str:
        """Returns the id of the commit that a branch, a tag or an id stands for."""
        commit = self.revisions.get(revision, revision)
        if commit not in self.commits:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit


def files_of(folder: Path) -> dict[str, bytes]:
    """Reads a folder, to put it on the Hub."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class Refusal(Exception):
    """An answer with an error status, in the Hub's way."""

    def __init__(self, status: int, code: str, message: str, commit: str = "") -> None:
        super().__init__(message)
        self.status = status
        named = {"X-Error-Code": code, "X-Error-Message": message, "X-Repo-Commit": commit}
        self.headers = {name: value for name, value in named.items() if value}


class LoopbackHub:
    """Repositories of models and data sets, served on a port of 127.0.0.1."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.requests: list[str] = []
        """Method, path and status of everything that was asked."""
        self.unanswered: list[str] = []
        """Requests that no route matched, or that made the server fail."""
        self.sent: set[str] = set()
        """The SHA-256 of every file of which content was sent."""
        self.bytes_sent = 0
        self.to_cut: set[str] = set()
        """Paths of files whose connection breaks half-way, once each."""
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def storage_url(self) -> str:
        """Where large files are: a host of another name, to which clients show no token."""
        return f"http://localhost:{self._port}/large"

    def add(
        self,
        repo_id: str,
        revisions: Mapping[str, Mapping[str, bytes]],
        kind: str = "models",
        **access: bool,
    ) -> Repository:
        """Puts a repository there.

        Args:
            repo_id: `org/name`.
            revisions: `{branch or tag: {path: content}}`; `main` is what one gets unasked.
            kind: `models` or `datasets`.
            **access: `private` or `gated`.
        """
        repository = self.repositories[kind, repo_id] = Repository(**access)
        for revision, files in revisions.items():
            repository.commit(files, revision)
        return repository

    def start(self) -> None:
        """Begins to answer, on the port it had before if it had one."""
        answers = type("BoundAnswers", (Answers,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), answers)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Ends answering: from then on connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._server = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Is unreachable for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def has_sent(self, content: bytes) -> bool:
        """Tells whether somebody got this content."""
        return hashlib.sha256(content).hexdigest() in self.sent


_API = r"/api/(?P<kind>models|datasets)/(?P<repo>[\w.-]+/[\w.-]+)"
_RESOLVE = r"(?:/(?P<kind>datasets))?/(?P<repo>[\w.-]+/[\w.-]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)"
_LARGE_FILE = r"/large/(?P<sha256>[0-9a-f]{64})"
ROUTES = [
    ("HEAD", "/?", "home"),
    ("GET", rf"{_API}(?:/revision/(?P<rev>[^/]+))?", "info"),
    ("GET", rf"{_API}/tree/(?P<rev>[^/]+)(?:/(?P<path>.+))?", "tree"),
    ("POST", rf"{_API}/paths-info/(?P<rev>[^/]+)", "paths_info"),
    ("HEAD", _RESOLVE, "resolve"),
    ("GET", _RESOLVE, "resolve"),
    ("HEAD", _LARGE_FILE, "large_file"),
    ("GET", _LARGE_FILE, "large_file"),
]
"""Method, pattern of the path, and the method of `Answers` that takes the pattern's groups."""


class Answers(BaseHTTPRequestHandler):
    """Answers one request, and closes the connection, so that a stopped Hub is really gone."""

    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        address = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(address.query).items()}
        self.is_known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = f"{self.command} {self.path}"
        try:
            for method, pattern, name in ROUTES:
                found = re.fullmatch(pattern, address.path)
                if found is not None and method == self.command:
                    groups = {k: unquote(v) for k, v in found.groupdict().items() if v}
                    getattr(self, name)(**groups)
                    return
            self.hub.unanswered.append(asked)
            self._send(501)
        except Refusal as refusal:
            document = json.dumps({"error": str(refusal)}).encode()
            self._send(refusal.status, document, refusal.headers)
        except ConnectionError:  # the client has gone
            self.close_connection = True
        except Exception:
            self.hub.unanswered.append(f"{asked}\n{traceback.format_exc()}")
            self._send(500)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Keeps stderr clean: `LoopbackHub.requests` is the log."""

    def _send(
        self,
        status: int,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        cut: bool = False,
    ) -> None:
        self.hub.requests.append(f"{self.command} {self.path} {status}")
        self.send_response(status)
        self.send_header("Connection", "close")
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.hub.bytes_sent += len(content)
            self.wfile.write(content[: len(content) // 2] if cut else content)

    def _send_json(self, document: Any) -> None:
        self._send(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _send_file(self, blob: Blob, headers: Mapping[str, str]) -> None:
        """Sends a file, or the range of it that is asked for."""
        content, status = blob.content, 200
        headers = {**headers, "Accept-Ranges": "bytes", "Content-Type": "binary/octet-stream"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is not None:
            start, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content, status = content[start : end + 1], 206
        cut = self.command == "GET" and blob.path in self.hub.to_cut
        if self.command == "GET":
            self.hub.sent.add(blob.sha256)
            self.hub.to_cut.discard(blob.path)
        self._send(status, content, headers, cut)

    def _repository(self, kind: str, repo: str) -> Repository:
        repository = self.hub.repositories.get((kind, repo))
        if repository is None or (repository.private and not self.is_known):
            # To strangers the Hub does not tell what is missing from what is private.
            raise Refusal(404 if self.is_known else 401, "RepoNotFound", "Repository not found")
        return repository

    # -- the routes -----------------------------------------------------------------------------

    def home(self) -> None:
        self._send(200)

    def info(self, kind: str, repo: str, rev: str = "main") -> None:
        repository = self._repository(kind, repo)
        commit = repository.find(rev)
        facts = {
            "id": repo,
            "sha": commit,
            "lastModified": DATE,
            "private": repository.private,
            "gated": "manual" if repository.gated else False,
            "tags": [],
            "siblings": [{"rfilename": path} for path in repository.commits[commit]],
        }
        self._send_json(facts)

    def tree(self, kind: str, repo: str, rev: str, path: str = "") -> None:
        repository = self._repository(kind, repo)
        blobs = repository.commits[repository.find(rev)]
        below = f"{path}/" if path else ""
        inside = [blob for blob in blobs.values() if blob.path.startswith(below)]
        if path and not inside:
            raise Refusal(404, "EntryNotFound", f'"{path}" does not exist on "{rev}"')
        entries = [entry for entry in _entries(inside) if entry["path"].startswith(below)]
        if self.query.get("recursive") != "true":
            entries = [entry for entry in entries if "/" not in entry["path"][len(below) :]]
        self._send_entries(entries)

    def paths_info(self, kind: str, repo: str, rev: str) -> None:
        repository = self._repository(kind, repo)
        blobs = repository.commits[repository.find(rev)]
        form = parse_qs(self.body.decode())
        self.query["expand"] = form["expand"][0].lower()
        self._send_entries(e for e in _entries(blobs.values()) if e["path"] in form["paths"])

    def _send_entries(self, entries: Iterable[dict[str, Any]]) -> None:
        last = {"lastCommit": {"id": "0" * 40, "title": "Add files", "date": DATE}}
        more = last if self.query.get("expand") == "true" else {}
        self._send_json([entry | more for entry in entries])

    def resolve(self, repo: str, rev: str, path: str, kind: str = "models") -> None:
        repository = self._repository(kind, repo)
        if repository.gated and not self.is_known:
            message = f"Access to {kind} {repo} is restricted. Please log in."
            raise Refusal(401, "GatedRepo", message)
        commit = repository.find(rev)
        blob = repository.commits[commit].get(path)
        if blob is None:
            raise Refusal(404, "EntryNotFound", "Entry not found", commit)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{blob.etag}"'}
        if not blob.is_large:
            self._send_file(blob, headers)
            return
        headers["X-Linked-ETag"] = headers.pop("ETag")
        headers["X-Linked-Size"] = str(len(blob.content))
        self._send(302, b"", headers | {"Location": f"{self.hub.storage_url}/{blob.sha256}"})

    def large_file(self, sha256: str) -> None:
        for repository in self.hub.repositories.values():
            for blobs in repository.commits.values():
                for blob in blobs.values():
                    if blob.is_large and blob.sha256 == sha256:
                        self._send_file(blob, {"ETag": f'"{sha256}"'})
                        return
        raise Refusal(404, "", "no such file")


def _entries(blobs: Iterable[Blob]) -> list[dict[str, Any]]:
    """Lists files and the folders they are in."""
    files = [blob.entry() for blob in blobs]
    folders = {str(parent) for file in files for parent in Path(file["path"]).parents} - {"."}
    unseen = {"type": "directory", "oid": "0" * 40, "size": 0}
    return [*(unseen | {"path": path} for path in sorted(folders)), *files]
