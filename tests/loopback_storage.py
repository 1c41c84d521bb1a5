"""How large files come to the loopback Hub: by Git LFS, at once or in parts.

Parts and the storage's own answers follow what the client's `huggingface_hub.lfs` reads of them.
The addresses for sending open the storage by a ticket, as signed ones do, to whoever has them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from loopback_repository import SAMPLE, Refusal, Repository
from loopback_request import Request, Unforeseen

LFS = "application/vnd.git-lfs+json"


@dataclass
class Ticket:
    """Leave to send one large file."""

    repository: Repository
    sha256: str
    size: int
    part_size: int
    """Of a file that comes in parts, else 0."""
    parts: dict[int, bytes] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return -(-self.size // self.part_size)


class Storage(Request):
    """A method for each route on which large files come in."""

    def lfs_batch(self, repo: str, kind: str = "models") -> None:
        for name in ("Accept", "Content-Type"):
            if self.headers.get(name) != LFS:
                raise Refusal(406, "", f"{name} must be {LFS}")
        given = self._document("operation transfers objects hash_algo", "ref")
        if (given["operation"], given["hash_algo"]) != ("upload", "sha256"):
            raise Unforeseen("only uploads by SHA-256 are known here")
        if "ref" in given:
            repository = self._writable(kind, repo)
            repository.moving(given["ref"]["name"])
        else:  # for a pull request
            repository = self._proposable(kind, repo)
        largest = max((one["size"] for one in given["objects"]), default=0)
        in_parts = largest > self.hub.largest_at_once and "multipart" in given["transfers"]
        if not in_parts and "basic" not in given["transfers"]:
            raise Refusal(422, "", "None of the transfers is known")
        found = []
        for one in given["objects"]:
            answer = {"oid": one["oid"], "size": one["size"], "authenticated": True}
            if one["oid"] not in repository.objects:
                part_size = self.hub.part_size if one["size"] > self.hub.largest_at_once else 0
                ticket = Ticket(repository, one["oid"], one["size"], part_size)
                verify = f"{self._url(kind, repo)}.git/info/lfs/verify"
                answer["actions"] = {"upload": self._upload(ticket), "verify": {"href": verify}}
            found.append(answer)
        self._send_json({"transfer": "multipart" if in_parts else "basic", "objects": found})

    def _upload(self, ticket: Ticket) -> dict[str, object]:
        """Returns where to send a file."""
        number = f"{len(self.hub.tickets) + 1:x}"
        self.hub.tickets[number] = ticket
        place = f"{self.hub.storage_url}/upload/{ticket.sha256}"
        if not ticket.part_size:
            return {"href": f"{place}?ticket={number}"}
        header = {"chunk_size": str(ticket.part_size)}
        for part in range(1, ticket.count + 1):
            header[f"{part:05}"] = f"{place}/{part}?ticket={number}"
        href = f"{self.hub.url}/api/complete_multipart?ticket={number}"
        return {"href": href, "header": header}

    def _ticket(self, sha256: str | None = None) -> Ticket:
        ticket = self.hub.tickets.get(self.query.get("ticket", ""))
        if ticket is None or sha256 not in (None, ticket.sha256):
            raise Refusal(403, "", "AccessDenied")
        return ticket

    def _is_to_cut(self, first: bytes) -> bool:
        """Breaks off a file that comes at once, and the last part of one that comes in parts."""
        ticket = self.hub.tickets.get(self.query.get("ticket", ""))
        if ticket is None or self.command != "PUT":
            return False
        if ticket.part_size and len(ticket.parts) < ticket.count - 1:
            return False
        sample = (ticket.parts.get(1) or first)[:SAMPLE]
        for (size, begins), path in ticket.repository.announced.items():
            is_it = size == ticket.size and begins.startswith(sample)
            if is_it and path in self.hub.uploads_to_cut:
                self.hub.uploads_to_cut.remove(path)
                return True
        return False

    def upload(self, sha256: str) -> None:
        self._keep(self._ticket(sha256), self.body)
        self._send_stored(self.body)

    def upload_part(self, sha256: str, part: str) -> None:
        ticket, number = self._ticket(sha256), int(part)
        rest = ticket.size - (number - 1) * ticket.part_size
        if not 0 < number <= ticket.count or len(self.body) != min(rest, ticket.part_size):
            raise Refusal(400, "", "EntityTooSmall")
        ticket.parts[number] = self.body
        self._send_stored(self.body)

    def complete(self) -> None:
        ticket = self._ticket()
        given = self._document("oid parts")
        told = {one["partNumber"]: one["etag"] for one in given["parts"]}
        here = {number: _etag(ticket.parts[number]) for number in sorted(ticket.parts)}
        if told != here or len(told) != ticket.count or given["oid"] != ticket.sha256:
            raise Refusal(400, "", "InvalidPart")
        self._keep(ticket, b"".join(ticket.parts[number] for number in here))
        self._send_json({"success": True})

    def _keep(self, ticket: Ticket, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != ticket.sha256:
            raise Refusal(400, "", "BadDigest: the content has another SHA-256 than was announced")
        ticket.repository.objects[ticket.sha256] = content
        self.hub.received.append(ticket.sha256)

    def _send_stored(self, content: bytes) -> None:
        self._send(200, b"", {"ETag": _etag(content)})

    def lfs_verify(self, repo: str, kind: str = "models") -> None:
        repository = self._proposable(kind, repo)
        given = self._document("oid size")
        content = repository.objects.get(given["oid"])
        if content is None or len(content) != given["size"]:
            raise Refusal(404, "", f"There is no object {given['oid']} of this size")
        self._send_json({})


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'
