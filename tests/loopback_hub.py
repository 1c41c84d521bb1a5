"""A Hub on 127.0.0.1 that the real Hugging Face clients read from and write to.

Written by watching what `huggingface_hub`, `transformers`, `timm` and `datasets` ask for. Requests
without an answer are kept in `LoopbackHub.unanswered`, for tests to fail on. Large files come and
go by plain HTTP on a second address, as from the Hub's storage, without xet.

`ROUTES` names the methods of `Reads`, `Storage` and `Writes`; those read down from `Request`."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

from loopback_accounts import READ_TOKEN, TOKEN
from loopback_faults import Fault
from loopback_reads import Reads
from loopback_repository import Repository
from loopback_storage import Storage, Ticket
from loopback_writes import Writes

__all__ = ["READ_TOKEN", "ROUTES", "TOKEN", "Fault", "LoopbackHub", "Repository", "files_of"]

_REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"
_API = rf"/api/(?P<kind>models|datasets|spaces)/{_REPO}"
_PAGE = rf"(?:/(?P<kind>datasets|spaces))?/{_REPO}"
_RESOLVE = rf"{_PAGE}/resolve/(?P<rev>[^/]+)/(?P<path>.+)"
_SHA256 = r"(?P<sha256>[0-9a-f]{64})"
_REV, _NAME = r"(?P<rev>[^/]+)", r"(?P<name>[^/]+)"
ROUTES = [
    ("HEAD", "/?", "home"),
    ("GET", "/api/whoami-v2", "whoami"),
    ("GET", rf"{_API}/auth-check", "may_read"),
    ("GET", rf"{_API}/auth-check/write", "may_write"),
    ("GET", rf"{_API}(?:/revision/{_REV})?", "info"),
    ("GET", rf"{_API}/refs", "refs"),
    ("GET", rf"{_API}/commits/{_REV}", "commits"),
    ("GET", rf"{_API}/tree/{_REV}(?:/(?P<path>.+))?", "tree"),
    ("POST", rf"{_API}/paths-info/{_REV}", "paths_info"),
    ("GET", rf"{_API}/discussions/(?P<number>\d+)", "discussion"),
    ("HEAD", _RESOLVE, "resolve"),
    ("GET", _RESOLVE, "resolve"),
    ("HEAD", rf"/large/{_SHA256}", "large_file"),
    ("GET", rf"/large/{_SHA256}", "large_file"),
    ("POST", "/api/repos/create", "create"),
    ("DELETE", "/api/repos/delete", "delete"),
    ("PUT", rf"{_API}/settings", "settings"),
    ("POST", "/api/validate-yaml", "validate_yaml"),
    ("POST", rf"{_API}/preupload/{_REV}", "preupload"),
    ("POST", rf"{_PAGE}\.git/info/lfs/objects/batch", "lfs_batch"),
    ("PUT", rf"/upload/{_SHA256}", "upload"),
    ("PUT", rf"/upload/{_SHA256}/(?P<part>\d+)", "upload_part"),
    ("POST", "/api/complete_multipart", "complete"),
    ("POST", rf"{_PAGE}\.git/info/lfs/verify", "lfs_verify"),
    ("POST", rf"{_API}/commit/{_REV}", "commit"),
    ("POST", rf"{_API}/branch/{_NAME}", "create_branch"),
    ("DELETE", rf"{_API}/branch/{_NAME}", "delete_branch"),
    ("POST", rf"{_API}/tag/{_REV}", "create_tag"),
    ("DELETE", rf"{_API}/tag/{_NAME}", "delete_tag"),
    ("POST", rf"{_API}/discussions", "open_discussion"),
]
"""Method, pattern of the path, and the method of `Answers` that takes the pattern's groups."""


class Answers(Reads, Storage, Writes):
    """Everything the Hub answers."""

    routes = ROUTES


class LoopbackHub:
    """Repositories of models, data sets and Spaces, served on a port of 127.0.0.1."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        """By kind (`models`, `datasets`, `spaces`) and `org/name`."""
        self.largest_at_once = 8 << 20
        """Bytes of a large file that may be sent at once; larger ones come in parts."""
        self.part_size = 4 << 20
        self.tickets: dict[str, Ticket] = {}
        self.lock = threading.Lock()
        """Held while something is changed."""
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self.forget()

    def forget(self) -> None:
        """Begins a new record of what is asked and sent; repositories stay."""
        self.requests: list[str] = []
        """Method, path and status of everything that was asked."""
        self.unanswered: list[str] = []
        """Requests that no route matched, or that made the server fail."""
        self.sent: set[str] = set()
        """The SHA-256 of every file of which content was sent."""
        self.received: list[str] = []
        """The SHA-256 of each large file that came in, as often as it came."""
        self.bytes_sent = 0
        self.bytes_received = 0
        self.to_cut: set[str] = set()
        """Paths of files whose connection breaks half-way when they are downloaded, once each."""
        self.uploads_to_cut: set[str] = set()
        """The same for large files that are uploaded."""
        self.faults: list[Fault] = []
        """What goes wrong with the next requests; each is gone when it has happened."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def storage_url(self) -> str:
        """Where large files are: a host of another name, to which clients show no token."""
        return f"http://localhost:{self._port}"

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
            revisions: `{branch: {path: content}}`; `main` is what one gets unasked.
            kind: `models`, `datasets` or `spaces`.
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

    def next_fault(self, route: str) -> Fault | None:
        """Takes what shall go wrong with a request of this route."""
        for fault in self.faults:
            if fault.route == route:
                fault.times -= 1
                if fault.times == 0:
                    self.faults.remove(fault)
                return fault
        return None

    def has_sent(self, content: bytes) -> bool:
        """Tells whether somebody got this content."""
        return hashlib.sha256(content).hexdigest() in self.sent

    def has_received(self, content: bytes) -> bool:
        """Tells whether somebody sent this content as a large file."""
        return hashlib.sha256(content).hexdigest() in self.received


def files_of(folder: Path) -> dict[str, bytes]:
    """Reads a folder, to put it on the Hub."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
