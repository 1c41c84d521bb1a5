"""How one request to the loopback Hub is taken, and how it is answered."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from loopback_accounts import ACCOUNTS, Account
from loopback_repository import Refusal, Repository

if TYPE_CHECKING:
    from loopback_hub import LoopbackHub

STORAGE = ("upload", "upload_part", "complete", "large_file")
"""Routes that are not the Hub's own: the address itself opens them, and they want no token."""


class Unforeseen(Exception):
    """A client sent what the loopback Hub has no answer for, so that its test must fail."""


class Broken(Exception):
    """The connection breaks here."""


class Request(BaseHTTPRequestHandler):
    """Answers one request, and closes the connection, so that a stopped Hub is really gone."""

    hub: LoopbackHub
    routes: Sequence[tuple[str, str, str]]
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        address = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(address.query).items()}
        self.account: Account | None = None
        self.is_mute = False
        asked = f"{self.command} {self.path}"
        try:
            name, groups = self._route(address.path)
            self.body = self._read_body(name)
            self._go_wrong(name)
            self._identify(name)
            # A download may wait for its client, which may have something else to ask first.
            with nullcontext() if self.command in ("GET", "HEAD") else self.hub.lock:
                getattr(self, name)(**groups)
        except Refusal as refusal:
            document = json.dumps(refusal.document).encode()
            headers = {"Content-Type": "application/json", **refusal.headers}
            self._send(refusal.status, document, headers)
        except (Broken, ConnectionError):  # or the client has gone
            self.hub.requests.append(f"{asked} broken")
            self.close_connection = True
        except Exception as error:
            known = str(error) if isinstance(error, Unforeseen) else traceback.format_exc()
            self.hub.unanswered.append(f"{asked}\n{known}")
            self._send(501 if isinstance(error, Unforeseen) else 500)
        if self.is_mute:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Keeps stderr clean: `LoopbackHub.requests` is the log."""

    def _route(self, path: str) -> tuple[str, dict[str, str]]:
        for method, pattern, name in self.routes:
            found = re.fullmatch(pattern, path)
            if found is not None and method == self.command:
                return name, {k: unquote(v) for k, v in found.groupdict().items() if v}
        raise Unforeseen("no such route")

    def _read_body(self, name: str) -> bytes:
        if "Transfer-Encoding" in self.headers:
            raise Unforeseen("the body has no length; storage refuses that")
        length = int(self.headers.get("Content-Length", 0))
        first = self.rfile.read(length // 2)
        if name in STORAGE and self._is_to_cut(first):
            raise Broken
        body = first + self.rfile.read(length - length // 2)
        self.hub.bytes_received += len(body)
        return body

    def _is_to_cut(self, first: bytes) -> bool:
        """Tells whether the file whose first half is here is one to be cut off."""
        return False

    def _go_wrong(self, name: str) -> None:
        fault = self.hub.next_fault(name)
        if fault is None:
            return
        if fault.took_effect:
            self.is_mute = True
        elif fault.status == 0:
            raise Broken
        else:
            refusal = Refusal(fault.status, "", f"The Hub is told to answer {fault.status}")
            if fault.retry_after is not None:
                refusal.headers["Retry-After"] = str(fault.retry_after)
            raise refusal

    def _identify(self, name: str) -> None:
        """Finds out whose token came along; storage must not be shown any."""
        shown = self.headers.get("Authorization")
        if shown is None:
            return
        if name in STORAGE:
            raise Unforeseen("a token is shown to the storage, which is not the Hub")
        self.account = ACCOUNTS.get(shown.removeprefix("Bearer "))
        if self.account is None:
            raise Refusal(401, "", "Invalid credentials in Authorization header")

    # -- what comes in --------------------------------------------------------------------------

    def _document(self, required: str, optional: str = "") -> dict[str, Any]:
        """Reads JSON that must have these keys, may have those and no others."""
        try:
            given = json.loads(self.body)
        except ValueError as error:
            raise Refusal(400, "", f"Invalid JSON: {error}") from error
        needed, possible = set(required.split()), set(optional.split())
        if not isinstance(given, dict) or not needed <= set(given) <= needed | possible:
            raise Unforeseen(f"{self.body[:500]!r} has not the keys {required} ({optional})")
        return given

    def _signed_in(self) -> Account:
        if self.account is None:
            raise Refusal(401, "", "Invalid username or password.")
        return self.account

    def _repository(self, kind: str, repo: str) -> Repository:
        """Returns a repository that may be looked at."""
        repository = self.hub.repositories.get((kind, repo))
        namespace = repo.split("/")[0]
        may_read = self.account is not None and self.account.may_read(namespace)
        if repository is None or (repository.private and not may_read):
            # To strangers the Hub does not tell what is missing from what is private.
            raise Refusal(404 if self.account else 401, "RepoNotFound", "Repository not found")
        return repository

    def _writable(self, kind: str, repo: str) -> Repository:
        """Returns a repository that may be changed."""
        repository = self._repository(kind, repo)
        if not self._signed_in().may_write(repo.split("/")[0]):
            raise Refusal(403, "", "Authorization error.")
        return repository

    def _proposable(self, kind: str, repo: str) -> Repository:
        """Returns a repository to which changes may be proposed."""
        repository = self._repository(kind, repo)
        if self._signed_in().role != "write":
            raise Refusal(403, "", "Authorization error.")
        return repository

    # -- what goes out --------------------------------------------------------------------------

    def _send(
        self,
        status: int,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        cut: bool = False,
    ) -> None:
        self.hub.requests.append(f"{self.command} {self.path} {status}")
        if self.is_mute:
            return
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

    def _url(self, kind: str, repo: str) -> str:
        """Returns the page of a repository."""
        return f"{self.hub.url}/{'' if kind == 'models' else kind + '/'}{repo}"
